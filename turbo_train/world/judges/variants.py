"""The same clip seen otherwise, and the same caption with one fact changed, for the text judges.

The world is symmetric: a clip run backwards or in a mirror is again a clip of the world, of other
facts. So is a caption whose camera is another one; it is false of the clip, and little else is
changed, which makes it the hardest caption to tell apart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from turbo_train.world.captions import Said, caption, random_said
from turbo_train.world.facts import (
    ACTIONS,
    CAMERAS,
    COLORS,
    PAIR_ACTIONS,
    SCENES,
    SHAPES,
    SIZE,
    STYLES,
    Relation,
    Scene,
)
from turbo_train.world.judges.matching import SHORT
from turbo_train.world.render import poses
from turbo_train.world.sample import held_out

NOTHING = Said(*[False] * 7)


def _both_ways(*pairs: tuple[str, str]) -> Mapping[str, str]:
    return MappingProxyType(dict(pairs) | {b: a for a, b in pairs})


_MIRROR: Final = _both_ways(
    ("moving left", "moving right"),
    ("pan left", "pan right"),
    ("on the left of", "on the right of"),
)
_BACKWARDS: Final = _both_ways(
    ("moving left", "moving right"),
    ("moving up", "moving down"),
    ("growing", "shrinking"),
    ("pan left", "pan right"),
    ("zoom in", "zoom out"),
)


def mirrored(scene: Scene) -> Scene:
    """What a clip of `scene` shows in a mirror (left and right exchanged)."""
    relation = scene.relation
    return replace(
        scene,
        sprites=tuple(replace(s, x=SIZE - 1 - s.x) for s in scene.sprites),
        action=_MIRROR.get(scene.action, scene.action),
        camera=_MIRROR.get(scene.camera, scene.camera),
        relation=cast("Relation", _MIRROR.get(relation, relation)) if relation else None,
    )


def backwards(scene: Scene) -> Scene:
    """What a clip of `scene` shows when its frames run backwards."""
    return replace(
        scene,
        action=_BACKWARDS.get(scene.action, scene.action),
        camera=_BACKWARDS.get(scene.camera, scene.camera),
    )


def vary(scene: Scene, rng: np.random.Generator) -> tuple[Scene, bool, bool]:
    """A scene as it is, mirrored, backwards or both, each with chance one half.

    A change that would make a combination held out from training is not done.

    Returns:
        What is shown then; whether it is mirrored; whether it runs backwards.
    """
    flip, turn = (bool(draw < 0.5) for draw in rng.random(2))
    if flip := flip and not held_out(mirrored(scene)):
        scene = mirrored(scene)
    if turn := turn and not held_out(backwards(scene)):
        scene = backwards(scene)
    return scene, flip, turn


def sprite_middles(scene: Scene) -> NDArray[np.float32]:
    """Where the middles of the sprites are: [T, 2, 2] as x, y in pixels; NaN for no second one."""
    result = np.full((scene.frames, 2, 2), np.nan, np.float32)
    for k in range(len(scene.sprites)):
        pose = poses(scene, k)
        result[:, k] = np.stack([pose.x, pose.y], 1)
    return result


@dataclass(frozen=True, slots=True)
class Shown:
    """One frame, or a whole clip, as it is shown in training, with what it shows then.

    Attributes:
        scene: the facts.
        frame: one frame, uint8 [H, W, 3].
        middles: where its sprites are, [2, 2] as x, y in pixels; NaN for none.
        clip: the other picture of the clip that was given, in the same order and mirror.
    """

    scene: Scene
    frame: NDArray[np.uint8]
    middles: NDArray[np.float32]
    clip: NDArray[np.float16] | None = None


def show(
    scene: Scene,
    frames: NDArray[np.uint8],
    middles: NDArray[np.float32],
    rng: np.random.Generator,
    clip: NDArray[np.float16] | None = None,
) -> Shown:
    """Draw one frame of a clip, varied as `vary` does.

    Args:
        scene: what the clip shows.
        frames: uint8 [T, H, W, 3].
        middles: its `sprite_middles` [T, 2, 2].
        rng: draws the frame and the variation.
        clip: any picture of all its frames [T, h, w], to be varied alike.
    """
    scene, flip, turn = vary(scene, rng)
    time = int(rng.integers(len(frames)))
    frame, at = frames[time], middles[time].copy()
    if flip:
        frame = frame[:, ::-1]
        at[:, 0] = SIZE - 1 - at[:, 0]
        clip = None if clip is None else clip[:, :, ::-1]
    if turn and clip is not None:
        clip = clip[::-1]
    return Shown(scene, frame, at, clip)


FACTS: Final[Mapping[str, Sequence[str]]] = MappingProxyType(
    {
        "shape": SHAPES,
        "color": COLORS,
        "scene": SCENES,
        "style": STYLES,
        "action": ACTIONS,
        "camera": CAMERAS,
    }
)
"""Facts of a scene that a caption can be wrong about, and their values."""


def value_of(scene: Scene, fact: str) -> str:
    """The value of one of `FACTS`; shape and colour are those of the first sprite."""
    if fact in ("shape", "color"):
        return str(getattr(scene.sprites[0], fact))
    return str(getattr(scene, fact))


def with_value(scene: Scene, fact: str, value: str) -> Scene:
    """`scene` with another value of one of `FACTS`; shape and colour of the first sprite."""
    change: dict[str, Any] = {fact: value}
    if fact in ("shape", "color"):
        first, *rest = scene.sprites
        return replace(scene, sprites=(replace(first, **change), *rest))
    return replace(scene, **change)


def wrong_values(scene: Scene, fact: str) -> list[str]:
    """Values of a fact that are not true of `scene`, not even of its second sprite."""
    options = PAIR_ACTIONS if fact == "action" and len(scene.sprites) > 1 else FACTS[fact]
    true = {value_of(scene, fact)}
    if fact in ("shape", "color"):
        true |= {str(getattr(sprite, fact)) for sprite in scene.sprites}
    return [value for value in options if value not in true]


def hard_captions(
    scene: Scene, weights: Mapping[str, float], wrong: int, rng: np.random.Generator
) -> list[str]:
    """One true caption of `scene`, then `wrong` ones that differ from it in one fact alone.

    Args:
        scene: what the clip shows.
        weights: how often each of `FACTS` is the one that differs, in proportion; facts that a
            frame cannot show are left out of all captions when they have no weight.
        wrong: how many wrong captions; a share `SHORT` of all calls states the one fact alone.
        rng: chooses fact, values and words; all captions use the same words elsewhere.
    """
    colored = scene.style != "black and white"
    names = [name for name in weights if name != "color" or colored]
    shares = np.array([weights[name] for name in names])
    fact = names[int(rng.choice(len(names), p=shares / shares.sum()))]
    said = _stating(fact, random_said(scene, rng) if rng.random() >= SHORT else NOTHING)
    said = replace(
        said,
        colors=said.colors and colored,
        action=said.action and "action" in weights,
        camera=said.camera and "camera" in weights,
    )
    pick = tuple(rng.random(6))
    values = wrong_values(scene, fact)
    chosen = [values[int(k)] for k in rng.permutation(len(values))[:wrong]]
    # With few values left some come twice, which harms nothing.
    chosen += [values[int(rng.integers(len(values)))] for _ in range(wrong - len(chosen))]
    scenes = [scene, *(with_value(scene, fact, value) for value in chosen)]
    return [caption(one, _honest(one, said), pick) for one in scenes]


def _stating(fact: str, said: Said) -> Said:
    """`said` with `fact` among what is stated."""
    match fact:
        case "shape":
            return replace(said, sprites=True)
        case "color":
            return replace(said, sprites=True, colors=True)
        case "action":
            return replace(said, sprites=True, action=True)
        case "scene":
            return replace(said, scene=True)
        case "style":
            return replace(said, style=True)
        case _:
            return replace(said, camera=True)


def _honest(scene: Scene, said: Said) -> Said:
    return replace(said, colors=said.colors and scene.style != "black and white")

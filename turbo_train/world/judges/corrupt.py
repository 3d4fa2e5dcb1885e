"""Ways to spoil a rendered clip or its caption, in levels 0 (as drawn) to 3 (worst).

A judge is only worth its weights when its scores fall in the order of these levels.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from turbo_eval.core.errors import UsageError, unknown
from turbo_train.world.facts import COLORS, SHAPES, Scene
from turbo_train.world.render import render

Frames = NDArray[np.uint8]

LEVELS: Final = (0, 1, 2, 3)
_NOISE = (0.0, 12.0, 28.0, 56.0)
_BLUR = (0.0, 0.8, 1.6, 3.2)
_FLICKER = (0.0, 14.0, 32.0, 64.0)


def _bytes(values: NDArray[np.floating[Any]]) -> Frames:
    rounded: Frames = np.clip(values + 0.5, 0, 255).astype(np.uint8)
    return rounded


def noise(clip: Frames, level: int, rng: np.random.Generator) -> Frames:
    """Add white noise with a standard deviation of 12, 28 or 56 of 255."""
    values = clip.astype(np.float32)
    return _bytes(values + rng.standard_normal(clip.shape, dtype=np.float32) * _NOISE[level])


def blur(clip: Frames, level: int, rng: np.random.Generator) -> Frames:  # noqa: ARG001
    """Blur every frame with a Gaussian of 0.8, 1.6 or 3.2 pixels."""
    sigma = _BLUR[level]
    if not sigma:
        return clip.copy()
    reach = int(np.ceil(3 * sigma))
    axis = np.arange(-reach, reach + 1, dtype=np.float32)
    kernel = np.exp(-0.5 * (axis / sigma) ** 2)
    kernel /= kernel.sum()
    values = clip.astype(np.float32)
    for side in (1, 2):
        pads = [(0, 0)] * 4
        pads[side] = (reach, reach)
        wide = np.pad(values, pads, mode="edge")
        n = clip.shape[side]
        values = sum(
            (np.take(wide, range(k, k + n), axis=side) * w for k, w in enumerate(kernel)),
            start=np.zeros(clip.shape, np.float32),
        )
    return _bytes(values)


def flicker(clip: Frames, level: int, rng: np.random.Generator) -> Frames:
    """Shift the brightness of every frame, up and down in turn, by up to 14, 32 or 64 of 255."""
    sign = np.where(np.arange(len(clip)) % 2 == 0, 1.0, -1.0)
    shift = sign * rng.uniform(0.6, 1.0, len(clip)) * _FLICKER[level]
    return _bytes(clip.astype(np.float32) + shift[:, None, None, None])


def frozen(clip: Frames, level: int, rng: np.random.Generator) -> Frames:
    """Repeat the first frame for the whole clip, in level / 3 of all cases.

    A share of clips, not of frames: dynamic degree forgives a clip that moves in a quarter of it.
    """
    if rng.random() >= level / 3:
        return clip.copy()
    return np.repeat(clip[:1], len(clip), axis=0)


def jump(clip: Frames, level: int, rng: np.random.Generator) -> Frames:  # noqa: ARG001
    """Exchange frames: one pair of distant frames, two pairs, or all, so that none follows on."""
    order = np.arange(len(clip))
    half = len(clip) // 2
    if level == 3:
        # From both halves in turn, backwards: neighbours are half a clip apart.
        pairs = [frame for k in reversed(range(half)) for frame in (k, k + half)]
        return clip[[*pairs, *range(2 * half, len(clip))]]
    for k in range(level if half else 0):
        a, b = k * 2 % half, half + k * 2 % half
        order[[a, b]] = order[[b, a]]
    return clip[order]


PIXELS: Final[Mapping[str, Callable[[Frames, int, np.random.Generator], Frames]]] = (
    MappingProxyType(
        {"noise": noise, "blur": blur, "flicker": flicker, "frozen": frozen, "jump": jump}
    )
)
"""Corruptions of the pixels of any clip."""

FACTS: Final = ("wrong_color", "identity")
"""Corruptions that draw the scene anew with other facts."""

WORDS: Final = "swapped_caption"
"""The corruption of the caption: a share of clips is judged by another clip's prompt."""

NAMES: Final = (*PIXELS, *FACTS, WORDS)


def _other(options: tuple[str, ...], now: str, rng: np.random.Generator) -> str:
    left = [option for option in options if option != now]
    return left[int(rng.integers(len(left)))]


def wrong_color(scene: Scene, level: int, rng: np.random.Generator) -> Frames:
    """Draw the scene, in level / 3 of all cases with all its sprites in other colours."""
    if rng.random() >= level / 3:
        return render(scene)
    sprites = tuple(replace(s, color=_other(COLORS, s.color, rng)) for s in scene.sprites)
    return render(replace(scene, sprites=sprites))


def identity(scene: Scene, level: int, rng: np.random.Generator) -> Frames:
    """Draw the scene, but 1, 2 or 4 of its frames with sprites of other shapes and colours."""
    clip = render(scene)
    if level == 0:
        return clip
    sprites = tuple(
        replace(s, shape=_other(SHAPES, s.shape, rng), color=_other(COLORS, s.color, rng))
        for s in scene.sprites
    )
    other = render(replace(scene, sprites=sprites))
    last = len(clip) - 1
    changed = {1: [last // 2], 2: [2, last - 1], 3: list(range(1, len(clip), 2))}[level]
    chosen = [k for k in changed if 0 <= k <= last]
    clip[chosen] = other[chosen]
    return clip


def corrupt(name: str, scene: Scene, clip: Frames, level: int, seed: int) -> Frames:
    """Spoil a clip.

    Args:
        name: One of `PIXELS` or `FACTS` (captions are swapped by `swapped`).
        scene: What the clip shows.
        clip: The rendered clip, uint8 [T, 64, 64, 3].
        level: 0..3; 0 gives the clip as drawn.
        seed: The same seed spoils it in the same way.

    Raises:
        UsageError: No such corruption or level.
    """
    if level not in LEVELS:
        raise UsageError(f"no corruption level {level}", fix="choose 0, 1, 2 or 3")
    if level == 0:
        return clip.copy()
    # Not of the level: a clip that is wrong at one level stays wrong at the next.
    draw = np.random.default_rng([seed, 22])
    if name in PIXELS:
        return PIXELS[name](clip, level, draw)
    if name in FACTS:
        return (wrong_color if name == "wrong_color" else identity)(scene, level, draw)
    raise unknown("corruption", name, (*PIXELS, *FACTS))


def swapped(count: int, level: int) -> list[int]:
    """Whose caption each of `count` clips gets: its own, or, for level / 3 of them, the next one's.

    Raises:
        UsageError: No such level.
    """
    if level not in LEVELS:
        raise UsageError(f"no corruption level {level}", fix="choose 0, 1, 2 or 3")
    # Every third clip joins at each level, so what is wrong at one level stays wrong at the next.
    return [(k + 1) % count if k % 3 < level else k for k in range(count)]

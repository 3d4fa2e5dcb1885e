"""Read clips of the mini world: what do the judges see, and does it agree with what was said?

The detector looks at every frame, and its votes are gathered along the sprites' tracks; the action
and scene judges look at the clip and its frames. How often they are right on rendered clips stands
in their cards: no reading of a model's clips can be trusted further than that.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import permutations
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from turbo_eval.backbones.mini import action as action_part
from turbo_eval.backbones.mini import detector as detector_part
from turbo_eval.backbones.mini import load_part
from turbo_eval.backbones.mini import scene as scene_part
from turbo_eval.core.errors import InputError
from turbo_train.world.captions import Said
from turbo_train.world.facts import RELATIONS, Scene
from turbo_train.world.judges.common import share

REACH = 18.0
"""A sprite may move this many pixels from one frame to the next and still be the same."""
PRESENT = 0.5
"""A sprite counts when it is seen in at least this share of the frames."""
BATCH = 32


@dataclass(frozen=True, slots=True)
class Reading:
    """What a clip shows, as far as the judges can tell.

    Attributes:
        shapes: One shape a sprite, the longest seen first; empty when nothing is seen.
        colors: As many colours; `gray` in a black-and-white clip.
        centres: As many mean centres (x, y) in pixels of a 64 x 64 frame.
        action: The likeliest action.
        scene: The likeliest place.
    """

    shapes: tuple[str, ...]
    colors: tuple[str, ...]
    centres: tuple[tuple[float, float], ...]
    action: str
    scene: str


@dataclass(slots=True)
class _Track:
    place: tuple[float, float]
    shapes: Counter[str] = field(default_factory=Counter)
    colors: Counter[str] = field(default_factory=Counter)
    places: list[tuple[float, float]] = field(default_factory=list)

    def see(self, one: detector_part.Found) -> None:
        self.place = _centre(one)
        self.places.append(self.place)
        self.shapes[one.shape] += 1
        self.colors[one.color] += 1


def _centre(one: detector_part.Found) -> tuple[float, float]:
    x0, y0, x1, y1 = one.box
    return ((x0 + x1) / 2, (y0 + y1) / 2)


def _tracks(frames: Sequence[Sequence[detector_part.Found]]) -> list[_Track]:
    """Sprites that were seen in enough frames, the longest seen first."""
    tracks: list[_Track] = []
    for found in frames:
        free = list(tracks)
        for one in found:
            x, y = _centre(one)
            near = min(
                free,
                key=lambda t: np.hypot(t.place[0] - x, t.place[1] - y),
                default=None,  # noqa: B023
            )
            if near is None or np.hypot(near.place[0] - x, near.place[1] - y) > REACH:
                near = _Track((x, y))
                tracks.append(near)
            else:
                free.remove(near)
            near.see(one)
    tracks.sort(key=lambda t: -len(t.places))
    return [t for t in tracks if len(t.places) >= PRESENT * len(frames)]


def read_clips(clips: NDArray[np.uint8], *, device: str = "cpu") -> list[Reading]:
    """Read clips by the mini judges, as shipped.

    Args:
        clips: uint8 [N, T, H, W, 3], RGB.
        device: Where the judges run.

    Returns:
        One reading a clip.

    Raises:
        InputError: The array has another shape.
        PrerequisiteError: The judges' weights are missing or damaged.
    """
    if clips.ndim != 5 or clips.shape[-1] != 3 or clips.dtype != np.uint8:
        raise InputError(
            "the array is no set of clips",
            why=f"shape {clips.shape}, type {clips.dtype}",
            fix="give uint8 clips of shape [N, T, H, W, 3]",
        )
    detector = load_part("detector", device).network()
    action = load_part("action", device).network()
    scene = load_part("scene", device).network()
    readings: list[Reading] = []
    with torch.inference_mode():
        for start in range(0, len(clips), BATCH):
            some = clips[start : start + BATCH]
            flat = some.reshape(-1, *some.shape[2:])
            found = detector_part.detect(detector, flat)
            places = scene_part.probabilities(scene, flat).reshape(len(some), some.shape[1], -1)
            actions = action_part.probabilities(action, some)
            for k in range(len(some)):
                tracks = _tracks(found[k * some.shape[1] : (k + 1) * some.shape[1]])
                readings.append(
                    Reading(
                        shapes=tuple(t.shapes.most_common(1)[0][0] for t in tracks),
                        colors=tuple(t.colors.most_common(1)[0][0] for t in tracks),
                        centres=tuple(
                            (float(x), float(y))
                            for x, y in (np.mean(t.places, axis=0) for t in tracks)
                        ),
                        action=action_part.ACTIONS[int(actions[k].argmax())],
                        scene=scene_part.SCENES[int(places[k].mean(axis=0).argmax())],
                    )
                )
    return readings


def _match(reading: Reading, scene: Scene) -> list[int | None]:
    """For each sprite of the scene the read sprite that fits it best, by shape, then by colour."""
    wanted = scene.sprites
    seen: list[int | None] = [*range(len(reading.shapes))]
    seen += [None] * len(wanted)

    def fit(order: Iterable[int | None]) -> tuple[int, int]:
        pairs = [(s, k) for s, k in zip(wanted, order, strict=True) if k is not None]
        return (
            sum(s.shape == reading.shapes[k] for s, k in pairs),
            sum(s.color == reading.colors[k] for s, k in pairs),
        )

    return list(max(permutations(seen, len(wanted)), key=fit))


def _relation_holds(reading: Reading, order: Sequence[int | None], relation: str) -> bool:
    first, second = order[0], order[1]
    if first is None or second is None:
        return False
    dx = reading.centres[first][0] - reading.centres[second][0]
    dy = reading.centres[first][1] - reading.centres[second][1]
    left, right, top, bottom = RELATIONS
    if abs(dx) > abs(dy):
        return relation == (left if dx < 0 else right)
    return relation == (top if dy < 0 else bottom)


def agree(reading: Reading, scene: Scene, said: Said) -> dict[str, list[bool]]:
    """Which stated facts a reading confirms.

    Returns:
        Fact -> one truth a sprite (`shape`, `color`) or a clip (`shapes` and `colors`: all of the
        clip's sprites; `action`, `scene`, `relation`). Facts that were not stated are absent.
    """
    result: dict[str, list[bool]] = {}
    if said.sprites:
        order = _match(reading, scene)
        pairs = list(zip(scene.sprites, order, strict=True))
        right = [k is not None and reading.shapes[k] == s.shape for s, k in pairs]
        result["shape"], result["shapes"] = right, [all(right)]
        if said.colors:
            right = [k is not None and reading.colors[k] == s.color for s, k in pairs]
            result["color"], result["colors"] = right, [all(right)]
        if said.action:
            result["action"] = [reading.action == scene.action]
        if said.relation and scene.relation is not None and len(scene.sprites) > 1:
            result["relation"] = [_relation_holds(reading, order, scene.relation)]
    if said.scene:
        result["scene"] = [reading.scene == scene.scene]
    return result


def measure_teacher(
    clips: NDArray[np.uint8], scenes: Sequence[Scene], said: Sequence[Said], *, device: str = "cpu"
) -> dict[str, dict[str, Any]]:
    """Share of stated facts that the judges find in a model's clips.

    Args:
        clips: uint8 [N, T, H, W, 3], made from captions of `scenes`.
        scenes: What was asked for, one a clip.
        said: Which facts each caption stated; others do not count.
        device: Where the judges run.

    Returns:
        Fact (see `agree`) -> {"value", "n", "low", "high"} with Wilson's 95% interval.
    """
    hits: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    for reading, scene, words in zip(read_clips(clips, device=device), scenes, said, strict=True):
        for fact, truths in agree(reading, scene, words).items():
            hits[fact] += sum(truths)
            seen[fact] += len(truths)
    return {fact: asdict(share(hits[fact], n)) for fact, n in seen.items()}

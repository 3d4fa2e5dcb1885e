"""Spatial relationship: do two objects stand to each other as prompted (reference 3.12)."""

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Final

from turbo_eval.core.errors import unknown
from turbo_eval.core.records import Prompt
from turbo_eval.metrics.base import (
    REFERENCE,
    Features,
    Metric,
    MetricInfo,
    Score,
    guarded,
    ok,
    skipped,
)
from turbo_eval.metrics.compat import Compat, check_compat
from turbo_eval.metrics.read import fact
from turbo_eval.metrics.vbench._detections import Box, Frame, object_frames

OVERLAP: Final = 0.1
"""Boxes that overlap less than this (intersection over union) count in full."""

# Axis (0 across, 1 down) and the sign of centre(b) - centre(a) that the words ask for.
RELATIONS: Final[dict[str, tuple[int, int]]] = {
    "on the left of": (0, 1),
    "on the right of": (0, -1),
    "on the top of": (1, 1),
    "on the bottom of": (1, -1),
}

INFO: Final = MetricInfo(
    id="vbench.spatial_relationship",
    version=1,
    roles=("detector",),
    low=0.0,
    high=1.0,
    higher_is_better=True,
    reference=REFERENCE,
    needs=("spatial_relationship",),
    group="semantic",
    description="How clearly the two objects lie apart along the prompted axis, per frame.",
    quirks="Neither the side nor the difference of the two classes is checked.",
)


def overlap(a: Box, b: Box) -> float:
    """Return intersection over union, 0..1; 0 for boxes without area."""
    across = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    down = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    both = across * down
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both
    # The official program divides by zero here.
    return both / union if union > 0 else 0.0


def pair_value(a: Box, b: Box, axis: int) -> float:
    """Score two boxes along an axis, whichever comes first.

    Args:
        a: a box.
        b: another.
        axis: 0 for left and right, 1 for top and bottom.

    Returns:
        1 when the centres differ more along the axis than across it and the boxes hardly
        overlap; 0.1 / overlap when they do; 0 otherwise.
    """
    apart = [abs((b[i] + b[i + 2]) - (a[i] + a[i + 2])) / 2 for i in (0, 1)]
    if apart[axis] <= apart[1 - axis]:
        return 0.0
    shared = overlap(a, b)
    return 1.0 if shared < OVERLAP else OVERLAP / shared


def _truncated(box: Box) -> Box:
    x0, y0, x1, y1 = box
    return (math.trunc(x0), math.trunc(y0), math.trunc(x1), math.trunc(y1))


def _any_pair(frame: Frame, names: Sequence[str], axis: int) -> float:
    """Take every pair of boxes of either name, as the official program does."""
    found = [
        _truncated(box)
        for label, box in zip(frame.labels, frame.boxes, strict=True)
        if label in names
    ]
    return max((pair_value(a, b, axis) for a, b in combinations(found, 2)), default=0.0)


def _right_pair(frame: Frame, names: Sequence[str], axis: int, sign: int) -> float:
    """Take pairs of an a and a different b that lie on the prompted sides."""
    boxes = list(zip(frame.labels, frame.boxes, strict=True))
    best = 0.0
    for i, (label_a, a) in enumerate(boxes):
        for j, (label_b, b) in enumerate(boxes):
            if i == j or (label_a, label_b) != tuple(names):
                continue
            if sign * ((b[axis] + b[axis + 2]) - (a[axis] + a[axis + 2])) > 0:
                best = max(best, pair_value(a, b, axis))
    return best


def score(features: Features, prompt: Prompt, *, compat: Compat = "vbench") -> Score:
    """Score one video; the denominator is its count of sampled frames.

    Args:
        features: `detector.objects`, a packed list of frames with boxes in pixels.
        prompt: needs the facts object_a, object_b and relationship.
        compat: `vbench` takes any two boxes of either name, cut to whole pixels, on any side;
            `fixed` takes a box of object_a and one of object_b, on the prompted side.

    Returns:
        A score in 0..1, the mean of the frames' best pairs, a frame without a pair counting 0;
        skipped without the facts or without frames.

    Raises:
        InputError: if the detections are missing or malformed.
        UsageError: for an unknown `compat` or relation.
    """
    mode = check_compat(compat)
    keys = ("object_a", "object_b", "relationship")
    facts = [fact(prompt, "spatial_relationship", key) for key in keys]
    first, second, relation = facts
    if first is None or second is None or relation is None:
        return skipped("the prompt names no two objects and relation (spatial_relationship)")
    if relation not in RELATIONS:
        raise unknown("spatial relation", relation, RELATIONS)
    axis, sign = RELATIONS[relation]
    frames = object_frames(features)
    if not frames:
        return skipped("no sampled frames")
    if mode == "vbench":
        values = [_any_pair(frame, (first, second), axis) for frame in frames]
    else:
        values = [_right_pair(frame, (first, second), axis, sign) for frame in frames]
    return ok(math.fsum(values), len(values), frames=values)


def fixed(features: Features, prompt: Prompt) -> Score:
    """Score with `compat='fixed'`."""
    return score(features, prompt, compat="fixed")


METRIC: Final = Metric(INFO, guarded(score), guarded(fixed))

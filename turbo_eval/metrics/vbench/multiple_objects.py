"""Multiple objects: do both named objects appear in one frame (reference 3.10)."""

from typing import Final

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
from turbo_eval.metrics.read import fact
from turbo_eval.metrics.vbench._detections import object_frames

INFO: Final = MetricInfo(
    id="vbench.multiple_objects",
    version=1,
    roles=("detector",),
    low=0.0,
    high=1.0,
    higher_is_better=True,
    reference=REFERENCE,
    needs=("multiple_objects",),
    group="semantic",
    description="Share of 16 sampled frames in which the detector names every object.",
    quirks="A set of names is compared: 'bird and bird' is met by a single bird.",
)


def score(features: Features, prompt: Prompt) -> Score:
    """Score one video; the denominator is its count of sampled frames.

    Args:
        features: `detector.objects`, a packed list of frames.
        prompt: its fact multiple_objects.object joins the class names by " and ".

    Returns:
        A score in 0..1; skipped without the fact or without frames.

    Raises:
        InputError: if the detections are missing or malformed.
    """
    joined = fact(prompt, "multiple_objects", "object")
    if joined is None:
        return skipped("the prompt names no objects (auxiliary fact multiple_objects.object)")
    wanted = {name.strip() for name in joined.split(" and ")}
    frames = object_frames(features)
    if not frames:
        return skipped("no sampled frames")
    hits = sum(wanted <= set(frame.labels) for frame in frames)
    return ok(hits, len(frames), objects=sorted(wanted))


METRIC: Final = Metric(INFO, guarded(score))

"""Object class: does the named object appear (reference 3.9)."""

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
    id="vbench.object_class",
    version=1,
    roles=("detector",),
    low=0.0,
    high=1.0,
    higher_is_better=True,
    reference=REFERENCE,
    needs=("object_class",),
    group="semantic",
    description="Share of 16 sampled frames in which the detector names the object.",
)


def score(features: Features, prompt: Prompt) -> Score:
    """Score one video; the denominator is its count of sampled frames.

    Args:
        features: `detector.objects`, a packed list of frames.
        prompt: its fact object_class.object is the exact class name.

    Returns:
        A score in 0..1; skipped without the fact or without frames.

    Raises:
        InputError: if the detections are missing or malformed.
    """
    wanted = fact(prompt, "object_class", "object")
    if wanted is None:
        return skipped("the prompt names no object (auxiliary fact object_class.object)")
    frames = object_frames(features)
    if not frames:
        return skipped("no sampled frames")
    hits = sum(wanted in frame.labels for frame in frames)
    return ok(hits, len(frames), object=wanted)


METRIC: Final = Metric(INFO, guarded(score))

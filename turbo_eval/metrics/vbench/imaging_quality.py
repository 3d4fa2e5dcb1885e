"""Imaging quality: how free single frames are of noise, blur and bad exposure (reference 3.7)."""

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
from turbo_eval.metrics.read import numbers

INFO: Final = MetricInfo(
    id="vbench.imaging_quality",
    version=1,
    roles=("image_quality",),
    low=0.0,
    high=1.0,
    higher_is_better=True,
    reference=REFERENCE,
    needs=(),
    group="quality",
    description="Mean image quality of the frames, over 100.",
    quirks="The official file gives single videos on 0..100 and the aggregate on 0..1.",
)


def score(features: Features, prompt: Prompt) -> Score:  # noqa: ARG001
    """Score one video; the denominator is 1.

    Args:
        features: `image_quality.scores` [T], about 0..100.
        prompt: not read.

    Returns:
        A score of about 0..1 (the official per-video value over 100); skipped without frames.

    Raises:
        InputError: if the features are missing or not finite.
    """
    quality = numbers(features, "image_quality", "scores", 1)
    if not len(quality):
        return skipped("no frames")
    return ok(float(quality.mean()) / 100.0, 1)


METRIC: Final = Metric(INFO, guarded(score))

"""Aesthetic quality: how pleasing single frames are (reference 3.6)."""

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
    id="vbench.aesthetic_quality",
    version=1,
    roles=("aesthetic",),
    low=0.0,
    high=1.0,
    higher_is_better=True,
    reference=REFERENCE,
    needs=(),
    group="quality",
    description="Mean aesthetic rating of the frames, over 10.",
)


def score(features: Features, prompt: Prompt) -> Score:  # noqa: ARG001
    """Score one video; the denominator is 1.

    Args:
        features: `aesthetic.scores` [T], about 0..10. The rating is a linear function and may
            leave that range a little; it is not clipped.
        prompt: not read.

    Returns:
        A score of about 0..1; skipped without frames.

    Raises:
        InputError: if the features are missing or not finite.
    """
    ratings = numbers(features, "aesthetic", "scores", 1)
    if not len(ratings):
        return skipped("no frames")
    return ok(float(ratings.mean()) / 10.0, 1)


METRIC: Final = Metric(INFO, guarded(score))

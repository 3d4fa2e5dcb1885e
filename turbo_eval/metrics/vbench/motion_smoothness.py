"""Motion smoothness: can every second frame be predicted from its neighbours (reference 3.4)."""

from typing import Final

from turbo_eval.core.errors import InputError
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
    id="vbench.motion_smoothness",
    version=1,
    roles=("interpolation",),
    low=0.0,
    high=1.0,
    higher_is_better=True,
    reference=REFERENCE,
    needs=(),
    group="quality",
    description="One minus the mean error of interpolated odd frames, over 255.",
    quirks="With an even frame count the last frame is not used.",
)


def score(features: Features, prompt: Prompt) -> Score:  # noqa: ARG001
    """Score one video; the denominator is 1.

    Args:
        features: `interpolation.mae` [E-1], 0..255, one error per interpolated frame, where E is
            the count of even-numbered frames.
        prompt: not read.

    Returns:
        A score in 0..1; skipped below 3 frames.

    Raises:
        InputError: if the features are missing or not finite, or an error leaves 0..255.
    """
    errors = numbers(features, "interpolation", "mae", 1)
    if not len(errors):
        return skipped("fewer than 3 frames; interpolation needs a frame between two others")
    if errors.min() < 0 or errors.max() > 255:
        raise InputError(
            "an error in 'interpolation.mae' leaves 0..255",
            fix="extract the features of this video again",
        )
    return ok((255.0 - float(errors.mean())) / 255.0, 1)


METRIC: Final = Metric(INFO, guarded(score))

"""Subject consistency: does the subject look the same from frame to frame (reference 3.1)."""

from typing import Final

from turbo_eval.core.records import Prompt
from turbo_eval.metrics.base import REFERENCE, Features, Metric, MetricInfo, Score, guarded
from turbo_eval.metrics.read import numbers
from turbo_eval.metrics.vbench._consistency import consistency

INFO: Final = MetricInfo(
    id="vbench.subject_consistency",
    version=1,
    roles=("frame_features",),
    low=0.0,
    high=1.0,
    higher_is_better=True,
    reference=REFERENCE,
    needs=(),
    group="quality",
    description="Similarity of self-supervised frame features to the previous and first frame.",
)


def score(features: Features, prompt: Prompt) -> Score:  # noqa: ARG001
    """Score one video; the denominator is its count of frame pairs.

    Args:
        features: `frame_features.features` [T, D], any scale.
        prompt: not read.

    Returns:
        A score in 0..1; skipped below 2 frames.

    Raises:
        InputError: if the features are missing or not finite.
    """
    return consistency(numbers(features, "frame_features", "features", 2))


METRIC: Final = Metric(INFO, guarded(score))

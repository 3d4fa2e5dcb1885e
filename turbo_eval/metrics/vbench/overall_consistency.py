"""Overall consistency: does the video as a whole match its prompt (reference 3.16)."""

from typing import Final

from turbo_eval.core.records import Prompt
from turbo_eval.metrics.base import REFERENCE, Features, Metric, MetricInfo, Score, guarded
from turbo_eval.metrics.vbench._video_text import video_text_similarity

INFO: Final = MetricInfo(
    id="vbench.overall_consistency",
    version=1,
    roles=("video_text",),
    low=-1.0,
    high=1.0,
    higher_is_better=True,
    reference=REFERENCE,
    needs=(),
    group="semantic",
    description="Similarity of video and prompt, on prompts of all kinds.",
)


def score(features: Features, prompt: Prompt) -> Score:  # noqa: ARG001
    """Score one video; the denominator is 1.

    Args:
        features: `video_text.video` [D] and `video_text.text` [D], any scale.
        prompt: not read; its text is already in the features.

    Returns:
        The cosine, -1..1; it may be negative.

    Raises:
        InputError: if the features are missing, not finite, or of different widths.
    """
    return video_text_similarity(features)


METRIC: Final = Metric(INFO, guarded(score))

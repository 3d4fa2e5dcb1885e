"""Similarity of a whole video to its whole prompt, shared by two dimensions."""

import numpy as np

from turbo_eval.core.errors import InputError
from turbo_eval.metrics.base import Features, Score, ok
from turbo_eval.metrics.read import numbers
from turbo_eval.metrics.vbench._consistency import unit


def video_text_similarity(features: Features) -> Score:
    """Score one video by the cosine of its feature and the prompt's; the denominator is 1.

    Args:
        features: `video_text.video` [D] and `video_text.text` [D], any scale.

    Returns:
        A score in -1..1.

    Raises:
        InputError: if the features are missing, not finite, or of different widths.
    """
    video = numbers(features, "video_text", "video", 1)
    text = numbers(features, "video_text", "text", 1)
    if video.shape != text.shape:
        raise InputError(
            f"the video has {video.shape[0]} features, the text has {text.shape[0]}",
            fix="extract the features of this video again",
        )
    return ok(float(np.clip(unit(video) @ unit(text), -1.0, 1.0)), 1)

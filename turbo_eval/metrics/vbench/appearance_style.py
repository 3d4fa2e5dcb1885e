"""Appearance style: do the frames look like the named style (reference 3.14)."""

from typing import Final

import numpy as np

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
from turbo_eval.metrics.read import fact, has, numbers
from turbo_eval.metrics.vbench._consistency import unit

INFO: Final = MetricInfo(
    id="vbench.appearance_style",
    version=1,
    roles=("image_text",),
    low=-1.0,
    high=1.0,
    higher_is_better=True,
    reference=REFERENCE,
    needs=("appearance_style",),
    group="semantic",
    description="Similarity of the frames to the style phrase, in image-text space.",
)


def score(features: Features, prompt: Prompt) -> Score:
    """Score one video; the denominator is its count of frames.

    Args:
        features: `image_text.style_features` [T, D], `style_text` [D], any scale, and
            `logit_scale` [] (100 for the official network).
        prompt: must carry the fact appearance_style.

    Returns:
        The mean of logit_scale * cosine / 100 over frames, -1..1 at a scale of 100; skipped
        without the fact or without frames.

    Raises:
        InputError: if the features are missing, not finite, or of different widths.
    """
    style = fact(prompt, "appearance_style", "appearance_style")
    if style is None or not has(features, "image_text", "style_text"):
        # Without the fact the backbone has no phrase to embed, so both absences mean the same.
        if style is not None:
            raise InputError(
                "the part 'image_text' has no array 'style_text'",
                fix="extract the features of this video again",
            )
        return skipped("the prompt names no style (auxiliary fact appearance_style)")
    frames = numbers(features, "image_text", "style_features", 2)
    text = numbers(features, "image_text", "style_text", 1)
    scale = float(numbers(features, "image_text", "logit_scale", 0))
    if not len(frames):
        return skipped("no frames")
    if frames.shape[1] != text.shape[0]:
        raise InputError(
            f"frames have {frames.shape[1]} features, the style phrase has {text.shape[0]}",
            fix="extract the features of this video again",
        )
    cosines = np.clip(unit(frames) @ unit(text), -1.0, 1.0)
    values = scale * cosines / 100.0
    return ok(float(values.sum()), len(frames), style=style, frames=values.tolist())


METRIC: Final = Metric(INFO, guarded(score))

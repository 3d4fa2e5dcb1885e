"""Temporal flickering: how little neighbouring frames differ in brightness (reference 3.3)."""

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
from turbo_eval.metrics.read import has, numbers
from turbo_eval.metrics.vbench.static_filter import is_static

INFO: Final = MetricInfo(
    id="vbench.temporal_flickering",
    version=1,
    roles=("pixels", "flow"),
    low=0.0,
    high=1.0,
    higher_is_better=True,
    reference=REFERENCE,
    needs=(),
    group="quality",
    description="One minus the mean absolute difference of neighbouring frames, over 255.",
    quirks="Only meaningful on static clips; the detail `static` tells which ones are.",
)


def score(features: Features, prompt: Prompt) -> Score:  # noqa: ARG001
    """Score one video; the denominator is 1.

    A video that moves is scored all the same, as the official program does; VBench expects the
    caller to keep the static ones, and the detail `static` lets it.

    Args:
        features: `pixels.frame_mae` [T-1], 0..255; `flow` (see `static_filter`) may be absent.
        prompt: not read.

    Returns:
        A score in 0..1 with the detail `static` (None without flow); skipped below 2 frames.

    Raises:
        InputError: if the features are missing or not finite, or a difference leaves 0..255.
    """
    differences = numbers(features, "pixels", "frame_mae", 1)
    if not len(differences):
        return skipped("1 frame; comparing frames needs at least 2")
    if differences.min() < 0 or differences.max() > 255:
        raise InputError(
            "a difference in 'pixels.frame_mae' leaves 0..255",
            fix="extract the features of this video again",
        )
    static = is_static(features) if has(features, "flow", "static") else None
    return ok((255.0 - float(differences.mean())) / 255.0, 1, static=static)


METRIC: Final = Metric(INFO, guarded(score))

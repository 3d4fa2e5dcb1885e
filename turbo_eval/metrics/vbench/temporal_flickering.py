"""Temporal flickering: how little neighbouring frames differ in brightness (reference 3.3)."""

from dataclasses import replace
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
    roles=("pixels",),
    low=0.0,
    high=1.0,
    higher_is_better=True,
    reference=REFERENCE,
    needs=(),
    group="quality",
    description="One minus the mean absolute difference of neighbouring frames, over 255.",
    quirks="Only meaningful on static clips, and moving ones are scored all the same unless the "
    "static filter (--static-filter) is asked for.",
)


def score(features: Features, prompt: Prompt) -> Score:  # noqa: ARG001
    """Score one video; the denominator is 1.

    A video that moves is scored all the same, as the official program does; there the static
    filter is a step of its own, before scoring (`filtered`).

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


def filtered(features: Features, prompt: Prompt) -> Score:
    """Score one video if the static filter lets it pass; else it is left out.

    Args:
        features: as in `score`, with the arrays of `static_filter.is_static`.
        prompt: not read.

    Returns:
        As `score`; skipped for a video that moves.

    Raises:
        InputError: as `score`, and if `flow.static` is missing.
    """
    if len(numbers(features, "pixels", "frame_mae", 1)) and not is_static(features):
        return skipped("the static filter left it out: it moves", static=False)
    return score(features, prompt)


METRIC: Final = Metric(INFO, guarded(score))
FILTERED: Final = Metric(replace(INFO, roles=("pixels", "flow")), guarded(filtered))
"""The metric behind VBench's static filter; a run has one of the two, so their rows never mix."""

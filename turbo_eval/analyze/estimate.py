"""Values with intervals: of a metric, of a paired difference, and of the totals."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from turbo_eval.analyze.bootstrap import Counts, Floats, draw_counts, interval, ratios
from turbo_eval.analyze.cells import Cells
from turbo_eval.analyze.summary import Difference, Estimate, MetricSummary
from turbo_eval.metrics.normalise import NormalisationTable, Totals, totals

TOTALS = ("quality", "semantic", "total")

Replicates = Mapping[str, Floats]
"""Dimension -> float64 [B], the value in every resample."""


def with_interval(value: float | None, replicates: Floats, clusters: int) -> Estimate:
    """Join a value and its resamples; fewer than two prompts give no interval.

    Args:
        value: The value.
        replicates: float64 [B], NaN where a resample has none.
        clusters: Prompts that have a value.
    """
    ends = interval(replicates) if value is not None and clusters > 1 else None
    low, high = ends if ends is not None else (None, None)
    return Estimate(value=value, low=low, high=high)


def metric_summary(
    cells: Cells, prompts: Sequence[str], metric_id: str, *, of: int, version: int
) -> tuple[MetricSummary, Floats]:
    """Summarise one model in one metric.

    Args:
        cells: Its scores.
        prompts: Ids of the prompts that the metric serves.
        metric_id: Names the draws, which all models share.
        of: Videos that should have a value.
        version: Version of the metric.

    Returns:
        The summary and its resamples, float64 [B].
    """
    numerator, denominator = cells.sums(prompts)
    replicates = ratios(draw_counts(len(prompts), metric_id), numerator, denominator)
    estimate = with_interval(cells.value(), replicates, int(np.count_nonzero(denominator)))
    summary = MetricSummary(
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        n=cells.n,
        of=of,
        version=version,
    )
    return summary, replicates


def difference(cells: Cells, baseline: Cells, prompts: Sequence[str], metric_id: str) -> Difference:
    """Compare a model with the baseline on the videos that both have, pair by pair.

    Both are pooled over the same prompts and seeds, and a resample draws a prompt for both at
    once, so what they have in common cancels.

    Args:
        cells: The model's scores.
        baseline: The baseline's scores.
        prompts: Ids of the prompts that the metric serves.
        metric_id: Names the draws.
    """
    pairs = cells.by_slot.keys() & baseline.by_slot.keys()
    mine, theirs = cells.value(pairs), baseline.value(pairs)
    counts = draw_counts(len(prompts), metric_id)
    top, bottom = cells.sums(prompts, pairs)
    base_top, base_bottom = baseline.sums(prompts, pairs)
    replicates = ratios(counts, top, bottom) - ratios(counts, base_top, base_bottom)
    value = None if mine is None or theirs is None else mine - theirs
    estimate = with_interval(value, replicates, int(np.count_nonzero(bottom * base_bottom)))
    return Difference(value=estimate.value, low=estimate.low, high=estimate.high, pairs=len(pairs))


def joint_replicates(
    sums: Mapping[str, tuple[Floats, Floats]], counts: Counts, alone: Replicates
) -> dict[str, Floats]:
    """Resample all dimensions together, as totals need: one draw of prompts serves them all.

    A prompt that serves several dimensions moves them together. In a small suite a draw may miss
    every prompt of a dimension; that dimension's own draw stands in there.

    Args:
        sums: Dimension -> (numerators, denominators), float64 [P] over all prompts.
        counts: int64 [B, P] over all prompts.
        alone: Dimension -> float64 [B] of draws among its own prompts.
    """
    joint = {}
    for dimension, (numerator, denominator) in sums.items():
        together = ratios(counts, numerator, denominator)
        joint[dimension] = np.where(np.isnan(together), alone[dimension], together)
    return joint


def total_estimates(
    values: Mapping[str, float | None], replicates: Replicates, table: NormalisationTable | None
) -> tuple[dict[str, Estimate | None], dict[str, Floats]]:
    """Compute quality, semantic and total with intervals.

    Args:
        values: Dimension -> value; None and absent ones make every total that needs them None.
        replicates: Dimension -> joint resamples.
        table: The judges' own bounds and weights; VBench's when None.

    Returns:
        Total's name -> estimate or None, and total's name -> resamples for those that exist.
    """
    point = totals(values, table=table)
    known = {name: replicates[name] for name, value in values.items() if value is not None}
    size = len(next(iter(known.values()))) if known else 0
    resampled = [
        totals({name: _number(column[b]) for name, column in known.items()}, table=table)
        for b in range(size)
    ]
    estimates: dict[str, Estimate | None] = {}
    columns: dict[str, Floats] = {}
    for name in TOTALS:
        value = _part(name)(point)
        if value is None:
            estimates[name] = None
            continue
        columns[name] = np.array(
            [np.nan if (part := _part(name)(each)) is None else part for each in resampled]
        )
        estimates[name] = with_interval(value, columns[name], clusters=2)
    return estimates, columns


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _part(name: str) -> Callable[[Totals], float | None]:
    return lambda each: getattr(each, name)

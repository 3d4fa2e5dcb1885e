"""Keep a summary in its run folder: as JSON for programs, as Parquet for tables."""

from collections.abc import Iterator
from typing import Any

from turbo_eval.analyze.summary import Summary
from turbo_eval.core.records import ComparisonRow, SummaryRow, schema
from turbo_eval.core.runs import RunFolder
from turbo_eval.core.store import write_json_atomic, write_rows_atomic


def keep_summary(summary: Summary, run: RunFolder) -> dict[str, Any]:
    """Write `summary.parquet`, `comparison.parquet` and `summary.json`, in this order.

    Args:
        summary: What `summarize` found.
        run: The run it was found in.

    Returns:
        The object of `summary.json`.

    Raises:
        PrerequisiteError: The disk is full or the folder cannot be written.
    """
    write_rows_atomic(run.path / "summary.parquet", summary_rows(summary), schema(SummaryRow))
    rows = comparison_rows(summary)
    write_rows_atomic(run.path / "comparison.parquet", rows, schema(ComparisonRow))
    found = summary.to_json()
    write_json_atomic(run.path / "summary.json", found)
    return found


def summary_rows(summary: Summary) -> Iterator[SummaryRow]:
    """Yield one row per model and metric, in the order of the summary; totals are no metrics."""
    judges = summary.settings["judges"]["key"]
    for model, cells in summary.models.items():
        for metric, cell in cells.items():
            yield SummaryRow(
                model=model,
                metric=metric,
                metric_version=cell.version,
                judges=judges,
                value=cell.value,
                low=cell.low,
                high=cell.high,
                n=cell.n,
                of=cell.of,
            )


def comparison_rows(summary: Summary) -> Iterator[ComparisonRow]:
    """Yield one row per model other than the baseline and metric: the paired difference."""
    judges, baseline = summary.settings["judges"]["key"], summary.baseline
    for model, cells in summary.differences.items():
        for metric, cell in cells.items():
            known = summary.models[model].get(metric)
            # Differences of totals stand beside those of metrics in summary.json.
            if known is None or baseline is None:
                continue
            yield ComparisonRow(
                model=model,
                baseline=baseline,
                metric=metric,
                metric_version=known.version,
                judges=judges,
                value=cell.value,
                low=cell.low,
                high=cell.high,
                pairs=cell.pairs,
            )

"""A summary read for showing: checked once, then every table, plot and sentence reads this.

The report takes the plain object that `summary.json` holds, not the classes of the analysis, so
that a page can be made again from the file alone.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from turbo_eval.core.errors import InputError
from turbo_eval.metrics.base import FIXED_SUFFIX
from turbo_eval.metrics.rewards.base import PREFIX as REWARD
from turbo_eval.prompts.dimensions import DIMENSIONS

PREFIX: Final = "vbench."

QUALITY: Final = DIMENSIONS[:7]
"""The dimensions behind the quality total, in VBench's order (arXiv 2311.17982)."""

SEMANTIC: Final = DIMENSIONS[7:]
"""The dimensions behind the semantic total."""

GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "quality": QUALITY,
    "semantic": SEMANTIC,
    "total": DIMENSIONS,
}
"""Which dimensions each total needs."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A value with its 95% interval and counts; None where there is none, which is never zero.

    Attributes:
        value: Usually on 0..1.
        low: Lower end of the interval.
        high: Upper end of the interval.
        n: Videos (or pairs of videos) that have a value.
        of: Videos that should have one.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    of: int | None = None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Both ends, or None when either is absent."""
        if self.value is None or self.low is None or self.high is None:
            return None
        return self.low, self.high

    @property
    def incomplete(self) -> bool:
        """Whether some video that should have a value has none."""
        return self.n is not None and self.of is not None and self.n < self.of


ABSENT: Final = Cell()


@dataclass(frozen=True, slots=True)
class ReportData:
    """Everything the page shows besides the clips.

    Attributes:
        models: Labels in the order of the summary.
        scores: Label -> metric id without `vbench.` -> value.
        totals: Label -> `quality`, `semantic`, `total` -> value; absent where a dimension is.
        differences: Label -> metric id without `vbench.`, or a total's name -> difference.
        baseline: The label that the differences are against.
        judges: Name of the judges.
        partial: Reasons why the set is not complete.
        failures: Items without a result: stage, model, prompt, item, reason.
        bounds: Dimension -> (worst, best), for the normalised plot; empty when not given.
        settings: What was run.
        provenance: Where and with what.
    """

    models: tuple[str, ...]
    scores: Mapping[str, Mapping[str, Cell]]
    totals: Mapping[str, Mapping[str, Cell]]
    differences: Mapping[str, Mapping[str, Cell]]
    baseline: str | None
    judges: str
    partial: tuple[str, ...]
    failures: tuple[Mapping[str, str], ...]
    bounds: Mapping[str, tuple[float, float]]
    settings: Mapping[str, Any]
    provenance: Mapping[str, Any]

    def score(self, model: str, metric: str) -> Cell:
        """The value of one model in one metric; `ABSENT` when there is none."""
        return self.scores.get(model, {}).get(metric, ABSENT)

    def total(self, model: str, name: str) -> Cell:
        """A model's `quality`, `semantic` or `total`; `ABSENT` when a dimension is missing."""
        return self.totals.get(model, {}).get(name, ABSENT)

    def difference(self, model: str, metric: str) -> Cell:
        """A model minus the baseline in one metric or total; `ABSENT` when not known."""
        return self.differences.get(model, {}).get(metric, ABSENT)

    def missing(self, name: str) -> tuple[str, ...]:
        """The dimensions that a total needs and that at least one model lacks."""
        return tuple(
            d for d in GROUPS[name] if any(self.score(m, d).value is None for m in self.models)
        )

    @property
    def others(self) -> tuple[str, ...]:
        """Metrics beside the 16 dimensions, in alphabetical order."""
        found = {metric for table in self.scores.values() for metric in table}
        return tuple(sorted(found - set(DIMENSIONS)))

    @property
    def qualified(self) -> bool:
        """Whether every total must carry the word partial."""
        # A reward is in no total, so one that lacks videos makes none partial.
        short = any(
            cell.incomplete
            for table in self.scores.values()
            for metric, cell in table.items()
            if not metric.startswith(REWARD)
        )
        return bool(self.partial) or short or bool(self.missing("total"))


def read(summary: Mapping[str, Any]) -> ReportData:
    """Check a summary and bring it into the shape that the page shows.

    A total is dropped when a dimension that it needs is absent, whatever the summary claims.

    Args:
        summary: The object of `summary.json`.

    Returns:
        The data of the page.

    Raises:
        InputError: There is no model, or a table has another form.
    """
    tables = _mapping(summary.get("models"), "models")
    if not tables:
        raise InputError(
            "the summary holds no model",
            why="nothing has been scored in this run yet",
            fix="run the generate, features and score stages first",
        )
    scores = {str(m): _cells(t, f"models[{m!r}]") for m, t in tables.items()}
    given = _mapping(summary.get("totals", {}), "totals")
    totals = {
        model: _honest(_cells(given.get(model, {}), f"totals[{model!r}]"), scores[model])
        for model in scores
    }
    differences = _mapping(summary.get("differences") or {}, "differences")
    settings = _mapping(summary.get("settings") or {}, "settings")
    baseline = summary.get("baseline")
    return ReportData(
        models=tuple(scores),
        scores=scores,
        totals=totals,
        differences={
            str(m): _cells(t, f"differences[{m!r}]")
            for m, t in differences.items()
            if m in scores and m != baseline
        },
        baseline=str(baseline) if baseline in scores else None,
        judges=_judges(summary.get("judges")),
        partial=_reasons(summary.get("partial")),
        failures=tuple(_failures(summary.get("failures") or ())),
        bounds=_bounds(summary.get("normalisation") or settings.get("normalisation") or {}),
        settings=settings,
        provenance=_mapping(summary.get("provenance") or {}, "provenance"),
    )


def _honest(totals: Mapping[str, Cell], scores: Mapping[str, Cell]) -> dict[str, Cell]:
    return {
        name: cell
        for name, cell in totals.items()
        if all(scores.get(d, ABSENT).value is not None for d in GROUPS.get(name, ()))
    }


def _cells(table: Any, where: str) -> dict[str, Cell]:
    return {
        str(name).removeprefix(PREFIX).removesuffix(FIXED_SUFFIX): _cell(cell, f"{where}[{name!r}]")
        for name, cell in _mapping(table, where).items()
    }


def _cell(cell: Any, where: str) -> Cell:
    if cell is None:
        return ABSENT
    fields = _mapping(cell, where)
    return Cell(
        value=_number(fields.get("value"), where),
        low=_number(fields.get("low"), where),
        high=_number(fields.get("high"), where),
        n=_count(fields.get("n", fields.get("pairs")), where),
        of=_count(fields.get("of", fields.get("pairs")), where),
    )


def _number(value: Any, where: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _wrong(where, f"{value!r} is no number")
    return float(value) if math.isfinite(value) else None


def _count(value: Any, where: str) -> int | None:
    number = _number(value, where)
    return None if number is None else int(number)


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _wrong(where, f"expected a table of names, found {type(value).__name__}")
    return value


def _wrong(where: str, why: str) -> InputError:
    return InputError(
        f"the summary cannot be shown, at {where}",
        why=why,
        fix="make it again with the summarize command",
    )


def _judges(value: Any) -> str:
    if isinstance(value, Mapping):
        value = value.get("name")
    return str(value) if value else "unnamed"


def _reasons(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,) if value else ()
    if isinstance(value, Iterable):
        return tuple(str(reason) for reason in value)
    return ("the set is not complete",) if value else ()


def _failures(rows: Sequence[Any]) -> Iterable[dict[str, str]]:
    keys = ("stage", "model", "prompt", "item", "reason")
    for row in rows:
        fields = _mapping(row, "failures")
        yield {key: str(fields.get(key, "")) for key in keys}


def _bounds(table: Any) -> dict[str, tuple[float, float]]:
    bounds = {}
    for name, entry in _mapping(table, "normalisation").items():
        where = f"normalisation[{name!r}]"
        if isinstance(entry, Mapping):
            ends = entry.get("min"), entry.get("max")
        elif isinstance(entry, Sequence) and not isinstance(entry, str) and len(entry) >= 2:
            ends = entry[0], entry[1]
        else:
            raise _wrong(where, "expected min and max")
        low, high = _number(ends[0], where), _number(ends[1], where)
        if low is not None and high is not None and low < high:
            bounds[str(name).removeprefix(PREFIX)] = (low, high)
    return bounds

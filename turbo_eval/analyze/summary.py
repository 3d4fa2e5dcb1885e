"""The shape of a summary: what `summary.json` holds and every report reads."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A value with its 95% interval; None where there is none, which is never zero.

    Attributes:
        value: The value on 0..1.
        low: Lower end of the interval.
        high: Upper end of the interval.
    """

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSummary(Estimate):
    """A model's value in one metric.

    Attributes:
        n: Videos that have a value.
        of: Videos that should have one: prompts that the metric serves times seeds.
        version: Version of the metric.
    """

    n: int
    of: int
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference(Estimate):
    """A model minus the baseline in one metric, paired by prompt and seed.

    Attributes:
        pairs: Pairs of videos that both have a value.
    """

    pairs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One item that has no result.

    Attributes:
        stage: `generate`, `features` or `score`.
        model: Label of the model.
        prompt: Text of the prompt.
        item: What failed: a video, a backbone or a metric.
        reason: Why.
    """

    stage: str
    model: str
    prompt: str
    item: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Everything that a report of one run needs.

    Attributes:
        models: Label of the model -> metric id -> value with interval and counts.
        totals: Label -> `quality`, `semantic`, `total` -> estimate; None where a dimension that the
            total needs is missing.
        differences: Label -> metric id or total -> difference to the baseline, which is absent.
        baseline: Label of the first model, None in an empty run.
        normalisation: Dimension -> (worst, best) raw score of these judges.
        judges: Name of the judges. Totals of other judges than `official` are not VBench totals.
        settings: What was run: suite, models with steps and guidance, seeds, subset, bootstrap.
        provenance: Versions, device and weights; differs between machines.
        partial: Why the set is not complete, one reason each; empty when it is complete.
        failures: Items without a result.
    """

    models: Mapping[str, Mapping[str, MetricSummary]]
    totals: Mapping[str, Mapping[str, Estimate | None]]
    differences: Mapping[str, Mapping[str, Difference]]
    baseline: str | None
    judges: str
    normalisation: Mapping[str, tuple[float, float]]
    settings: Mapping[str, Any]
    provenance: Mapping[str, Any]
    partial: Sequence[str]
    failures: Sequence[Failure]

    def to_json(self) -> dict[str, Any]:
        """Return the object that `summary.json` holds and `--json` prints."""
        return {
            "models": _plain(self.models),
            "totals": _plain(self.totals),
            "differences": _plain(self.differences),
            "baseline": self.baseline,
            "judges": self.judges,
            "normalisation": {name: list(ends) for name, ends in self.normalisation.items()},
            "settings": dict(self.settings),
            "partial": list(self.partial),
            "failures": [asdict(failure) for failure in self.failures],
            "provenance": dict(self.provenance),
        }


def _plain(table: Mapping[str, Mapping[str, Estimate | None]]) -> dict[str, dict[str, Any]]:
    return {
        row: {name: None if cell is None else asdict(cell) for name, cell in cells.items()}
        for row, cells in table.items()
    }

"""VBench figures that others published, and a run's own beside them.

`published.json` holds the figures in percent, each row with its source, who ran VBench, and why it
cannot be compared with a run of the plain protocol, if it cannot: rewritten prompts, long clips,
another evaluator's settings. Figures are compared only with those of VBench's own networks; the
small judges measure something else, so their scores are refused here.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from turbo_eval.core.errors import InputError, UsageError, unknown
from turbo_eval.prompts.dimensions import DIMENSIONS
from turbo_eval.report.data import Cell, ReportData

FILE: Final = Path(__file__).with_name("published.json")
OFFICIAL: Final = "official"
TOTALS: Final = ("total", "quality", "semantic")
METRICS: Final = (*TOTALS, *DIMENSIONS)
"""Rows of the tables: the papers print the totals first."""
PAPERS: Final[Mapping[str, str]] = {
    "1": "v1.1",
    "4": "v1.4",
    "v2": "v2",
    "top": "top",
    "leaderboard": "leaderboard",
}
"""What a user types to the name of the group in the file: tables 1 and 4 of T2V-Turbo (arXiv
2405.18750), the results of its second version, the top of the leaderboard, all newer rows of it."""
PROTOCOL_VIDEOS: Final = 5
"""Videos per prompt in VBench's protocol."""


@dataclass(frozen=True, slots=True)
class Published:
    """One published row.

    Attributes:
        key: Short name to choose it by.
        name: As published.
        steps: Sampling steps; None when not documented.
        system: The name under which this package draws with the same system, or empty.
        papers: Groups it belongs to, see `PAPERS`.
        source: Where the figures stand.
        evaluated_by: Who ran VBench.
        not_comparable: Why it is no figure of the plain protocol; empty when it is.
        note: What else a reader must know.
        scores: Metric to percent; what was not published is absent.
    """

    key: str
    name: str
    steps: int | None
    system: str
    papers: tuple[str, ...]
    source: str
    evaluated_by: str
    not_comparable: tuple[str, ...]
    note: str
    scores: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Beside:
    """A run's models beside published rows, in percent.

    Attributes:
        title: What the table shows.
        models: Labels of the run.
        rows: The published rows.
        ours: Label to metric to value; what a run does not have is absent.
        intervals: Label to metric to the ends of the 95% interval, where known.
        partial: Why the run's set is not complete.
        remarks: Why the run itself is not of the plain protocol, one sentence each.
    """

    title: str
    models: tuple[str, ...]
    rows: tuple[Published, ...]
    ours: Mapping[str, Mapping[str, float]]
    intervals: Mapping[str, Mapping[str, tuple[float, float]]]
    partial: tuple[str, ...]
    remarks: tuple[str, ...]

    def difference(self, model: str, row: Published, metric: str) -> float | None:
        """Ours minus theirs in points; None when either is absent."""
        own, theirs = self.ours[model].get(metric), row.scores.get(metric)
        return None if own is None or theirs is None else own - theirs

    def notes(self) -> list[str]:
        """What must stand below the table: faults of the comparison first, then the sources."""
        lines = [f"Partial: {reason}." for reason in self.partial]
        lines += [f"Not the plain protocol: {remark}." for remark in self.remarks]
        for row in self.rows:
            told = f"{row.name}: {row.source}; VBench run by {row.evaluated_by}."
            if row.note:
                told += f" {row.note}"
            if row.not_comparable:
                told += f" Not comparable: {'; '.join(row.not_comparable)}."
            lines.append(told)
        return lines


@cache
def published() -> Mapping[str, Published]:
    """Every published row by its key, in the order of the file."""
    rows = json.loads(FILE.read_text(encoding="utf-8"))["rows"]
    return {
        row["key"]: Published(
            **{
                **row,
                "papers": tuple(row["papers"]),
                "not_comparable": tuple(row["not_comparable"]),
            }
        )
        for row in rows
    }


def choose(paper: str | None = None, keys: Iterable[str] = ()) -> tuple[Published, ...]:
    """The rows of a paper's table, or those named one by one.

    Args:
        paper: A key of `PAPERS`.
        keys: Keys of rows; they follow those of the paper.

    Raises:
        UsageError: No such table or row.
    """
    table = published()
    chosen: dict[str, Published] = {}
    if paper is not None:
        if paper not in PAPERS:
            raise unknown("table", paper, PAPERS)
        chosen = {key: row for key, row in table.items() if PAPERS[paper] in row.papers}
    for key in keys:
        if key not in table:
            raise unknown("published row", key, table)
        chosen[key] = table[key]
    if not chosen:
        raise UsageError("no published row is chosen", fix="name a table or a row")
    return tuple(chosen.values())


def beside(
    data: ReportData, rows: Sequence[Published], *, title: str, models: Sequence[str] = ()
) -> Beside:
    """Put a run beside published rows.

    Args:
        data: What `turbo_eval.report.data.read` made of a summary.
        rows: From `choose`.
        title: What the table shows.
        models: Labels to show; all when empty.

    Raises:
        InputError: The run was not scored by VBench's own networks.
        UsageError: A label is none of the run's.
    """
    if data.judges != OFFICIAL:
        raise InputError(
            f"this run was scored by the judges {data.judges!r}",
            why="published VBench figures come from VBench's own networks; other judges measure "
            "something else, and a difference between the two would mean nothing",
            fix=f"score the run with --judges {OFFICIAL} (turbo-eval weights pull)",
        )
    for label in models:
        if label not in data.models:
            raise unknown("model of this run", label, data.models)
    labels = tuple(models) or data.models
    cells = {label: _cells(data, label) for label in labels}
    return Beside(
        title=title,
        models=labels,
        rows=tuple(rows),
        ours={
            label: {m: 100 * c.value for m, c in found.items() if c.value is not None}
            for label, found in cells.items()
        },
        intervals={
            label: {
                m: (100 * c.interval[0], 100 * c.interval[1])
                for m, c in found.items()
                if c.interval is not None
            }
            for label, found in cells.items()
        },
        partial=data.partial,
        remarks=tuple(_remarks(data.settings)),
    )


def _cells(data: ReportData, label: str) -> dict[str, Cell]:
    # A total of an incomplete set is no total of VBench, whatever the summary says.
    totals = {} if data.partial else {name: data.total(label, name) for name in TOTALS}
    return {**totals, **{d: data.score(label, d) for d in DIMENSIONS}}


def _remarks(settings: Mapping[str, Any]) -> Iterable[str]:
    """Where a run's settings leave VBench's protocol."""
    suite = settings.get("suite")
    name = suite.get("name") if isinstance(suite, Mapping) else suite
    if name is not None and name != "vbench":
        yield f"the prompts are those of suite {name}"
    if settings.get("rewritten"):
        yield "the prompts were rewritten"
    seeds = settings.get("seeds")
    if isinstance(seeds, int) and seeds != PROTOCOL_VIDEOS:
        yield f"{seeds} videos per prompt, where the protocol has {PROTOCOL_VIDEOS}"
    if settings.get("compat") == "fixed":
        yield "some dimensions were computed without the quirks of VBench's program"
    for model in settings.get("models") or ():
        frames, fps = model.get("frames") or 0, model.get("fps") or 0
        if fps and frames / fps >= 5:
            yield f"clips of {model['label']} last {frames / fps:.1f} s, which is VBench-Long's"

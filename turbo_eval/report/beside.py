"""The table of a run beside published figures, as text, Markdown, CSV and LaTeX.

One row per metric, the totals first as the papers print them; a column for each of the run's
models, then for each published row its figure and ours minus theirs.
"""

import csv
import io
from collections.abc import Callable, Mapping
from typing import Any, Final

from turbo_eval.report.published import METRICS, Beside, Published
from turbo_eval.report.tables import csv_text, latex_escaped, markdown_escaped
from turbo_eval.report.text import label, number

Cells = list[list[str]]


def cells(table: Beside, *, intervals: bool = False) -> tuple[list[str], Cells]:
    """Header and rows of the table, as text.

    A star marks published rows that are not comparable. With several models, differences are of
    the first one.

    Args:
        table: The comparison.
        intervals: Whether our values carry their 95% interval.

    Returns:
        The header, and one row per metric: its name, ours, then published figures and differences.
    """
    first = table.models[0]
    header = ["Percent", *table.models]
    for row in table.rows:
        header += [f"{row.name}{'*' if row.not_comparable else ''}", "difference"]
    rows = []
    for metric in METRICS:
        line = [label(metric)]
        for model in table.models:
            text = number(table.ours[model].get(metric), scale=1)
            ends = table.intervals[model].get(metric)
            line.append(f"{text} [{ends[0]:.2f}, {ends[1]:.2f}]" if ends and intervals else text)
        for row in table.rows:
            line.append(number(row.scores.get(metric), scale=1))
            line.append(number(table.difference(first, row, metric), scale=1, sign=True))
        rows.append(line)
    return header, rows


def markdown(table: Beside) -> str:
    """The table in Markdown, with its notes."""
    header, rows = cells(table, intervals=True)
    lines = [f"**{markdown_escaped(table.title)}**", ""]
    lines.append("| " + " | ".join(map(markdown_escaped, header)) + " |")
    lines.append("| --- |" + " ---: |" * (len(header) - 1))
    lines += ["| " + " | ".join([markdown_escaped(row[0]), *row[1:]]) + " |" for row in rows]
    below = [f"- {markdown_escaped(note)}" for note in notes(table)]
    return "\n".join([*lines, "", *below]) + "\n"


def table_csv(table: Beside) -> str:
    """The table as CSV: one line per metric and column, in percent, empty where absent."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["metric", "name", "kind", "value", "difference", "comparable", "source"])
    first = table.models[0]
    for metric in METRICS:
        for model in table.models:
            value = table.ours[model].get(metric)
            writer.writerow([metric, csv_text(model), "ours", _digits(value), "", "", ""])
        for row in table.rows:
            writer.writerow(
                [
                    metric,
                    csv_text(row.name),
                    "published",
                    _digits(row.scores.get(metric)),
                    _digits(table.difference(first, row, metric)),
                    "no" if row.not_comparable else "yes",
                    row.source,
                ]
            )
    return out.getvalue()


def _digits(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}".rstrip("0").rstrip(".")


def latex(table: Beside) -> str:
    """The table in LaTeX for the booktabs package; the notes stand as comments above it."""
    header, rows = cells(table)
    lines = [f"% {' '.join(note.split())}" for note in (table.title, *notes(table))]
    lines += [f"\\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}", "\\toprule"]
    lines.append(" & ".join(map(latex_escaped, header)) + " \\\\")
    lines.append("\\midrule")
    for row in rows:
        numbers = [text.replace("-", "$-$") if text != "-" else "--" for text in row[1:]]
        lines.append(" & ".join([latex_escaped(row[0]), *numbers]) + " \\\\")
        if row[0] == label("semantic"):
            lines.append("\\midrule")
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"]) + "\n"


def notes(table: Beside) -> list[str]:
    """What must stand below the table, one sentence or more a line."""
    first = [f"Differences are {table.models[0]} minus the published figure, in points."]
    if any(row.not_comparable for row in table.rows):
        first.append("* is no figure of the plain protocol and is shown for orientation only.")
    return [*first, *table.notes()]


FORMATS: Final[Mapping[str, Callable[[Beside], str]]] = {
    "markdown": markdown,
    "csv": table_csv,
    "latex": latex,
}


def to_json(table: Beside) -> dict[str, Any]:
    """The comparison as plain values, in percent; what is absent is missing, never 0."""
    return {
        "title": table.title,
        "ours": {
            model: {
                metric: {"value": value, "interval": table.intervals[model].get(metric)}
                for metric, value in table.ours[model].items()
            }
            for model in table.models
        },
        "published": [_row_json(table, row) for row in table.rows],
        "partial": list(table.partial),
        "remarks": list(table.remarks),
    }


def _row_json(table: Beside, row: Published) -> dict[str, Any]:
    return {
        "key": row.key,
        "name": row.name,
        "steps": row.steps,
        "source": row.source,
        "evaluated_by": row.evaluated_by,
        "comparable": not row.not_comparable,
        "why_not": list(row.not_comparable),
        "note": row.note,
        "scores": dict(row.scores),
        "differences": {
            model: {
                metric: difference
                for metric in METRICS
                if (difference := table.difference(model, row, metric)) is not None
            }
            for model in table.models
        },
    }

"""One table model, written as Markdown, CSV and LaTeX; the page renders the same rows."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from turbo_eval.report.data import ABSENT, GROUPS, PREFIX, QUALITY, SEMANTIC, Cell, ReportData
from turbo_eval.report.notices import partial_reasons
from turbo_eval.report.text import counts, label, number, random_note, tidy

Mark = Literal["best", "second", ""]

Kind = Literal["metric", "group", "other"]

_LATEX: Final[Mapping[str, str]] = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
}

_MARKDOWN: Final = "\\`*_{}[]<>#|~&!$"

_CSV_HEADER: Final = (
    "group", "metric", "model", "value", "low", "high", "n", "of", "mark", "partial"
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the main table.

    Attributes:
        kind: `metric` (a dimension), `group` (a total over dimensions) or `other` (a metric beside
            the 16 dimensions, shown on its own scale).
        group: `quality`, `semantic`, `total` or `other`.
        metric: Metric id without the prefix, or the total's name.
        label: For people.
        cells: Label of the model -> value.
        marks: Label of the model -> whether it is the best or second best shown value.
        partial: Whether the number must carry the word partial (totals only).
    """

    kind: Kind
    group: str
    metric: str
    label: str
    cells: Mapping[str, Cell]
    marks: Mapping[str, Mark]
    partial: bool

    @property
    def scale(self) -> float:
        """Dimensions and totals are shown times 100, other metrics as they are."""
        return 1.0 if self.kind == "other" else 100.0

    @property
    def digits(self) -> int:
        """Decimals shown."""
        return 4 if self.kind == "other" else 2


def rows(data: ReportData) -> list[Row]:
    """The lines of the main table: each group's dimensions, its total, then the rest.

    Args:
        data: What `data.read` made of a summary.

    Returns:
        16 dimension rows and 3 group rows in VBench's order, then one row for each other metric.
    """
    made = [_metric_row(data, d, "quality") for d in QUALITY]
    made.append(_group_row(data, "quality"))
    made += [_metric_row(data, d, "semantic") for d in SEMANTIC]
    made.append(_group_row(data, "semantic"))
    made.append(_group_row(data, "total"))
    made += [_metric_row(data, m, "other") for m in data.others]
    return made


def _metric_row(data: ReportData, metric: str, group: str) -> Row:
    cells = {m: data.score(m, metric) for m in data.models}
    kind: Kind = "other" if group == "other" else "metric"
    # Which direction is better is known for the 16 dimensions only.
    marks = _marks(cells) if kind == "metric" else _no_marks(cells)
    return Row(kind, group, metric, label(metric), cells, marks, partial=False)


def _group_row(data: ReportData, name: str) -> Row:
    cells = {m: data.total(m, name) for m in data.models}
    short = any(data.score(m, d).incomplete for m in data.models for d in GROUPS[name])
    partial = short or bool(data.partial) or bool(data.missing(name))
    return Row("group", name, name, label(name), cells, _marks(cells), partial)


def _no_marks(cells: Mapping[str, Cell]) -> dict[str, Mark]:
    return dict.fromkeys(cells, "")


def _marks(cells: Mapping[str, Cell]) -> dict[str, Mark]:
    """Best and second best by the value as shown, so that equal numbers get equal marks."""
    marks = _no_marks(cells)
    shown = {m: round(c.value * 100, 2) for m, c in cells.items() if c.value is not None}
    ranks = sorted(set(shown.values()), reverse=True)
    # With one value, or all equal, a mark would say nothing.
    if len(shown) < 2 or len(ranks) < 2:
        return marks
    for model, value in shown.items():
        if value == ranks[0]:
            marks[model] = "best"
        elif value == ranks[1] and len(shown) > 2:
            marks[model] = "second"
    return marks


def row_counts(row: Row) -> str:
    """The counts of a row: one "n/N" when all models agree, else one for each model."""
    each = [counts(cell) for cell in row.cells.values()]
    return each[0] if len(set(each)) == 1 else ", ".join(each)


def row_label(row: Row) -> str:
    """The label, with the word partial where the number needs it."""
    return f"{row.label} (partial)" if row.partial else row.label


def _value(row: Row, cell: Cell) -> str:
    return number(cell.value, scale=row.scale, digits=row.digits)


def _interval(row: Row, cell: Cell) -> str:
    if cell.interval is None:
        return ""
    low, high = (number(v, scale=row.scale, digits=row.digits) for v in cell.interval)
    return f"[{low}, {high}]"


def markdown(data: ReportData) -> str:
    """The main table as Markdown: best in bold, second best underlined, a dash for absent.

    Dimensions and totals are times 100, intervals are 95%.
    """
    header = [_corner(data), *(markdown_escaped(m) for m in data.models), "n of N"]
    lines = [header]
    for row in rows(data):
        name = markdown_escaped(row_label(row))
        cells = [_markdown_cell(row, m) for m in data.models]
        last = "" if row.kind == "group" else row_counts(row)
        lines.append([f"**{name}**" if row.kind == "group" else name, *cells, last])
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    rule = ["-" * max(3, widths[0]), *("-" * (max(3, w) - 1) + ":" for w in widths[1:])]
    widths = [max(3, w) for w in widths]
    body = [_markdown_line(line, widths) for line in lines]
    body.insert(1, _markdown_line(rule, widths))
    notes = [f"Values x 100 with 95% intervals. Judges: {markdown_escaped(data.judges)}."]
    notes += [f"Partial: {markdown_escaped(reason)}." for reason in _sentences(data)]
    return "\n".join([*body, "", *notes]) + "\n"


def _corner(data: ReportData) -> str:
    """The head of the first column, where a warning is copied along with any part of a table."""
    return " - ".join(filter(None, ["Dimension", random_note(data.judges)]))


def _markdown_line(cells: list[str], widths: list[int]) -> str:
    first, *rest = (
        cell.ljust(width) if i == 0 else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "| " + " | ".join([first, *rest]) + " |"


def _markdown_cell(row: Row, model: str) -> str:
    cell = row.cells[model]
    if cell.value is None:
        return "-"
    value = _value(row, cell)
    value = {"best": f"**{value}**", "second": f"<u>{value}</u>"}.get(row.marks[model], value)
    interval = _interval(row, cell)
    return f"{value} {interval}" if interval else value


def markdown_escaped(text: str) -> str:
    """Text of others that Markdown shows as it is."""
    return "".join(f"\\{c}" if c in _MARKDOWN else c for c in tidy(text, 200))


def table_csv(data: ReportData) -> str:
    """The main table as CSV, one line for each model and metric, on the summary's own scale.

    Values keep every digit and are not multiplied; an absent one is an empty field.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_CSV_HEADER)
    random = random_note(data.judges)
    for row in rows(data):
        prefix = PREFIX if row.kind == "metric" else ""
        for model in data.models:
            cell = row.cells[model]
            fields = [_csv_field(v) for v in (cell.value, cell.low, cell.high, cell.n, cell.of)]
            name = csv_text(tidy(model, 200))
            partial = "; ".join(filter(None, ["partial" if row.partial else "", random]))
            writer.writerow(
                [row.group, prefix + row.metric, name, *fields, row.marks[model], partial]
            )
    return out.getvalue()


def _csv_field(value: float | None) -> str:
    return "" if value is None else repr(value)


def csv_text(text: str) -> str:
    """Keep a name from being read as a formula by a spreadsheet."""
    return f"'{text}" if text[:1] in {"=", "+", "-", "@"} else text


def latex(data: ReportData) -> str:
    r"""The main table as LaTeX for the booktabs package, without a float around it.

    Best in bold, second best underlined, a dash for absent; intervals stand in small type.
    """
    heads = " & ".join([_corner(data), *(latex_escaped(m) for m in data.models), "$n/N$"])
    lines = [
        "% Needs \\usepackage{booktabs}. Values x 100 with 95% intervals. "
        f"Judges: {_one_line(data.judges)}.",
        *(f"% Partial: {_one_line(reason)}." for reason in _sentences(data)),
        f"\\begin{{tabular}}{{l{'r' * len(data.models)}r}}",
        "\\toprule",
        f"{heads} \\\\",
        "\\midrule",
    ]
    made = rows(data)
    for i, row in enumerate(made):
        if row.kind == "group" and row.metric != "total":
            lines.append("\\addlinespace[2pt]")
        cells = [_latex_cell(row, m) for m in data.models]
        last = "" if row.kind == "group" else latex_escaped(row_counts(row))
        name = latex_escaped(row_label(row))
        name = f"\\textbf{{{name}}}" if row.kind == "group" else name
        lines.append(" & ".join([name, *cells, last]) + " \\\\")
        if row.kind == "group" and i + 1 < len(made) and made[i + 1].kind != "group":
            lines.append("\\midrule")
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"]) + "\n"


def _latex_cell(row: Row, model: str) -> str:
    cell = row.cells[model]
    if cell.value is None:
        return "--"
    value = _latex_number(_value(row, cell))
    wrap = {"best": "\\textbf{%s}", "second": "\\underline{%s}"}.get(row.marks[model], "%s")
    interval = _latex_number(_interval(row, cell))
    return wrap % value + (f" {{\\scriptsize {interval}}}" if interval else "")


def _latex_number(text: str) -> str:
    return text.replace("-", "$-$")


def latex_escaped(text: str) -> str:
    """Text of others that LaTeX shows as it is."""
    return "".join(_LATEX.get(c, c) for c in tidy(text, 200))


def _one_line(text: str) -> str:
    return tidy(text, 400)


def _sentences(data: ReportData) -> list[str]:
    return [reason.rstrip(". ") for reason in partial_reasons(data)]


def difference_rows(data: ReportData) -> list[Row]:
    """The lines of the table of differences against the baseline; empty when none is known.

    Returns:
        Rows as in `rows`, with only the other models as cells, and without rows that no model has.
    """
    if not data.differences:
        return []
    made = []
    for row in rows(data):
        cells = {m: data.differences[m].get(row.metric, ABSENT) for m in data.differences}
        if any(cell.value is not None for cell in cells.values()):
            made.append(
                Row(row.kind, row.group, row.metric, row.label, cells, _no_marks(cells),
                    row.partial)
            )  # fmt: skip
    return made

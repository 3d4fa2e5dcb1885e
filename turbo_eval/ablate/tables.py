"""The table of an ablation as Markdown, CSV and LaTeX; values x 100, rewards as they are."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from turbo_eval.ablate.results import family_of, main_measures, measures_of
from turbo_eval.report.data import Cell
from turbo_eval.report.text import label, number, tidy

_MARKDOWN = "\\`*_[]<>|"
_LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_LATEX |= {c: f"\\{c}" for c in "{}$&%#_"}
_HEADER = (
    "row", "kind", "steps", "guidance", "network_calls", "measure", "value", "low", "high", "n",
    "of", "against", "difference", "difference_low", "difference_high", "pairs", "p", "p_holm",
)  # fmt: skip


def title(measure: str) -> str:
    """A measure for people."""
    return label(measure.removeprefix("reward.")) + (
        " (reward)" if family_of(measure) == "rewards" else ""
    )


def cell_of(cell: Mapping[str, Any] | None) -> Cell:
    """A stored cell as the report's; absent where there is none."""
    if cell is None:
        return Cell()
    n = cell.get("n", cell.get("pairs"))
    return Cell(cell["value"], cell["low"], cell["high"], n, cell.get("of"))


def shown(measure: str, cell: Cell, *, sign: bool = False) -> str:
    """`71.20 [69.00, 73.10]`; a dash when absent."""
    scale, digits = (1.0, 4) if family_of(measure) == "rewards" else (100.0, 2)
    text = number(cell.value, scale=scale, digits=digits, sign=sign)
    if cell.interval is None:
        return text
    ends = (number(end, scale=scale, digits=digits, sign=sign) for end in cell.interval)
    return f"{text} [{', '.join(ends)}]"


def markdown(found: Mapping[str, Any]) -> str:
    """Two tables: values of every row, then differences from each row that is compared with.

    A difference whose interval leaves out 0 is bold; one that also survives Holm's correction
    carries a star.
    """
    measures = main_measures(found)
    lines = _table(
        ["", "Steps", "Calls", *map(title, measures), "n of N"],
        [
            [row["name"], _text(row["steps"]), str(row["network_calls"])]
            + [shown(m, cell_of(row["measures"].get(m))) for m in measures]
            + [_counts(row)]
            for row in found["rows"]
        ],
    )
    lines += ["", f"Values x 100 with 95% intervals (rewards as they are). {_how(found)}"]
    for base in found["references"]:
        rows = [row for row in found["rows"] if base in row["differences"]]
        lines += ["", f"Differences from {escaped(base)}, paired by prompt and seed:", ""]
        lines += _table(
            ["", *map(title, measures), "pairs"],
            [
                [row["name"]]
                + [_difference(m, row["differences"][base].get(m)) for m in measures]
                + [_pairs(row["differences"][base])]
                for row in rows
            ],
        )
        lines += ["", "Bold: the 95% interval leaves out 0. Star: also after Holm's correction."]
    lines += _trainings(found, measures)
    lines += ["", *(f"Note: {escaped(text)}." for text in _remarks(found))]
    return "\n".join(lines).rstrip() + "\n"


def _trainings(found: Mapping[str, Any], measures: Sequence[str]) -> list[str]:
    """The table of recipes that were trained with several seeds; nothing where there is none."""
    told = found.get("trainings") or {"groups": [], "differences": []}
    if not told["groups"]:
        return []
    body = [
        [each["name"], ", ".join(each["seeds"])]
        + [spread_of(m, each["measures"].get(m)) for m in measures]
        for each in told["groups"]
    ]
    body += [
        [f"{each['name']} - {each['against']}", ", ".join(each["seeds"])]
        + [spread_of(m, each["measures"].get(m), sign=True) for m in measures]
        for each in told["differences"]
    ]
    head = ["", "Training seeds", *map(title, measures)]
    return [
        "",
        "Over several trainings, mean ± standard deviation; of differences, seed by seed, with the "
        "95% interval of Student's t over trainings:",
        "",
        *_table(head, body),
    ]


def spread_of(measure: str, cell: Mapping[str, Any] | None, *, sign: bool = False) -> str:
    """`71.20 ± 0.41`, of a difference with its interval; a dash when absent."""
    if cell is None or cell["mean"] is None:
        return "-"
    scale, digits = (1.0, 4) if family_of(measure) == "rewards" else (100.0, 2)
    text = number(cell["mean"], scale=scale, digits=digits, sign=sign)
    if cell["sd"] is None:
        return text
    text += f" ± {number(cell['sd'], scale=scale, digits=digits)}"
    if not sign:
        return text
    ends = (number(cell[k], scale=scale, digits=digits, sign=True) for k in ("low", "high"))
    return f"{text} [{', '.join(ends)}]"


def table_csv(found: Mapping[str, Any]) -> str:
    """One line for each row, measure and row compared with; values keep every digit."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_HEADER)
    for row in found["rows"]:
        name = row["name"]
        # A spreadsheet must not read a name as a formula.
        name = f"'{name}" if name[:1] in {"=", "+", "-", "@"} else name
        head = [name, row["kind"], row["steps"], row["guidance"], row["network_calls"]]
        for measure in measures_of(found):
            cell = row["measures"].get(measure, {})
            values = [cell.get(key) for key in ("value", "low", "high", "n", "of")]
            for base in found["references"]:
                gap = row["differences"].get(base, {}).get(measure, {})
                gaps = [gap.get(k) for k in ("value", "low", "high", "pairs", "p", "p_holm")]
                writer.writerow(["" if v is None else v for v in (
                    *head, measure, *values, base, *gaps)])  # fmt: skip
    return out.getvalue()


def latex(found: Mapping[str, Any]) -> str:
    """The values as LaTeX for the booktabs package, without a float around them."""
    measures = main_measures(found)
    head = " & ".join(["", "Steps", "Calls", *(_tex(title(m)) for m in measures)])
    lines = [
        "% Needs \\usepackage{booktabs}. Values x 100 with 95% intervals, rewards as they are. "
        f"{tidy(_how(found), 400)}",
        *(f"% Note: {tidy(text, 400)}." for text in _remarks(found)),
        f"\\begin{{tabular}}{{lrr{'r' * len(measures)}}}",
        "\\toprule",
        f"{head} \\\\",
        "\\midrule",
    ]
    before = None
    for row in found["rows"]:
        if before is not None and row["kind"] != before:
            lines.append("\\addlinespace[2pt]")
        before = row["kind"]
        cells = [_tex(row["name"]), _text(row["steps"]), str(row["network_calls"])]
        for measure in measures:
            value, _, interval = shown(measure, cell_of(row["measures"].get(measure))).partition(
                " "
            )
            value = "--" if value == "-" else value.replace("-", "$-$")
            small = f" {{\\scriptsize {interval.replace('-', '$-$')}}}" if interval else ""
            cells.append(value + small)
        lines.append(" & ".join(cells) + " \\\\")
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"]) + "\n"


def _difference(measure: str, cell: Mapping[str, Any] | None) -> str:
    gap = cell_of(cell)
    text = shown(measure, gap, sign=True)
    if cell is None or gap.interval is None or gap.interval[0] <= 0 <= gap.interval[1]:
        return text
    return f"**{text}**" + ("\\*" if cell["p_holm"] is not None and cell["p_holm"] < 0.05 else "")


def _table(header: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    """Markdown lines; what stands behind the first column is Markdown already."""
    cells = [[escaped(first), *rest] for first, *rest in body]
    lines = [[escaped(cell) for cell in header], *cells]
    widths = [max(3, *(len(line[i]) for line in lines)) for i in range(len(header))]
    rule = ["-" * widths[0], *("-" * (w - 1) + ":" for w in widths[1:])]
    lines.insert(1, rule)
    return [
        "| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |"
        for line in lines
    ]


def _counts(row: Mapping[str, Any]) -> str:
    """Scores that there are and that there should be, over the dimensions."""
    cells = [c for m, c in row["measures"].items() if family_of(m) == "dimensions"]
    return f"{sum(c['n'] for c in cells)}/{sum(c['of'] for c in cells)}"


def _pairs(differences: Mapping[str, Any]) -> str:
    counts = [cell["pairs"] for m, cell in differences.items() if m == "total"]
    counts = counts or [cell["pairs"] for cell in differences.values()]
    return str(max(counts, default=0))


def _how(found: Mapping[str, Any]) -> str:
    told = found["bootstrap"]
    return (
        f"Suite {found['suite']}: {found['prompts']} prompts, {found['seeds']} videos each. "
        f"Judges: {found['judges']}. Intervals: {told['resamples']} resamples of the prompts."
    )


def _remarks(found: Mapping[str, Any]) -> list[str]:
    return [text.rstrip(". ") for text in (*found["partial"], *found["notes"])]


def _text(value: Any) -> str:
    return "-" if value is None else str(value)


def escaped(text: str, most: int = 200) -> str:
    """Text that Markdown shows as it is, at most `most` characters of it."""
    return "".join(f"\\{c}" if c in _MARKDOWN else c for c in tidy(text, most))


def _tex(text: str) -> str:
    return "".join(_LATEX.get(c, c) for c in tidy(text, 200))

"""The folder `ablation/` of a run: tables, figure, numbers, and a page that says what they mean."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from turbo_eval.ablate import claims, tables
from turbo_eval.ablate.figure import figure
from turbo_eval.core.progress import clock
from turbo_eval.core.store import write_json_atomic, write_text_atomic

FOLDER = "ablation"
TABLE = "table.md"
_LONG = 4000
"""Characters of a sentence: it names every dimension that differs."""


def write(found: Mapping[str, Any], dimensions: str, run: Path, command: Sequence[str]) -> Path:
    """Write everything; the same numbers give the same bytes.

    Args:
        found: The object of `ablation.json`.
        dimensions: The table of all dimensions, as the run's report has it (Markdown).
        run: The run folder.
        command: What a user typed to get here.

    Returns:
        The path of table.md.

    Raises:
        PrerequisiteError: The folder cannot be written.
    """
    folder = run / FOLDER
    table = tables.markdown(found)
    write_text_atomic(folder / "figure.svg", figure(found))
    write_text_atomic(folder / "table.csv", tables.table_csv(found))
    write_text_atomic(folder / "table.tex", tables.latex(found))
    write_json_atomic(folder / "ablation.json", found)
    write_text_atomic(folder / "index.md", page(found, table, dimensions, command))
    write_text_atomic(folder / TABLE, table)
    return folder / TABLE


def page(found: Mapping[str, Any], table: str, dimensions: str, command: Sequence[str]) -> str:
    """The page in Markdown: what was asked, what the numbers say, tables, training, command."""
    told = "\n".join(f"- {tables.escaped(text, _LONG)}" for text in found["conclusion"])
    parts = [
        f"# Ablation {tables.escaped(found['name'])}",
        found["description"],
        "## What the numbers say",
        "Each sentence follows from a paired difference and its 95% interval; nothing else was "
        "weighed. With many dimensions, about one in twenty differs by chance.",
        told,
        _claims(found),
        "![Values with 95% intervals](figure.svg)",
        "## Table",
        table,
        "## All dimensions",
        dimensions,
        "## Training",
        _training(found),
        "## Again",
        f"    {shlex.join(command)}",
        "Numbers with every digit are in [table.csv](table.csv) and "
        "[ablation.json](ablation.json); clips are in [the report](../report/index.html).",
    ]
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"


def _claims(found: Mapping[str, Any]) -> str:
    judged = found.get("claims") or []
    if not judged:
        return ""
    head = (
        "## Claims\n\nThey stand in the ablation's file. A claim holds "
        "where the 95% interval of the paired difference lies on its side of 0, is contradicted "
        "where it lies on the other, and is not decided else."
    )
    return (
        head
        + "\n\n"
        + "\n".join(f"1. {tables.escaped(text, _LONG)}" for text in claims.lines(judged))
    )


def _training(found: Mapping[str, Any]) -> str:
    seen: dict[str, Mapping[str, Any]] = {}
    for row in found["rows"]:
        if row["training"]:
            seen.setdefault(row["training"]["variant"], row["training"])
    lines = ["| | configuration | settings | steps | clips | time |", "|---|---|---|--:|--:|--:|"]
    for name, told in seen.items():
        settings = ", ".join(f"{k}={v}" for k, v in told["settings"].items())
        cells = [name, told["config"], settings, str(told["steps"]), str(told["clips"])]
        cells.append(clock(told["seconds"]))
        lines.append("| " + " | ".join(tables.escaped(cell) for cell in cells) + " |")
    return "\n".join(lines)

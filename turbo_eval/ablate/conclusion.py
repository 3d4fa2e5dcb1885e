"""Sentences about an ablation that are made from its numbers alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from turbo_eval.ablate.results import family_of
from turbo_eval.ablate.tables import cell_of, spread_of, title
from turbo_eval.report.data import Cell
from turbo_eval.report.text import number

LEVEL = 0.05
FEWEST = 4
"""Pairs below which a dimension is not judged: so few resamples of prompts say nothing."""


def sentences(found: Mapping[str, Any]) -> list[str]:
    """What the differences say: for every row against every row that is compared with.

    A row differs where the 95% interval of its paired difference leaves out 0.

    Args:
        found: The object of `ablation.json`, with or without its conclusion.
    """
    told: list[str] = []
    for base in found["references"]:
        rows = [row for row in found["rows"] if base in row["differences"]]
        told += [_sentence(row, base, len(rows)) for row in rows]
    told += _trainings(found)
    told += _ranking(found)
    return told


def _sentence(row: Mapping[str, Any], base: str, rows: int) -> str:
    cells = row["differences"][base]
    head = f"{row['name']} against {base}: "
    total = cells.get("total")
    if total is None or total["value"] is None:
        return head + "no total. " + _dimensions(cells) + _rewards(cells)
    return head + _total(total, rows) + " " + _dimensions(cells) + _rewards(cells)


def _total(cell: Mapping[str, Any], rows: int) -> str:
    gap = cell_of(cell)
    text = f"total {_points(gap)}"
    if gap.interval is None:
        return f"{text}; no interval is known."
    if gap.interval[0] <= 0 <= gap.interval[1]:
        return f"{text}: no difference beyond the interval."
    word = "higher" if (gap.value or 0) > 0 else "lower"
    if rows < 2:
        return f"{text}: {word}."
    kept = cell["p_holm"] is not None and cell["p_holm"] < LEVEL
    holds = "also" if kept else "but not"
    return f"{text}: {word}, {holds} after Holm's correction for {rows} comparisons."


def _points(gap: Cell) -> str:
    text = f"{number(gap.value, sign=True)} points"
    if gap.interval is None:
        return text
    low, high = (number(end, sign=True) for end in gap.interval)
    return f"{text} (95% interval {low} to {high})"


def _dimensions(cells: Mapping[str, Any]) -> str:
    known = {
        name: cell_of(cell)
        for name, cell in cells.items()
        if family_of(name) == "dimensions" and cell["low"] is not None and cell["pairs"] >= FEWEST
    }
    if not known:
        return f"No dimension has an interval from {FEWEST} pairs or more."
    parts = []
    for word, side in (("higher", 1), ("lower", -1)):
        names = [name for name, gap in known.items() if _side(gap) == side]
        listed = ", ".join(
            f"{title(n).lower()} ({number(known[n].value, sign=True)})" for n in names
        )
        parts += [f"{word} in {listed}"] if names else []
    if not parts:
        return f"No difference beyond the interval in any of {len(known)} dimensions."
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}; the other {_rest(known)} do not differ beyond it."


def _rest(known: Mapping[str, Cell]) -> str:
    return f"{sum(_side(gap) == 0 for gap in known.values())} of {len(known)} dimensions"


def _rewards(cells: Mapping[str, Any]) -> str:
    parts = []
    for name, cell in cells.items():
        gap = cell_of(cell)
        if family_of(name) != "rewards" or gap.interval is None:
            continue
        word = {1: "higher", -1: "lower", 0: "not different"}[_side(gap)]
        value = number(gap.value, scale=1, digits=4, sign=True)
        parts.append(f"{name.removeprefix('reward.')} {word} ({value})")
    return f" Rewards: {', '.join(parts)}." if parts else ""


def _side(gap: Cell) -> int:
    """1 higher, -1 lower, 0 not beyond the interval."""
    if gap.interval is None or gap.interval[0] <= 0 <= gap.interval[1]:
        return 0
    return 1 if gap.interval[0] > 0 else -1


def _trainings(found: Mapping[str, Any]) -> list[str]:
    """What holds over several trainings of two recipes, for the total or else the rewards."""
    told = []
    for pair in (found.get("trainings") or {"differences": []})["differences"]:
        seeds = ", ".join(pair["seeds"])
        head = f"{pair['name']} against {pair['against']}, trained with seeds {seeds}: "
        names = [name for name in ("total",) if name in pair["measures"]]
        names += [name for name in pair["measures"] if family_of(name) == "rewards"]
        parts = []
        for name in names:
            cell = pair["measures"][name]
            known = cell["low"] is not None
            same = known and cell["low"] <= 0 <= cell["high"]
            word = "" if not known else " (within the luck of training)" if same else " (beyond it)"
            parts.append(f"{title(name).lower()} {spread_of(name, cell, sign=True)}{word}")
        if parts:
            told.append(f"{head}{'; '.join(parts)}.")
    return told


def _ranking(found: Mapping[str, Any]) -> Sequence[str]:
    totals = [
        (row["measures"]["total"]["value"], row["name"])
        for row in found["rows"]
        if row["measures"].get("total", {}).get("value") is not None
    ]
    if len(totals) < 2:
        return ["No order of totals: fewer than two rows have one."]
    ordered = [f"{name} {number(value)}" for value, name in sorted(totals, reverse=True)]
    return [f"Totals in order, without regard to intervals: {', '.join(ordered)}."]

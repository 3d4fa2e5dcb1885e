"""The object of `ablation.json`: every row with its measures, its differences and its training."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from turbo_eval.ablate.grid import Row
from turbo_eval.ablate.spec import Ablation
from turbo_eval.ablate.trainer import Training
from turbo_eval.models.student import read_manifest

TOTALS = ("total", "quality", "semantic")
_NORMAL_95 = 1.959963984540054
Cells = dict[str, dict[str, Any]]


def family_of(measure: str) -> str:
    """Which comparisons are corrected together: each total, all dimensions, all rewards."""
    if measure in TOTALS:
        return measure
    return "rewards" if measure.startswith("reward.") else "dimensions"


def p_value(value: float, low: float, high: float) -> float:
    """Two-sided p of a difference, from its 95% interval.

    The half of the interval on the side of 0 is read as 1.96 standard errors of a normal
    distribution, so that p < 0.05 exactly where the interval leaves out 0.

    Args:
        value: The difference.
        low: Lower end of its 95% interval.
        high: Upper end.

    Returns:
        0..1.
    """
    if value == 0:
        return 1.0
    half = value - low if value > 0 else high - value
    if half <= 0:
        # A percentile interval may lie wholly on the far side of its value.
        return 0.0 if low > 0 or high < 0 else 1.0
    return math.erfc(_NORMAL_95 * abs(value) / half / math.sqrt(2))


def holm(p_values: Mapping[Any, float]) -> dict[Any, float]:
    """Adjust p values of one family by Holm's step-down method.

    Args:
        p_values: Comparison -> p.

    Returns:
        Comparison -> adjusted p, never below p and at most 1.

    Source: Holm, A simple sequentially rejective multiple test procedure, 1979.
    """
    adjusted: dict[Any, float] = {}
    running = 0.0
    for rank, (key, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        running = max(running, min(1.0, (len(p_values) - rank) * p))
        adjusted[key] = running
    return adjusted


def assemble(
    spec: Ablation,
    table: Sequence[Row],
    labels: Mapping[str, str],
    summaries: Mapping[str, Mapping[str, Any]],
    trainings: Sequence[Training],
    calls: Mapping[str, int],
    notes: Sequence[str],
) -> dict[str, Any]:
    """Join everything that was found out.

    Args:
        spec: The ablation.
        table: Its rows in order.
        labels: Name of a row -> its model's label in the run.
        summaries: Name of each row that is compared with -> the run's summary against it, as
            `summary.json`; the first is the baseline's.
        trainings: The students.
        calls: Name of a row -> network calls for one video.
        notes: Lines that a reader must know, such as an absent reward.

    Returns:
        Plain values for `ablation.json` (docs/ablate.md).
    """
    first = next(iter(summaries.values()))
    by_name = {t.variant.name: t for t in trainings}
    sampled = {model["label"]: model for model in first["settings"]["models"]}
    rows: list[dict[str, Any]] = []
    for row in table:
        label = labels[row.name]
        facts = sampled[label]
        rows.append(
            {
                "name": row.name,
                "label": label,
                "kind": "system" if row.variant is None else "student",
                "steps": facts.get("steps"),
                "guidance": facts.get("guidance"),
                "network_calls": calls[row.name],
                "training": _training(by_name[row.variant.name]) if row.variant else None,
                "measures": _measures(first, label),
                "differences": {
                    base: _differences(summary, label)
                    for base, summary in summaries.items()
                    if base != row.name
                },
            }
        )
    _correct(rows, list(summaries))
    return {
        "name": spec.name,
        "description": spec.description,
        "suite": first["settings"]["suite"].get("name", spec.suite),
        "prompts": first["settings"]["prompts"],
        "seeds": spec.seeds,
        "judges": first["judges"],
        "baseline": next(iter(summaries)),
        "references": list(summaries),
        "show": spec.show,
        "rows": rows,
        "partial": list(first["partial"]),
        "notes": list(notes),
        "bootstrap": first["settings"]["bootstrap"],
    }


def _training(training: Training) -> dict[str, Any]:
    record = read_manifest(training.student)["training"]
    return {
        "variant": training.variant.name,
        "config": training.variant.config,
        "settings": dict(training.variant.settings),
        "recipe": training.settings["recipe"],
        "rewards": training.rewards,
        "steps": record["steps"],
        "clips": record["clips"],
        "seconds": record["seconds"],
        "last": record["history"][-1] if record["history"] else {},
    }


def _measures(summary: Mapping[str, Any], label: str) -> Cells:
    found: Cells = {}
    for name in TOTALS:
        cell = summary["totals"].get(label, {}).get(name)
        if cell is not None:
            found[name] = dict(cell)
    for name, cell in summary["models"][label].items():
        found[name.removeprefix("vbench.")] = {
            k: cell[k] for k in ("value", "low", "high", "n", "of")
        }
    return found


def _differences(summary: Mapping[str, Any], label: str) -> Cells:
    return {
        name.removeprefix("vbench."): dict(cell)
        for name, cell in summary["differences"].get(label, {}).items()
    }


def _correct(rows: Sequence[dict[str, Any]], bases: Sequence[str]) -> None:
    """Add p and Holm's p to every difference that has an interval, family by family."""
    for base in bases:
        families: dict[str, dict[tuple[str, str], float]] = {}
        for row in rows:
            for measure, cell in row["differences"].get(base, {}).items():
                cell["p"] = cell["p_holm"] = None
                if cell["value"] is not None and cell["low"] is not None:
                    p = p_value(cell["value"], cell["low"], cell["high"])
                    cell["p"] = p
                    families.setdefault(family_of(measure), {})[row["name"], measure] = p
        corrected = {key: p for family in families.values() for key, p in holm(family).items()}
        for row in rows:
            for measure, cell in row["differences"].get(base, {}).items():
                if (row["name"], measure) in corrected:
                    cell["p_holm"] = corrected[row["name"], measure]


def measures_of(found: Mapping[str, Any]) -> list[str]:
    """Every measure that some row has a value of: totals, dimensions, rewards."""
    seen: dict[str, None] = {}
    for row in found["rows"]:
        for name, cell in row["measures"].items():
            if cell["value"] is not None:
                seen.setdefault(name)
    order = {"quality": 1, "semantic": 1, "total": 0, "dimensions": 2, "rewards": 3}
    return sorted(seen, key=lambda name: order[family_of(name)])


def main_measures(found: Mapping[str, Any]) -> list[str]:
    """Measures of the main table: totals, the dimensions to show (all where no total is), rewards.

    Args:
        found: The object of `ablation.json`.
    """
    known = measures_of(found)
    totals = [name for name in known if name in TOTALS]
    dimensions = [name for name in known if family_of(name) == "dimensions"]
    shown = [name for name in found["show"] if name in dimensions]
    rewards = [name for name in known if family_of(name) == "rewards"]
    return [*totals, *(shown if shown or totals else dimensions), *rewards]

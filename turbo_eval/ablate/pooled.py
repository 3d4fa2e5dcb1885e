"""The luck of training: what several trainings of one recipe, told apart by their seed, share."""

import itertools
import json
import math
import re
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from turbo_eval.ablate.results import measures_of

SEED = "seed"
_TOLD = re.compile(r"(?:,\s*|\s+|^)seed=\d+")


def pool(found: Mapping[str, Any]) -> dict[str, Any]:
    """Group the rows that differ by the seed of training alone, and compare the groups.

    Trainings of one seed share the LoRA's start, the order of clips and the noise, so two recipes
    are compared seed by seed.

    Args:
        found: The object of `ablation.json`; its rows are read.

    Returns:
        `groups`: name, steps, `seeds` (seed -> row) and `measures` (measure -> `mean`, `sd`, `low`,
        `high`, `n`) of every recipe with two trainings or more. `differences`: `name`, `against`,
        `seeds` and `measures` in the same form, for every two groups that share two seeds or
        more and the number of network calls. Intervals are 95% of Student's t over trainings:
        they hold the luck of training, and not that of the choice of prompts.
    """
    known = measures_of(found)
    rows = {row["name"]: row for row in found["rows"]}
    groups = [_group(members, known) for members in _recipes(found["rows"])]
    pairs = []
    for one, other in itertools.combinations(groups, 2):
        shared = [seed for seed in one["seeds"] if seed in other["seeds"]]
        calls = {
            rows[each["seeds"][seed]]["network_calls"] for each in (one, other) for seed in shared
        }
        if len(shared) < 2 or len(calls) != 1:
            continue
        measures = {
            name: spread(
                [_value(rows[other["seeds"][s]], name, rows[one["seeds"][s]]) for s in shared]
            )
            for name in known
        }
        pairs.append(
            {
                "name": other["name"],
                "against": one["name"],
                "seeds": shared,
                "measures": {name: cell for name, cell in measures.items() if cell["n"]},
            }
        )
    return {"groups": groups, "differences": pairs}


def spread(values: Sequence[float | None]) -> dict[str, Any]:
    """Mean, standard deviation and 95% interval (Student's t) of a few trainings.

    Args:
        values: One of each training; None where it is absent.

    Returns:
        `mean`, `sd`, `low`, `high` (each None where too few values are there) and `n`.
    """
    there = [value for value in values if value is not None]
    mean = statistics.fmean(there) if there else None
    if mean is None or len(there) < 2:
        return {"mean": mean, "sd": None, "low": None, "high": None, "n": len(there)}
    from scipy import stats

    sd = statistics.stdev(there)
    half = float(stats.t.ppf(0.975, len(there) - 1)) * sd / math.sqrt(len(there))
    return {"mean": mean, "sd": sd, "low": mean - half, "high": mean + half, "n": len(there)}


def _recipes(rows: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """Rows of equal training but for the seed, and of equal sampling; two or more each."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        told = row["training"]
        if told is None or SEED not in told["settings"]:
            continue
        settings = {k: v for k, v in told["settings"].items() if k != SEED}
        key = json.dumps(
            [told["config"], settings, told["steps"], row["steps"], row["guidance"]], sort_keys=True
        )
        found.setdefault(key, []).append(row)
    return [members for members in found.values() if len(members) > 1]


def _group(members: Sequence[Mapping[str, Any]], known: Sequence[str]) -> dict[str, Any]:
    measures = {name: spread([_value(row, name) for row in members]) for name in known}
    return {
        "name": " ".join(_TOLD.sub("", members[0]["name"]).split()) or members[0]["name"],
        "steps": members[0]["steps"],
        "seeds": {str(row["training"]["settings"][SEED]): row["name"] for row in members},
        "measures": {name: cell for name, cell in measures.items() if cell["n"]},
    }


def _value(
    row: Mapping[str, Any], measure: str, base: Mapping[str, Any] | None = None
) -> float | None:
    value = row["measures"].get(measure, {}).get("value")
    if value is None or base is None:
        return None if value is None else float(value)
    under = base["measures"].get(measure, {}).get("value")
    return None if under is None else float(value) - float(under)

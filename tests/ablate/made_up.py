"""A made-up ablation: three rows, two dimensions, a total and a reward."""

from typing import Any


def cell(value: float | None, half: float = 0.02) -> dict[str, Any]:
    """A value with a symmetric interval."""
    if value is None:
        return {"value": None, "low": None, "high": None, "n": 0, "of": 8}
    return {"value": value, "low": value - half, "high": value + half, "n": 8, "of": 8}


def gap(value: float, half: float, p_holm: float | None = 0.001) -> dict[str, Any]:
    """A difference with a symmetric interval."""
    ends = {"low": value - half, "high": value + half}
    return {"value": value, **ends, "pairs": 8, "p": p_holm, "p_holm": p_holm}


def row(name: str, total: float | None, calls: int = 4, **more: Any) -> dict[str, Any]:
    """A row of a student."""
    return {
        "name": name,
        "label": f"{name}@4",
        "kind": "student",
        "steps": 4,
        "guidance": 6.0,
        "network_calls": calls,
        "training": {
            "variant": name.partition(" @")[0],
            "config": "mini-vcm",
            "settings": {"seed": 7},
            "recipe": "vcm",
            "rewards": {},
            "steps": 2,
            "clips": 2,
            "seconds": 3.0,
            "last": {},
        },
        "measures": {
            **({} if total is None else {"total": cell(total), "quality": cell(total)}),
            "color": cell(0.5),
            "scene": cell(0.25),
            "reward.mini-image": cell(0.1234),
        },
        "differences": {},
        **more,
    }


def ablation() -> dict[str, Any]:
    """Baseline A, a better B_x, and a teacher that is not told apart."""
    better = {
        "total": gap(0.05, 0.02),
        "color": gap(0.1, 0.04, 0.2),
        "scene": gap(-0.2, 0.1),
        "reward.mini-image": gap(0.01, 0.03),
    }
    same = {"total": gap(0.01, 0.02, 0.6), "color": gap(0.0, 0.1), "scene": gap(0.01, 0.1)}
    teacher = row("Teacher", 0.71, 100, kind="system", steps=50, training=None)
    teacher["differences"] = {"A": same}
    return {
        "name": "made-up",
        "description": "A made-up ablation.",
        "suite": "mini",
        "prompts": 8,
        "seeds": 1,
        "judges": "mini",
        "baseline": "A",
        "references": ["A"],
        "show": ["scene"],
        "rows": [teacher, row("A", 0.70), row("B_x", 0.75, differences={"A": better})],
        "partial": ["a subset: 8 of 186 prompts of suite mini"],
        "notes": [],
        "bootstrap": {"resamples": 1000, "seed": 1, "level": 0.95, "over": "prompts"},
        "conclusion": ["B_x is better."],
    }

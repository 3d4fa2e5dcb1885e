"""Made-up summaries and clips. No number here was ever measured."""

from pathlib import Path
from typing import Any

import numpy as np

from turbo_eval.prompts.dimensions import DIMENSIONS
from turbo_eval.report import ClipEntry
from turbo_eval.video import encode

TEACHER = "made-up-teacher"
STUDENT = "made-up-student"
THIRD = "made-up-third"

HOSTILE = (
    "<script>alert('x')</script> \"quoted\" & {{ 7 * 7 }} | `tick` \\ $math$ "
    "../../etc/passwd \u202eright to left \x00 \ud800 \n second line \U0001f98a"
)


def value(v: float, half: float = 0.01, n: int = 24, of: int = 24) -> dict[str, Any]:
    return {"value": v, "low": v - half, "high": v + half, "n": n, "of": of, "version": 1}


def nothing(of: int = 24) -> dict[str, Any]:
    return {"value": None, "low": None, "high": None, "n": 0, "of": of, "version": 1}


def total(v: float, half: float = 0.01) -> dict[str, Any]:
    return {"value": v, "low": v - half, "high": v + half}


def summary(**changes: Any) -> dict[str, Any]:
    """A whole summary of two models; the student leads by 2 points."""
    models = {
        model: {f"vbench.{d}": value(0.5 + 0.02 * i + lift) for i, d in enumerate(DIMENSIONS)}
        for model, lift in ((TEACHER, 0.0), (STUDENT, 0.02))
    }
    whole: dict[str, Any] = {
        "models": models,
        "totals": {
            TEACHER: {"quality": total(0.76), "semantic": total(0.64), "total": total(0.736)},
            STUDENT: {"quality": total(0.78), "semantic": total(0.66), "total": total(0.756)},
        },
        "differences": {
            STUDENT: {
                **{f"vbench.{d}": difference(0.02) for d in DIMENSIONS},
                **{name: difference(0.02) for name in ("quality", "semantic", "total")},
            }
        },
        "baseline": TEACHER,
        "judges": "mini",
        "normalisation": {d: [0.1, 0.95] for d in DIMENSIONS},
        "settings": {"suite": {"name": "mini"}, "seeds": 1, "models": [{"name": TEACHER}]},
        "partial": [],
        "failures": [],
        "provenance": {"code": {"version": "0.0.0"}, "weights": {"teacher": "ab" * 32}},
    }
    return {**whole, **changes}


def difference(v: float, half: float = 0.01) -> dict[str, Any]:
    return {"value": v, "low": v - half, "high": v + half, "pairs": 24}


def without(dimension: str) -> dict[str, Any]:
    """A summary in which both models lack a dimension, though totals are (wrongly) given."""
    made = summary()
    for table in made["models"].values():
        table[f"vbench.{dimension}"] = nothing()
    return made


def ball(path: Path, *, shade: int = 0, frames: int = 16, size: int = 64, fps: float = 8.0) -> Path:
    """A video of a ball that moves three pixels a frame."""
    rows, columns = np.mgrid[:size, :size]
    pixels = np.full((frames, size, size, 3), (30, 50 + shade, 90), dtype=np.uint8)
    for i in range(frames):
        pixels[i][(rows - 32) ** 2 + (columns - 8 - 3 * i) ** 2 < 64] = (230, 180 - shade, 60)
    encode(pixels, fps, path)
    return path


def clips(folder: Path, prompts: int = 3) -> list[ClipEntry]:
    """Clips of both models; the first prompt is hostile."""
    made = []
    for i in range(prompts):
        text = HOSTILE if i == 0 else f"made-up prompt {i}"
        for j, model in enumerate((TEACHER, STUDENT)):
            path = ball(folder / f"{i}-{j}.mp4", shade=40 * j)
            scores = {"vbench.color": 0.5 + 0.1 * j, "vbench.scene": None}
            made.append(ClipEntry(model, text, f"{i:016x}", 0, path, scores))
    return made

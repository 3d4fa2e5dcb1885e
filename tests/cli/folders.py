"""Folders of small clips in VBench's naming, and runs of them with judges of the tests."""

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import fakes
from turbo_eval.cli.main import run as command
from turbo_eval.video.encode import encode

FACTS = {"scene": {"scene": {"scene": "alley"}}}
INFO: list[dict[str, Any]] = [
    {
        "prompt_en": "a red cube",
        "dimension": ["color"],
        "auxiliary_info": {"color": {"color": "red"}},
    },
    {"prompt_en": "an alley", "dimension": ["scene"], "auxiliary_info": FACTS},
    {"prompt_en": "a still frame", "dimension": ["temporal_flickering"]},
]
FEW = {"a red cube": (0, 3), "an alley": (1,), "a still frame": (0, 1, 2, 3, 4)}


def write_clip(path: Path, seed: int, *, moving: bool = True, frames: int = 5) -> None:
    rng = np.random.default_rng(seed)
    base = rng.integers(40, 200, (1, 32, 32, 3))
    shift = rng.integers(-20, 20, (frames, 1, 1, 3)) if moving else np.zeros((frames, 1, 1, 3), int)
    path.parent.mkdir(parents=True, exist_ok=True)
    encode(np.clip(base + shift, 0, 255).astype(np.uint8), 8.0, path)


def write_folder(folder: Path, videos: dict[str, tuple[int, ...]]) -> None:
    for text, indices in videos.items():
        for index in indices:
            write_clip(
                folder / f"{text}-{index}.mp4", zlib.crc32(f"{text}-{index}".encode()) % 1000
            )


def prepare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder with `info.json`, where runs ask the fake judges."""
    fakes.register()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TURBO_EVAL_JUDGES", "fake")
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "calls.log"))
    Path("info.json").write_text(json.dumps(INFO), encoding="utf-8")


def go(*more: str, suite: str = "vbench:info.json", clips: str = "clips") -> int:
    return command(["run", suite, "--model", f"folder:{clips}", "--run", "r", *more])


def summary() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path("r/summary.json").read_text(encoding="utf-8"))
    return found


def cell(metric: str, model: str = "clips") -> dict[str, Any]:
    found: dict[str, Any] = summary()["models"][model][metric]
    return found

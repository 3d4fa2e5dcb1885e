"""The published video and preference rewards, small, as metrics of `turbo-eval score`."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import fakes
from tests.metrics.rewards import test_imagereward as image
from tests.metrics.rewards import test_internvideo2 as video
from tests.metrics.rewards import test_viclip as clip
from turbo_eval.cli.main import run as command
from turbo_eval.metrics.rewards import imagereward, internvideo2, viclip
from turbo_eval.models import REGISTRY, Frames, ModelInfo

REWARDS = ("imagereward", "internvideo2", "viclip")
RUN = ["custom:suite.json", "--judges", "fake", "--model", "long", "--model", "long@8"]


class Long(fakes.FakeModel):
    """Clips that are long enough for every reward."""

    @property
    def info(self) -> ModelInfo:
        return replace(super().info, frames=10)

    def generate(self, *asked: Any) -> Frames:
        return np.repeat(super().generate(*asked), 2, axis=1)


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the three published files; the networks in them are small and random."""
    folder = tmp_path / "w"
    folder.mkdir()
    image.reward_of(image.official_state(*image.theirs()), folder)
    video.written(folder)
    clip.written(folder)
    for module, name, sizes in (
        (imagereward, "ImageRewardReward", image.SIZES),
        (internvideo2, "InternVideo2Reward", video.SIZES),
        (viclip, "ViclipReward", clip.SIZES),
    ):
        monkeypatch.setattr(module, name, partial(getattr(module, name), sizes=sizes))
    monkeypatch.delenv("TURBO_EVAL_WEIGHTS_DIR", raising=False)
    monkeypatch.setattr(REGISTRY, "_entries", dict(REGISTRY._entries))
    monkeypatch.setattr(REGISTRY, "_loaded", dict(REGISTRY._loaded))
    REGISTRY.add("long", lambda name, **_: Long(name))
    fakes.register()
    fakes.write_suite(tmp_path, 4)
    monkeypatch.chdir(tmp_path)
    return folder


def test_a_finished_run_is_scored_with_each(
    weights: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["run", *RUN, "--seeds", "1", "--run", "r"]) == 0
    missing = ["score", "--run", "r", "--rewards", "imagereward"]
    capsys.readouterr()
    assert command(missing) == 4
    (line,) = [t for t in capsys.readouterr().err.splitlines() if t.startswith("turbo-eval: ")]
    assert "ImageReward.pt" in line
    names = ",".join(REWARDS)
    monkeypatch.setenv("TURBO_EVAL_WEIGHTS_DIR", str(weights))
    assert command(["score", "--run", "r", "--rewards", names]) == 0
    assert command(["summarize", "--run", "r"]) == 0
    found: dict[str, Any] = json.loads(Path("r/summary.json").read_text())
    for name in REWARDS:
        first, second = (found["models"][model][f"reward.{name}"] for model in ("long", "long@8"))
        assert (first["n"], first["of"]) == (4, 4)
        assert first["low"] <= first["value"] <= first["high"]
        assert first["value"] != second["value"]
        assert first["value"] <= (0 if name == "imagereward" else 1)
        assert f"reward.{name}" in found["differences"]["long@8"]

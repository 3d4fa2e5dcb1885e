"""Settings that say where and how fast a shipped system or a student draws."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from turbo_eval.config import ModelConfig
from turbo_eval.core.errors import PrerequisiteError, UsageError
from turbo_eval.models import labels, load
from turbo_eval.models.protocol import Sampler
from turbo_eval.models.running import place
from turbo_eval.models.settings import Settings
from turbo_eval.models.student import WEIGHTS

TWO = Sampler(steps=2, guidance=5.0)
PROMPT = ["a red circle moving left on a beach"]


@pytest.mark.parametrize("name", ["mini-turbo", "mini-teacher"])
def test_settings_reach_the_networks_and_change_no_clip(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Building takes minutes; tests/train/test_compile.py compares what is built.
    compiled: list[str] = []
    monkeypatch.setattr(nn.Module, "compile", lambda self: compiled.append(type(self).__name__))
    usual, fast = load(name), load(f"{name}:compile=yes,offload=yes,tiling=yes")
    one, two = (system.generate(PROMPT, [1], TWO).astype(int) for system in (usual, fast))
    assert compiled == ["UNet3DConditionModel", "Decoder"]
    assert np.abs(one - two).max() <= 1


def test_keys_follow_what_changes_a_clip() -> None:
    for name in ("mini-turbo", "mini-teacher", str(WEIGHTS / "mini-turbo")):
        plain = load(name).fingerprint()
        assert load(f"{name}:compile=yes,offload=yes,tiling=no").fingerprint() == plain
        assert load(f"{name}:tiling=yes").fingerprint() != plain


def test_names_with_settings_are_labels_and_unknown_settings_are_refused() -> None:
    folder = WEIGHTS / "mini-turbo"
    names = ["mini-turbo", "mini-turbo:tiling=yes", f"{folder}:tiling=yes"]
    found = labels([ModelConfig(name=name) for name in names])
    assert found[:2] == ["mini-turbo", "mini-turbo_tiling_yes"]
    assert len(set(found)) == 3
    assert not any("/" in label for label in found)
    for name in ("mini-turbo", "mini-teacher", str(folder)):
        with pytest.raises(UsageError, match="did you mean tiling"):
            load(f"{name}:tilling=yes")


class Parts:
    """Notes what a pipeline was asked for."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.vae, self.unet, self.text_encoder = self, nn.Linear(999, 1), nn.Linear(1, 1)
        self.decoder = nn.Linear(1, 1)

    def parameters(self) -> list[nn.Parameter]:
        return []

    def set_progress_bar_config(self, **_: object) -> None:
        pass

    def enable_tiling(self) -> None:
        self.done.append("tiles")

    def enable_slicing(self) -> None:
        self.done.append("slices")

    def enable_model_cpu_offload(self, device: str) -> None:
        self.done.append(f"offloads to {device}")

    def to(self, device: str, dtype: torch.dtype) -> "Parts":
        self.done.append(f"{device} {dtype}")
        return self


def test_what_the_settings_do_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    parts: Any = Parts()
    settings = Settings("m", {"offload": "yes", "tiling": "yes"})
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2000, 8000))
    with pytest.raises(PrerequisiteError, match=r"bfloat16 needs .* GiB; .* offload=yes"):
        place(parts, Settings("m", {}), device="cuda:1", dtype=torch.float32)
    assert parts.done == []
    place(parts, settings, device="cuda:1", dtype=torch.bfloat16)
    assert parts.done == ["tiles", "slices", "cpu torch.bfloat16", "offloads to cuda:1"]


def test_a_missing_compiler_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(PrerequisiteError, match=r"needs a C\+\+ compiler"):
        load("mini-teacher:compile=yes").generate(PROMPT, [1], TWO)

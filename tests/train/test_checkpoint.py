"""Checkpoints: whole or passed over, never mixed with other settings, never unpickled blindly."""

import json
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from turbo_eval.core.errors import ConfigError, InputError
from turbo_train import checkpoint
from turbo_train.checkpoint import Progress
from turbo_train.loop import restore_scaler

CONFIG: dict[str, Any] = {"seed": 1, "optimizer": {"lr": 0.1}}


def write(folder: Path, step: int, *, keep: int = 5, scaler: dict[str, Any] | None = None) -> Path:
    lora = {"a": torch.full((2,), float(step)), "b": torch.zeros(3)}
    return checkpoint.save(
        folder,
        Progress(step=step, position=2 * step, seconds=1.5, history=[{"step": 1, "loss": 0.5}]),
        CONFIG,
        lora=lora,
        optimizer={"state": {0: {"step": torch.tensor(step)}}, "param_groups": [{"lr": 0.1}]},
        average=[torch.ones(2), torch.ones(3)],
        keep=keep,
        scaler=scaler,
    )


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, 3)
    loaded = checkpoint.load(path, CONFIG)
    assert loaded.progress == Progress(3, 6, 1.5, [{"step": 1, "loss": 0.5}], {})
    assert torch.equal(loaded.lora["a"], torch.full((2,), 3.0))
    assert loaded.average is not None
    assert {name: len(mean) for name, mean in loaded.average.items()} == {"a": 2, "b": 3}
    assert loaded.optimizer["state"][0]["step"] == 3
    assert not list(tmp_path.glob(".*"))


def test_the_loss_scale_of_float16_goes_on(tmp_path: Path) -> None:
    grown = torch.amp.GradScaler("cpu", init_scale=4096.0)
    loaded = checkpoint.load(write(tmp_path, 1, scaler=grown.state_dict()), CONFIG)
    fresh = torch.amp.GradScaler("cpu")
    restore_scaler(SimpleNamespace(scaler=fresh), loaded)
    fresh.scale(torch.ones(1))
    assert fresh.get_scale() == 4096.0
    # Other formats have none, and neither have checkpoints from before it was kept.
    restore_scaler(SimpleNamespace(scaler=None), loaded)
    bare = checkpoint.load(write(tmp_path, 2), CONFIG)
    assert bare.scaler == {}
    restore_scaler(SimpleNamespace(scaler=fresh), bare)
    assert fresh.get_scale() == 4096.0


def test_the_newest_whole_one_is_used_and_broken_ones_are_named(tmp_path: Path) -> None:
    write(tmp_path, 1)
    for name in ("lora.safetensors", "optimizer.pt", "state.json"):
        path = write(tmp_path, 2) / name
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        loaded, broken = checkpoint.newest(tmp_path, CONFIG)
        assert loaded is not None
        assert loaded.progress.step == 1
        assert len(broken) == 1
        assert "checkpoint-000002 is broken" in broken[0]


def test_old_ones_go_and_temporary_ones_do_not_count(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        write(tmp_path, step, keep=2)
    (tmp_path / ".checkpoint-000009.tmp1").mkdir()
    (tmp_path / "checkpoint-last").mkdir()
    assert checkpoint.list_steps(tmp_path) == [2, 3]


def test_a_broken_later_one_pushes_out_no_good_one(tmp_path: Path) -> None:
    write(tmp_path, 1)
    (write(tmp_path, 9) / "state.json").write_text("{")
    write(tmp_path, 2, keep=1)
    loaded, broken = checkpoint.newest(tmp_path, CONFIG)
    assert loaded is not None
    assert (loaded.progress.step, len(broken)) == (2, 1)
    assert checkpoint.list_steps(tmp_path) == [2, 9]


def test_other_settings_are_refused_and_listed(tmp_path: Path) -> None:
    write(tmp_path, 1)
    with pytest.raises(ConfigError, match=r"optimizer\.lr: 0\.1, now 0\.2; seed: 1, now 2"):
        checkpoint.newest(tmp_path, {"seed": 2, "optimizer": {"lr": 0.2}})


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("ran",))


def test_a_checkpoint_with_code_in_it_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, 1)
    (path / "optimizer.pt").write_bytes(pickle.dumps(Evil(), protocol=2))
    state = json.loads((path / "state.json").read_text())
    # Even with a checksum that fits.
    from turbo_eval.core.hashing import file_sha256

    state["files"]["optimizer.pt"] = file_sha256(path / "optimizer.pt")
    (path / "state.json").write_text(json.dumps(state))
    with pytest.raises(InputError, match="is broken"):
        checkpoint.load(path, CONFIG)
    assert "ran" not in capsys.readouterr().out

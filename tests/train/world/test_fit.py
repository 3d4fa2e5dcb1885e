"""The training loop: it learns, it resumes bit-equal after a real kill, it stops on nonsense."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from turbo_eval.core.errors import InputError
from turbo_train.world.fit import Plan, fit, rate

PROGRAM = """
import sys, time
from pathlib import Path
import torch
from torch import nn
from turbo_train.world.fit import Plan, fit

torch.set_num_threads(1)
torch.manual_seed(0)
network = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
folder, pause = Path(sys.argv[1]), float(sys.argv[2])

def loss(step):
    time.sleep(pause)
    x = torch.randn(16, 4)
    return ((network(x) - x.sum(1, keepdim=True)) ** 2).mean()

plan = Plan(steps=60, lr=1e-2, seed=5, folder=folder, save_every=5, report_every=10)
print("ready", flush=True)
fit(network, loss, plan, say=lambda line: print(line, flush=True))
torch.save(network.state_dict(), folder / "final.pt")
"""


def _run(folder: Path, pause: float = 0.0) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder), str(pause)], stdout=subprocess.PIPE, text=True
    )


def _final(folder: Path) -> dict[str, Tensor]:
    state: dict[str, Tensor] = torch.load(folder / "final.pt", weights_only=True)
    return state


def test_a_killed_and_resumed_run_ends_bit_equal(tmp_path: Path) -> None:
    straight, broken = tmp_path / "straight", tmp_path / "broken"
    assert _run(straight).wait(120) == 0
    for _ in range(2):
        child = _run(broken, pause=0.03)
        assert child.stdout is not None
        child.stdout.readline()
        deadline = time.monotonic() + 60
        before = (broken / "state.pt").stat().st_mtime_ns if (broken / "state.pt").exists() else 0
        while time.monotonic() < deadline:
            path = broken / "state.pt"
            if path.exists() and path.stat().st_mtime_ns > before:
                break
            time.sleep(0.005)
        os.kill(child.pid, signal.SIGKILL)
        child.wait(30)
        assert not (broken / "final.pt").exists()
    child = _run(broken)
    out, _ = child.communicate(timeout=120)
    assert child.returncode == 0
    assert "resumed at step" in out
    for name, value in _final(straight).items():
        assert torch.equal(value, _final(broken)[name]), name


def test_it_learns(tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = nn.Linear(3, 1)

    def loss(_step: int) -> Tensor:
        x = torch.randn(32, 3)
        error: Tensor = (network(x) - x @ torch.tensor([[1.0], [-2.0], [0.5]])).square().mean()
        return error

    plan = Plan(steps=400, lr=5e-2, seed=2, folder=tmp_path, ema=0.9)
    progress = fit(network, loss, plan, say=lambda _line: None)
    assert progress.losses[-1][1] < 1e-3 < progress.losses[0][1]


def test_a_loss_that_is_not_a_number_stops_and_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    network = nn.Linear(1, 1)

    def loss(step: int) -> Tensor:
        value: Tensor = network(torch.ones(1, 1)).sum()
        return value * (float("nan") if step == 7 else 1.0)

    plan = Plan(steps=20, lr=1e-3, seed=1, folder=tmp_path, save_every=5)
    with pytest.raises(InputError, match="step 7"):
        fit(network, loss, plan, say=lambda _line: None)
    saved = torch.load(tmp_path / "state.pt", weights_only=True)
    assert saved["progress"]["step"] == 5


def test_the_rate_warms_up_stays_and_falls() -> None:
    plan = Plan(steps=1000, lr=1.0, seed=0, folder=Path())
    assert rate(plan, 0) == pytest.approx(1 / 50)
    assert rate(plan, 100) == rate(plan, 799) == 1.0
    assert rate(plan, 900) == pytest.approx(0.5)
    assert rate(plan, 999) < 0.01

"""Training is killed without warning at a random moment; the same command ends where it would have.

And two processes share one run.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SETTINGS = ("steps=3", "batch_size=1", "data.pool=16", "lora.rank=2", "track=none", "save_every=1")
ENTRY = [sys.executable, "-m", "turbo_train"]


def command(run: str, *more: str) -> list[str]:
    overrides = [part for value in (*SETTINGS, *more) for part in ("--set", value)]
    return [
        *ENTRY,
        "run",
        "mini-vcm",
        "--run",
        run,
        "--threads",
        "1",
        "--device",
        "cpu",
        *overrides,
    ]


def start(args: list[str], folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        args, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def finish(args: list[str], folder: Path) -> None:
    process = start(args, folder)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors


def last(run: Path) -> bytes:
    return (run / "checkpoint-000003" / "lora.safetensors").read_bytes()


@pytest.mark.slow
def test_killed_training_ends_bit_equal(tmp_path: Path) -> None:
    finish(command("straight"), tmp_path)
    chance = random.Random(20)
    killed = 0
    for _ in range(2):
        process = start(command("killed"), tmp_path)
        before = len(list((tmp_path / "killed").glob("checkpoint-*")))
        # Somewhere after it has got further than last time, or (with luck) in the middle of saving.
        while process.poll() is None:
            if len(list((tmp_path / "killed").glob("checkpoint-*"))) > before:
                time.sleep(chance.uniform(0, 0.3))
                process.send_signal(signal.SIGKILL)
                killed += 1
                break
            time.sleep(0.01)
        process.communicate()
    assert killed
    finish(command("killed"), tmp_path)
    assert last(tmp_path / "killed") == last(tmp_path / "straight")
    # Nothing half-written is taken for a checkpoint.
    steps = sorted(path.name for path in (tmp_path / "killed").glob("checkpoint-*"))
    assert steps == [f"checkpoint-{k:06d}" for k in range(1, 4)]


@pytest.mark.slow
def test_two_processes_train_one_student(tmp_path: Path) -> None:
    finish(command("two", "accelerator.mixed_precision=no") + ["--processes", "2"], tmp_path)
    finish(command("one", "accelerator.mixed_precision=no"), tmp_path)
    # Twice the clips a step, so another student than one process makes.
    assert last(tmp_path / "two") != last(tmp_path / "one")
    assert len((tmp_path / "two" / "log.jsonl").read_text().splitlines()) == 1

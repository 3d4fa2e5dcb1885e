"""Sharded runs: two processes over gloo that each hold half of the student."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from turbo_eval.core.errors import ConfigError
from turbo_train import checkpoint, config
from turbo_train.setup import make_accelerator

ROOT = Path(__file__).resolve().parents[2]
WORKER = Path(__file__).with_name("sharded_worker.py")
Cases = list[tuple[str, dict[str, Any]]]


def case(teacher: Path, *, sharding: str, recompute: bool = False, **values: Any) -> dict[str, Any]:
    return {
        "recipe": "vcm",
        "teacher": str(teacher),
        "name": "tiny",
        "steps": 3,
        "seed": 5,
        "lora": {"rank": 2, "dropout": 0.0},
        "optimizer": {"lr": 1e-3},
        "accelerator": {
            "mixed_precision": "no",
            "gradient_checkpointing": recompute,
            "sharding": sharding,
        },
        "save_every": 1,
        "report_every": 1,
        "track": "none",
        **values,
    }


def train(cases: Cases, folder: Path, *, processes: int) -> str:
    """Train cases in so many processes that share gradients; what they print."""
    path = folder / "cases.json"
    path.write_text(json.dumps([(str(folder / name), values) for name, values in cases]))
    start = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    done = subprocess.run(
        [sys.executable, *start, str(WORKER), str(path)],
        capture_output=True, text=True, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def read(run: Path, step: int, file: str = checkpoint.LORA) -> dict[str, Tensor]:
    return load_file(checkpoint.path_of(run, step) / file)


def apart(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)


@pytest.mark.slow
def test_shards_train_what_copies_train_and_share_their_checkpoints(
    tiny_folder: Path, tmp_path: Path
) -> None:
    average: dict[str, Any] = {
        "consistency": {"target_ema": 0.5, "loss": "l2"},
        "accumulate": 2,
        "recompute": True,
    }
    cases: Cases = [
        ("copies", case(tiny_folder, sharding="none")),
        ("shards", case(tiny_folder, sharding="fsdp")),
        ("copies-mean", case(tiny_folder, sharding="none", **average)),
        ("shards-mean", case(tiny_folder, sharding="fsdp", **average)),
    ]
    train(cases, tmp_path, processes=2)
    for suffix in ("", "-mean"):
        copies, shards = (tmp_path / f"{side}{suffix}" for side in ("copies", "shards"))
        moved = apart(read(copies, 3), read(copies, 1))
        assert moved > 1e-3
        # Sums over processes are taken in another order, which Adam's first steps enlarge.
        assert apart(read(copies, 3), read(shards, 3)) < 0.02 * moved
    sides = [tmp_path / f"{side}-mean" for side in ("copies", "shards")]
    means = [read(side, 3, checkpoint.AVERAGE) for side in sides]
    assert apart(*means) < 2e-5
    assert apart(means[1], read(sides[1], 3)) > 1e-4

    # The optimizer's state is whole, and that of the LoRA alone.
    files = [
        torch.load(checkpoint.path_of(tmp_path / side, 3) / checkpoint.OPTIMIZER, weights_only=True)
        for side in ("copies", "shards")
    ]
    one, two = (file["optimizer"]["state"] for file in files)
    assert len(two) == len(read(tmp_path / "shards", 3))
    for index, entry in one.items():
        assert type(two[index]["exp_avg"]) is Tensor
        torch.testing.assert_close(two[index]["exp_avg"], entry["exp_avg"], atol=1e-6, rtol=1e-3)

    # Shards go on from what copies wrote, and copies from what shards wrote.
    four: dict[str, Any] = {"steps": 4}
    told = train(
        [
            ("copies", case(tiny_folder, sharding="fsdp", **four)),
            ("shards", case(tiny_folder, sharding="none", **four)),
        ],
        tmp_path,
        processes=2,
    )
    assert told.count("resumed at step 3 of 4") == 2
    both = [read(tmp_path / side, 4) for side in ("copies", "shards")]
    assert apart(both[0], read(tmp_path / "copies", 3)) > 1e-4
    assert apart(*both) < 0.02 * moved


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("compat=authors", "splits work by process"),
        ("optimizer.bits=8", "8-bit Adam has no shards"),
        ("accelerator.compile=true", "do not go together"),
        ("accelerator.sharding=ddp", "'none' or 'fsdp'"),
    ],
)
def test_what_shards_cannot_do_is_refused(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config.load("mini-vcm", ["accelerator.sharding=fsdp", override])


def test_one_process_has_nothing_to_shard() -> None:
    settings = config.load("mini-vcm", ["accelerator.sharding=fsdp"])
    assert not make_accelerator(settings, "cpu").is_fsdp2

"""`turbo-train` as a user types it: what it says, what it refuses, what it leaves behind."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from turbo_train import config
from turbo_train.cli import main

TINY = ["steps=1", "batch_size=1", "data.pool=16", "lora.rank=2", "track=none", "save_every=1"]


def typed(*args: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(list(args))
    return int(str(left.value.code))


def sets(*values: str) -> list[str]:
    return [part for value in values for part in ("--set", value)]


def test_list_and_show_and_copy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed("list", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == config.names()
    assert typed("show", "turbo-vc2", "--set", "steps=5") == 0
    shown = tomllib.loads(capsys.readouterr().out)
    assert (shown["steps"], shown["optimizer"]["lr"]) == (5, 1e-5)
    target = tmp_path / "mine.toml"
    assert typed("cp", "mini-vcm", str(target)) == 0
    assert config.load(str(target)).name == "mine"
    assert typed("cp", "mini-vcm", str(target)) == 5
    assert "exists" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "trained"),
    # 575 layers of ModelScopeT2V at rank 32, as published (t2v-turbo.md, section 7).
    [("turbo-ms", 58_497_696), ("mini-vcm", None)],
)
def test_a_dry_run_reads_no_weights(
    name: str, trained: int | None, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code = typed("run", name, "--dry-run", "--json", "--weights-dir", str(tmp_path / "none"))
    facts = json.loads(capsys.readouterr().out)
    assert code == 0
    assert facts["trained_parameters"] == (trained or facts["trained_parameters"])
    assert 0 < facts["trained_parameters"] < facts["teacher_parameters"]
    assert facts["activations_gib"] > 0


def test_recomputing_is_planned_to_need_less(capsys: pytest.CaptureFixture[str]) -> None:
    need = []
    for value in ("true", "false"):
        override = sets(f"accelerator.gradient_checkpointing={value}")
        assert typed("run", "turbo-ms", "--dry-run", "--json", *override) == 0
        need.append(json.loads(capsys.readouterr().out)["activations_gib"])
    assert need[0] < need[1] / 3


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["run", "mini-vmc"], 2, "mini-vcm"),
        (["run", "mini-vcm", "--set", "lora.rnk=1"], 3, "nearest: rank"),
        (["run", "mini-vcm", "--set", "teacher=mini-techer"], 2, "mini-teacher"),
        (["run", "mini-vcm", "--device", "gpu"], 2, "choose auto, cpu or cuda"),
        (["run", "turbo-vc2"], 4, "needs model.ckpt"),
        (["run", "vcm-ms"], 4, "--weights-dir"),
        (["resume", "nowhere"], 2, "no training run"),
        (["export", "nowhere", "--format", "gguf"], 2, "student or diffusers"),
    ],
)
def test_bad_input_is_one_line(
    args: list[str],
    code: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert typed(*args) == code
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert message in told.err


def test_a_run_is_resumed_in_several_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config.load("mini-vcm").model_dump(mode="json")
    (tmp_path / "train.json").write_text(json.dumps(settings))
    called: list[int] = []

    def launch(_arguments: list[str], processes: int) -> int:
        called.append(processes)
        return 7

    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.setattr("turbo_train.launch.launch", launch)
    assert typed("resume", str(tmp_path), "--processes", "3") == 7
    assert called == [3]


@pytest.mark.slow
def test_run_resume_export(tmp_path: Path) -> None:
    """The mini teacher, distilled for a moment, in processes of their own."""

    def call(*args: str) -> subprocess.CompletedProcess[str]:
        code = "import sys; from turbo_train.cli import main; main(sys.argv[1:])"
        return subprocess.run(
            [sys.executable, "-c", code, *args],
            capture_output=True, text=True, cwd=tmp_path, check=False,
        )  # fmt: skip

    first = call("run", "mini-vcm", "--run", "one", "--threads", "1", *sets(*TINY))
    assert first.returncode == 0, first.stderr
    assert first.stdout == "one\n"
    again = call("resume", "one", "--steps", "2", "--json")
    assert json.loads(again.stdout)["steps"] == 2
    assert "resumed at step 1 of 2" in again.stderr
    other = call("run", "mini-vcm", "--run", "one", *sets(*TINY, "seed=8"))
    assert other.returncode == 3
    assert "seed: 7, now 8" in other.stderr
    out = call("export", "one", "--out", "student", "--half")
    assert out.stdout == "student\n"
    assert (tmp_path / "student" / "student.json").is_file()

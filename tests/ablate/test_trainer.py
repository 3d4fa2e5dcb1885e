"""The trainer from outside: what it is asked, what its answers and failures become."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.ablate.students import PRINT, export
from turbo_eval.ablate import cost, grid, spec, trainer
from turbo_eval.ablate.speed import Speed, progress_of
from turbo_eval.ablate.trainer import Training, TrainingFailed
from turbo_eval.core.errors import ConfigError


@pytest.fixture(autouse=True)
def _teacher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "_fingerprint", lambda _: PRINT)


def students(**values: Any) -> tuple[grid.Variant, ...]:
    return grid.variants(spec.check(values, source="here"))


def trainings(folder: Path, **values: Any) -> tuple[Training, ...]:
    return trainer.resolve(students(**values), folder)


TWO: dict[str, Any] = {"base": {"config": "mini-vcm"}, "grid": {"lora.rank": [4, 8]}}


def test_the_trainer_fills_in_every_setting(tmp_path: Path) -> None:
    first, second = trainings(tmp_path, **TWO)
    assert (first.settings["lora"]["rank"], second.settings["lora"]["rank"]) == (4, 8)
    # Everything else is shared: data, seed, loss.
    assert {k for k, v in first.settings.items() if second.settings[k] != v} == {"lora"}
    assert first.settings["seed"] == 7
    assert first.clips == first.steps * first.settings["batch_size"]
    assert (first.run, first.student) == (
        tmp_path / "train" / "rank-4",
        tmp_path / "students" / "rank-4",
    )


@pytest.mark.parametrize("name", spec.names())
def test_the_trainer_accepts_what_is_packaged(tmp_path: Path, name: str) -> None:
    for preset in ("full", "quick"):
        made = trainer.resolve(grid.variants(spec.load(name).preset(preset)), tmp_path)
        # Shared data, but for what an ablation is about.
        assert len({t.settings["data"]["stream"] for t in made}) == 1
    assert max(t.steps for t in made) <= 60


def test_a_mistyped_setting_is_the_trainers_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(TrainingFailed) as caught:
        trainings(tmp_path, base={"config": "mini-vcm"}, grid={"lora.rnk": [4]})
    assert caught.value.exit_code == 3
    assert "nearest: rank" in capfd.readouterr().err


def test_an_unknown_configuration_is_the_trainers_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(TrainingFailed) as caught:
        trainings(tmp_path, base={"config": "mini-vmc"}, grid={"seed": [4]})
    assert caught.value.exit_code == 2
    assert "mini-vcm" in capfd.readouterr().err


def test_the_same_training_twice_is_refused(tmp_path: Path) -> None:
    same = [{"name": "a"}, {"name": "b", "config": "mini-vcm"}]
    with pytest.raises(ConfigError, match="'a' and 'b' are the same training"):
        trainings(tmp_path, base={"config": "mini-vcm"}, variant=same)


def test_rewards_of_scale_zero_do_not_count(tmp_path: Path) -> None:
    [one] = trainings(tmp_path, grid={"rewards.image.mini-image": [0.0]})
    assert one.rewards == {"mini-video": 1.0}


def test_a_student_is_finished_when_it_is_what_is_asked_for(tmp_path: Path) -> None:
    first, second = trainings(tmp_path, **TWO)
    assert not trainer.is_finished(first)
    export(first)
    assert trainer.is_finished(first)
    assert not trainer.is_finished(second)
    # How often it saves or reports is no part of what it is.
    told = {**first.settings, "save_every": 3, "report_every": 1, "description": "x"}
    assert trainer.is_finished(Training(first.variant, told, first.run, first.student))


@pytest.mark.parametrize(
    ("change", "words"),
    [({"steps": 5}, "steps: 400 there, 5 now"), ({"batch_size": 2}, "batch_size: 8 there, 2 now")],
)
def test_another_student_in_the_folder_is_never_taken(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    first, _ = trainings(tmp_path, **TWO)
    export(first)
    asked = Training(first.variant, {**first.settings, **change}, first.run, first.student)
    with pytest.raises(ConfigError, match=words):
        trainer.is_finished(asked)


def test_a_setting_that_came_later_is_no_difference(tmp_path: Path) -> None:
    first, _ = trainings(tmp_path, **TWO)
    export(first)
    path = first.student / "student.json"
    manifest = json.loads(path.read_text())
    del manifest["training"]["config"]["consistency"]["target_ema"]
    path.write_text(json.dumps(manifest))
    assert trainer.is_finished(first)
    # Rewards are told by name: one more is another training, not a later setting.
    more = {**first.settings["rewards"], "image": {"mini-image": 1.0}}
    asked = Training(first.variant, {**first.settings, "rewards": more}, first.run, first.student)
    with pytest.raises(ConfigError, match="rewards.image"):
        trainer.is_finished(asked)


def test_a_student_of_an_older_teacher_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = trainings(tmp_path, **TWO)
    export(first)
    monkeypatch.setattr(trainer, "_fingerprint", lambda _: "another")
    with pytest.raises(ConfigError, match="weights of mini-teacher have changed"):
        trainer.is_finished(first)


def test_a_cut_file_is_not_finished(tmp_path: Path) -> None:
    first, _ = trainings(tmp_path, **TWO)
    export(first)
    path = first.student / "student.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, "files": {"lora.safetensors": "0" * 64}}))
    assert not trainer.is_finished(first)


def test_training_hands_settings_and_exit_code_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = trainings(tmp_path, **TWO)
    calls: list[list[str]] = []
    codes = iter([0, 5, 75])

    def run_command(argv: list[str], **_: Any) -> int:
        calls.append(argv)
        return next(codes)

    monkeypatch.setattr(trainer, "run_command", run_command)
    told: list[str] = []
    assert trainer.train(first, threads=2, device="cpu", say=told.append)
    words = calls[0]
    assert words[0] == sys.executable
    run, exported = json.loads(words[5])
    assert run[:2] == ["run", "mini-vcm"]
    given = {run[i + 1] for i, word in enumerate(run) if word == "--set"}
    assert {"seed=7", "lora.rank=4", "track=none"} <= given
    assert run[run.index("--threads") + 1] == "2"
    assert exported[:2] == ["export", str(first.run)]
    assert "--name=rank=4" in exported
    assert told == [f"rank=4: trained and exported to {first.student}"]
    with pytest.raises(TrainingFailed, match="'rank=4' failed with exit code 5") as caught:
        trainer.train(first, threads=None, device="cpu", say=told.append)
    assert caught.value.exit_code == 5
    assert not trainer.train(first, threads=None, device="cpu", say=told.append)
    assert len(told) == 1


FAKE_TRAINER = """
import pathlib, sys, time
def app(args):
    pass
def run(app, program, args):
    with open("notes", "a") as file:
        print(*args, file=file, flush=True)
        while args == ["run"] and not pathlib.Path("go").exists():
            time.sleep(0.02)
    return 3 * (args == ["export"])
"""


def test_a_second_process_leaves_a_variant_to_the_first(tmp_path: Path) -> None:
    # The child's program with a trainer that only notes when it ran, and ends when told to.
    (tmp_path / "fake.py").write_text(FAKE_TRAINER)
    program = trainer._LOCKED.replace("turbo_train.cli", "fake")
    program = program.replace("from turbo_eval.core import entry", "import fake as entry")

    def start(how: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", program, "lock", how, '[["run"], ["export"]]']
        return subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)

    first = start("skip")
    while not (tmp_path / "notes").exists():
        time.sleep(0.02)
    # One that need not wait goes on with another variant; one that waits says so.
    assert start("skip").wait() == 75
    waiting = start("wait")
    assert waiting.stderr is not None
    assert waiting.stderr.readline() == "waiting: another process trains this variant\n"
    (tmp_path / "go").touch()
    first.communicate()
    waiting.communicate()
    # The first one's export failed with 3; the second one trained nothing.
    assert (first.returncode, waiting.returncode) == (3, 75)
    assert (tmp_path / "notes").read_text().split() == ["run", "export"]


def test_processes_share_the_variants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = trainings(tmp_path, **TWO)
    calls: list[tuple[str, bool]] = []

    def train(training: trainer.Training, *, wait: bool = False, **_: Any) -> bool:
        calls.append((training.variant.name, wait))
        if training is made[0] and not wait:
            return False
        # The other process has finished the first one when the wait for it ends.
        export(training)
        return training is not made[0]

    monkeypatch.setattr(trainer, "train", train)
    trainer.train_all(made, threads=None, device="cpu", say=print)
    first, second = (t.variant.name for t in made)
    assert calls == [(first, False), (second, False), (first, True)]
    trainer.train_all(made, threads=None, device="cpu", say=print)
    assert len(calls) == 3


def test_costs_come_from_this_folder_or_one_measurement(tmp_path: Path) -> None:
    made = trainings(
        tmp_path,
        variant=[
            {"name": "vcm", "config": "mini-vcm"},
            {"name": "again", "config": "mini-vcm", "set": {"seed": 8}},
            {"name": "image", "config": "mini-turbo-image"},
            {"name": "mix", "config": "mini-turbo"},
        ],
    )
    export(made[0], steps=2)
    measured: list[str] = []

    def measure(training: Training) -> Speed:
        measured.append(training.variant.name)
        return Speed(step=3.0, start=10.0)

    finished = {t.variant.name: t is made[0] for t in made}
    found = cost.training_costs(made, finished, measure=measure)
    # 4 seconds in 2 steps of the finished one; the rest like the one with most rewards.
    assert measured == ["mix"]
    assert [(c.name, c.left) for c in found] == [
        ("vcm", 0), ("again", 400), ("image", 400), ("mix", 400)
    ]  # fmt: skip
    assert [c.seconds for c in found] == [0.0, 810.0, 1210.0, 1210.0]
    assert "2 steps of vcm" in found[1].basis
    assert "measured on 2 steps of mix" in found[2].basis
    assert cost.total(found) == 3230.0
    blind = cost.training_costs(made, finished, measure=None)
    assert [c.seconds for c in blind] == [0.0, 800.0, None, None]
    assert cost.total(blind) is None


def test_half_a_training_costs_the_other_half(tmp_path: Path) -> None:
    first, second = trainings(tmp_path, **TWO)
    for steps in (100, 200):
        folder = first.run / f"checkpoint-{steps:06d}"
        folder.mkdir(parents=True)
        (folder / "state.json").write_text(json.dumps({"step": steps, "seconds": steps / 2}))
    (first.run / "checkpoint-000300").mkdir()
    (first.run / "checkpoint-000300" / "state.json").write_text("{")
    found = cost.training_costs([first], {"rank=4": False}, measure=None)
    assert (found[0].left, found[0].seconds) == (200, 100.0)
    # Another rank is another cost.
    assert first.cost_key != second.cost_key
    shutil.rmtree(first.run)
    assert progress_of(first) is None

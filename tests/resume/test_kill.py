"""Kills and interrupts at awkward moments, then the same command: nothing lost or redone."""

import json
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from tests import fakes
from turbo_eval.core.runs import RunFolder

ROOT = Path(__file__).parents[2]
KILLS = 20
# Generous, because a busy machine is no failure.
PATIENCE = 300.0

# A server that has imported everything forks the processes, so that each costs milliseconds; they
# are real processes, and the kills are real.
CONTEXT = multiprocessing.get_context("forkserver")
PRELOAD = ["tests.fakes", "turbo_eval.cli.run_cmd", "turbo_eval.report.write", "pyarrow.parquet"]


@pytest.fixture(scope="module", autouse=True)
def _server() -> Iterator[None]:
    patch = pytest.MonkeyPatch()
    patch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
    CONTEXT.set_forkserver_preload(PRELOAD)
    yield
    patch.undo()


def start(folder: Path, run: str, delay: float) -> BaseProcess:
    options = ["--model", "fake", "--model", "fake@8", "--judges", "fake", "--batch-size", "3"]
    args = ["run", "custom:suite.json", *options, "--run", run]
    process = CONTEXT.Process(target=fakes.command, args=(args, folder, "calls.log", delay))
    process.start()
    return process


def finish(process: BaseProcess, folder: Path) -> None:
    process.join(PATIENCE)
    assert process.exitcode == 0, (folder / "errors.txt").read_text()


def result(folder: Path) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads((folder / "run" / "report" / "summary.json").read_text())
    del summary["provenance"]
    return summary


def calls(folder: Path) -> list[str]:
    path = folder / "calls.log"
    lines = path.read_text().splitlines() if path.is_file() else []
    return [line.partition(" ")[2] for line in lines]


def finished(folder: Path) -> set[str]:
    """Calls that must not happen again, because their rows are there."""
    run = RunFolder(folder / "run")
    texts = {row["prompt_id"]: row["text"] for row in run.prompts.read()}
    videos = run.videos.read()
    drawn = {f"draw fake@{v['steps']} {v['seed']} {texts[v['prompt_id']]}" for v in videos}
    shown = {v["video_id"]: texts[v["prompt_id"]] for v in videos}
    looked = {
        f"look {row['backbone'].removeprefix('fake.')} {row['content_hash']} "
        f"{shown[row['video_id']]}"
        for row in run.features.read()
        # Plain pixel differences are the real thing, which writes no diary.
        if row["backbone"].startswith("fake.")
    }
    return drawn | looked


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("straight")
    fakes.write_suite(folder)
    finish(start(folder, "run", 0), folder)
    return folder


@pytest.mark.slow
def test_twenty_kills_equal_an_undisturbed_run(undisturbed: Path, tmp_path: Path) -> None:
    fakes.write_suite(tmp_path)
    moments = random.Random(5)
    hits = 0
    for _ in range(KILLS):
        before, known = len(calls(tmp_path)), finished(tmp_path)
        process = start(tmp_path, "run", 0.03)
        # Counted from the first sign of work, so that the moments fall into the stages on a slow
        # machine, too.
        begun = time.monotonic()
        while len(calls(tmp_path)) == before and process.exitcode is None:
            assert time.monotonic() - begun < PATIENCE
            time.sleep(0.005)
        time.sleep(moments.uniform(0, 0.12))
        process.kill()
        process.join(PATIENCE)
        hits += process.exitcode == -9
        assert known.isdisjoint(calls(tmp_path)[before:])
    assert hits >= KILLS // 2
    before, known = len(calls(tmp_path)), finished(tmp_path)
    finish(start(tmp_path, "run", 0), tmp_path)
    assert known.isdisjoint(calls(tmp_path)[before:])
    assert result(tmp_path) == result(undisturbed)
    assert set(calls(tmp_path)) == set(calls(undisturbed))


@pytest.mark.slow
def test_two_processes_share_the_work(undisturbed: Path, tmp_path: Path) -> None:
    fakes.write_suite(tmp_path)
    pair = [start(tmp_path, "run", 0.02) for _ in range(2)]
    for process in pair:
        finish(process, tmp_path)
    assert result(tmp_path) == result(undisturbed)
    done = calls(tmp_path)
    assert set(done) == set(calls(undisturbed))
    assert len(done) == len(set(done))


@pytest.mark.slow
def test_a_finished_run_is_resumed_without_any_call(undisturbed: Path) -> None:
    before, summary = calls(undisturbed), result(undisturbed)
    assert len(before) == len(set(before))
    finish(start(undisturbed, "run", 0), undisturbed)
    assert calls(undisturbed) == before
    assert result(undisturbed) == summary


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("stage", ["draw", "look"])
def test_an_interrupt_keeps_every_call(
    undisturbed: Path, tmp_path: Path, stage: str, signum: signal.Signals
) -> None:
    fakes.write_suite(tmp_path)
    process = start(tmp_path, "run", 0.05)
    begun = time.monotonic()
    while not any(line.startswith(stage) for line in calls(tmp_path)):
        assert process.exitcode is None
        assert time.monotonic() - begun < PATIENCE
        time.sleep(0.005)
    assert process.pid is not None
    os.kill(process.pid, signum)
    process.join(PATIENCE)
    lines = (tmp_path / "errors.txt").read_text().splitlines()
    assert process.exitcode == 128 + signum, lines
    assert "Traceback" not in "".join(lines)
    assert lines[-1].startswith("Stopped; everything finished is kept. To go on: turbo-eval run ")
    assert not (tmp_path / "run" / "report").exists()
    # What was under way is finished first, so the rows hold every call that was made.
    assert set(calls(tmp_path)) == finished(tmp_path)
    finish(start(tmp_path, "run", 0), tmp_path)
    assert result(tmp_path) == result(undisturbed)
    done = calls(tmp_path)
    assert set(done) == set(calls(undisturbed))
    assert len(done) == len(set(done))

"""The stages through the command line, in this process, on a fake model and fake judges."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import fakes
from turbo_eval.cli.main import run as command
from turbo_eval.cli.options import parse_model
from turbo_eval.core.errors import UsageError
from turbo_eval.core.runs import RunFolder
from turbo_eval.generate.plan import seed_of
from turbo_eval.video.encode import encode


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.register()
    fakes.write_suite(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "calls.log"))


def run(*more: str, verb: str = "run") -> int:
    return command([verb, "custom:suite.json", "--judges", "fake", "--run", "r", *more])


def calls() -> list[str]:
    path = Path("calls.log")
    return (
        [line.partition(" ")[2] for line in path.read_text().splitlines()] if path.exists() else []
    )


def test_seeds_come_from_content() -> None:
    assert seed_of("a", 0) == seed_of("a", 0)
    assert len({seed_of(p, i) for p in "abcd" for i in range(50)}) == 200
    assert all(0 <= seed_of("a", i) < 2**31 for i in range(99))


def test_json_is_the_summary_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        run("--model", "fake", "--model", "fake@steps=8,guidance=4", "--seeds", "2", "--json") == 0
    )
    printed = capsys.readouterr().out
    summary: dict[str, Any] = json.loads(printed)
    assert json.loads(Path("r/report/summary.json").read_text()) == summary
    assert list(summary["models"]) == ["fake", "fake@8-g4"]
    cell = summary["models"]["fake"]["vbench.scene"]
    assert (cell["n"], cell["of"]) == (6, 6)
    assert set(summary["totals"]["fake"]) == {"quality", "semantic", "total"}
    assert summary["partial"] == []
    assert summary["differences"]["fake@8-g4"]["vbench.scene"]["pairs"] == 6
    done = calls()
    assert len(done) == len(set(done))
    # 15 prompts, two models, two seeds; and each part looks once at each video that needs it.
    assert sum(line.startswith("draw") for line in done) == 60
    assert sum(line.startswith("look scene") for line in done) == 12
    assert run("--model", "fake", "--model", "fake@steps=8,guidance=4", "--seeds", "2") == 0
    assert calls() == done


def test_dry_run_does_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--model", "fake", "--dry-run", "--json") == 0
    plan = json.loads(capsys.readouterr().out)
    assert {p["stage"]: p["missing"] for p in plan["stages"]}["generate"] == 15
    assert not Path("r").exists()
    assert calls() == []


def test_selection_by_dimension_and_pattern() -> None:
    assert run("--model", "fake", "--dimensions", "scene,color", "--prompts", "an alley*") == 0
    summary = json.loads(Path("r/summary.json").read_text())
    assert list(summary["models"]["fake"]) == ["vbench.scene"]
    assert {line.split()[1] for line in calls() if line.startswith("look")} == {"scene"}
    assert any("subset" in reason for reason in summary["partial"])
    assert summary["totals"]["fake"]["total"] is None


def test_failed_items_are_listed_and_tried_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--model", "fake-broken") == 6
    errors = capsys.readouterr().err
    assert "a clip that cannot be drawn" in errors
    assert "an alley 1" in errors
    failures = json.loads(Path("r/summary.json").read_text())["failures"]
    assert [(f["stage"], f["prompt"]) for f in failures] == [("generate", "an alley 1")]
    before = len(calls())
    assert run("--model", "fake-broken") == 6
    assert len(calls()) == before
    assert run("--model", "fake-broken", "--fail-threshold", "0.001") == 7


def test_batches_halve_when_memory_runs_out() -> None:
    assert run("--model", "fake-small-memory", verb="generate") == 0
    rows = RunFolder("r").videos.read()
    assert len(rows) == 15
    assert {row["status"] for row in rows} == {"ok"}


def test_a_damaged_video_or_feature_is_made_again() -> None:
    assert run("--model", "fake") == 0
    summary = json.loads(Path("r/summary.json").read_text())
    done = len(calls())
    video = next(Path("r/videos").rglob("*.mp4"))
    video.write_bytes(video.read_bytes()[:100])
    feature = next(Path("r/features").rglob("*.safetensors"))
    feature.write_bytes(b"")
    assert command(["check", "--run", "r"]) == 5
    assert run("--model", "fake") == 0
    again = json.loads(Path("r/summary.json").read_text())
    assert len(calls()) == done + 2
    assert again["models"] == summary["models"]
    assert command(["check", "--run", "r"]) == 0


def test_another_configuration_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--model", "fake", verb="generate") == 0
    assert run("--model", "fake", "--seed-base", "2") == 3
    assert "seed_base: 0 there, 2 now" in capsys.readouterr().err
    suite = Path("suite.json")
    suite.write_text(suite.read_text().replace("an alley", "a street"))
    assert run("--model", "fake") == 3
    assert run() == 2


def test_more_seeds_add_to_a_finished_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--model", "fake", "--seeds", "1") == 0
    before = set(calls())
    assert run("--model", "fake", "--seeds", "3", "--dry-run", "--json") == 0
    out = capsys.readouterr().out
    plan = json.loads(out[out.index("{") :])
    assert {p["stage"]: p["missing"] for p in plan["stages"]}["generate"] == 30
    assert run("--model", "fake", "--seeds", "3", "--json") == 0
    grown = json.loads(capsys.readouterr().out)
    done = calls()
    # Nothing that was there is drawn or looked at again.
    assert len(done) == len(set(done))
    assert before < set(done)
    assert sum(line.startswith("draw") for line in done) == 45
    Path("calls.log").unlink()
    run("--model", "fake", "--seeds", "3", "--run", "at-once", "--json")
    at_once = json.loads(capsys.readouterr().out)
    assert grown["models"] == at_once["models"]
    assert grown["totals"] == at_once["totals"]
    # The other way round something would have to be left out.
    assert run("--model", "fake", "--seeds", "2") == 3
    assert "seeds: 3 there, 2 now" in capsys.readouterr().err


def test_stages_one_by_one_equal_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--model", "fake", verb="generate") == 0
    for verb in ("features", "score", "summarize", "report"):
        assert command([verb, "--run", "r"]) == 0
    assert Path(capsys.readouterr().out.splitlines()[-1]).is_file()
    one = json.loads(Path("r/report/summary.json").read_text())
    assert (
        command(["run", "custom:suite.json", "--judges", "fake", "-m", "fake", "--run", "s"]) == 0
    )
    assert json.loads(Path("s/report/summary.json").read_text())["models"] == one["models"]
    assert command(["score", "--run", "nowhere"]) == 4


def test_a_folder_of_existing_videos(capsys: pytest.CaptureFixture[str]) -> None:
    Path("clips").mkdir()
    frames = np.random.default_rng(0).integers(0, 255, (4, 32, 32, 3), np.uint8)
    encode(frames, 8, Path("clips/an alley 0-0.mp4"))
    Path("clips/an alley 1-0.mp4").write_bytes(b"no video")
    Path("clips/else-0.mp4").write_bytes(b"")
    assert run("--model", "folder:clips", "--dimensions", "scene") == 6
    errors = capsys.readouterr().err
    assert "else-0.mp4" in errors
    assert "'an alley 2'" in errors
    cell = json.loads(Path("r/summary.json").read_text())["models"]["clips"]["vbench.scene"]
    assert (cell["n"], cell["of"]) == (1, 3)
    # Somebody replaces the bad file: another content is another video.
    encode(frames[::-1], 8, Path("clips/an alley 1-0.mp4"))
    capsys.readouterr()
    # One file is still absent, and absent is not done.
    assert run("--model", "folder:clips", "--dimensions", "scene") == 6
    assert "1 of 7 items failed: the folder holds no such file" in capsys.readouterr().err
    encode(frames, 8, Path("clips/an alley 2-0.mp4"))
    assert run("--model", "folder:clips", "--dimensions", "scene") == 0


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("a", {"name": "a"}),
        ("a@8", {"name": "a", "steps": 8}),
        ("a@steps=8,guidance=4", {"name": "a", "steps": 8, "guidance": 4.0}),
        ("folder:x@y/z", {"name": "folder:x@y/z"}),
    ],
)
def test_models_as_typed(text: str, entry: dict[str, Any]) -> None:
    assert parse_model(text) == entry
    with pytest.raises(UsageError, match="stepps"):
        parse_model("a@stepps=8")

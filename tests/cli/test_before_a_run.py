"""What is told before anything is computed: videos, their lengths and sizes, and weights."""

import json
from pathlib import Path

import pytest

from tests.cli import folders
from tests.cli.folders import FEW, go, write_clip, write_folder
from turbo_eval.cli.main import run as command
from turbo_eval.core.runs import RunFolder

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders.prepare(tmp_path, monkeypatch)


def test_long_videos_are_told_of(capsys: Capture) -> None:
    write_folder(Path("clips"), FEW)
    write_clip(Path("clips/an alley-0.mp4"), 5, frames=40)
    assert go("--dimensions", "scene") == 0
    assert "VBench-Long" in capsys.readouterr().err
    assert command(["check", "clips", "--suite", "vbench:info.json"]) == 5
    assert "VBench-Long" in capsys.readouterr().err


def test_missing_weights_are_all_named_before_a_video_is_looked_at(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VBENCH_CACHE_DIR", "no-cache")
    monkeypatch.setenv("TURBO_EVAL_HOME", "home")
    write_folder(Path("clips"), FEW)
    official = ["--judges", "official", "--weights-dir", "w"]
    assert go(*official) == 4
    err = capsys.readouterr().err
    assert "2 of 3 dimensions lack weights" in err
    assert "grit_b_densecap_objectdet.pth (color)" in err
    assert "bert-base-uncased/vocab.txt (color, scene)" in err
    wanted = "turbo-eval weights pull grit bert-vocabulary tag2text --weights-dir w"
    assert err.endswith(f"Fix: {wanted}; or go without: --dimensions temporal_flickering\n")
    assert "generate:" not in err
    assert RunFolder("r").videos.read() == []
    assert command(["features", "--run", "r"]) == 4
    plan = ["plan", "vbench:info.json", "--model", "folder:clips", *official]
    assert command(plan) == 0
    assert f"Fix: {wanted}" in capsys.readouterr().err
    # What needs no network is scored, and videos can be made or taken in without any weights.
    assert go(*official, "--dimensions", "temporal_flickering") == 3, "another run's folder"
    args = ["run", "vbench:info.json", "--model", "folder:clips", "--run", "r2", *official]
    assert command([*args, "--dimensions", "temporal_flickering"]) == 0
    assert command(["generate", *args[1:4], "--run", "r3", *official]) == 0


def test_half_a_download_is_told_before_a_video_is_looked_at(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from turbo_eval.backbones.official.files import BY_ID
    from turbo_eval.cli.official_checks import check_official

    monkeypatch.setenv("VBENCH_CACHE_DIR", "no-cache")
    monkeypatch.setenv("TURBO_EVAL_HOME", "home")
    folder = Path("my weights")
    folder.mkdir()
    (folder / BY_ID["amt"].file).write_bytes(b"PK\x03\x04 the rest never came")
    (folder / BY_ID["raft"].file).write_bytes(b"<html>sign in</html>")
    Path("info.json").write_text(
        json.dumps(
            [
                {"prompt_en": "a cat", "dimension": ["motion_smoothness", "temporal_flickering"]},
                {"prompt_en": "a dog", "dimension": ["dynamic_degree", "imaging_quality"]},
            ]
        ),
        encoding="utf-8",
    )
    write_folder(Path("clips"), {"a cat": (0,), "a dog": (0,)})
    assert go("--judges", "official", "--weights-dir", "my weights") == 4
    err = capsys.readouterr().err
    assert "3 of 4 dimensions lack weights" in err
    assert "amt-s.pth, it is cut off: the end of the archive is missing (motion_smoothness)" in err
    assert "a web page saved under this name?) (dynamic_degree)" in err
    wanted = "turbo-eval weights pull --again amt musiq raft --weights-dir 'my weights'"
    assert f"Fix: {wanted}; or go without: --dimensions temporal_flickering" in err
    assert RunFolder("r").videos.read() == []
    checks = {check.name.removeprefix("official "): check for check in check_official(folder)}
    smooth = checks["motion_smoothness"]
    assert (smooth.state, smooth.detail) == (
        "warn", "amt-s.pth: it is cut off: the end of the archive is missing",
    )  # fmt: skip
    assert smooth.fix == "turbo-eval weights pull --again amt --weights-dir 'my weights'"
    assert command(["weights", "list", "--weights-dir", "my weights", "--json"]) == 0
    states = {row["id"]: row["state"] for row in json.loads(capsys.readouterr().out)}
    assert [states[name] for name in ("amt", "raft", "musiq")] == ["damaged", "damaged", "missing"]


def test_a_plan_counts_what_a_folder_lacks_as_missing(capsys: Capture) -> None:
    write_folder(Path("clips"), {"a red cube": (0, 1)})
    plan = ["plan", "vbench:info.json", "--model", "folder:clips", "--seeds", "2", "--json"]
    assert command(plan) == 0
    (stage, *_) = json.loads(capsys.readouterr().out)["stages"]
    assert (stage["stage"], stage["total"], stage["cached"]) == ("generate", 6, 0)
    assert command(["generate", *plan[1:6], "--run", "r"]) == 6
    capsys.readouterr()
    assert command([*plan, "--run", "r"]) == 0
    (stage, *_) = json.loads(capsys.readouterr().out)["stages"]
    assert (stage["cached"], stage["missing"]) == (2, 4)


def test_a_folder_is_checked_before_a_run(capsys: Capture) -> None:
    write_folder(Path("clips"), FEW)
    check = ["check", "clips", "--suite", "vbench:info.json"]
    assert command(check) == 0
    capsys.readouterr()
    write_clip(Path("clips/A red cube-0.mp4"), 9)
    Path("clips/an alley-0.mp4").write_bytes(Path("clips/an alley-1.mp4").read_bytes()[:400])
    write_clip(Path("clips/an alley-2.mp4"), 9, frames=7)
    assert command([*check, "--seeds", "3", "--json"]) == 5
    out, err = capsys.readouterr()
    found = json.loads(out)
    kinds = sorted((p["kind"], p["prompt"]) for p in found["problems"])
    assert kinds == [
        ("duplicate", "a red cube"),
        ("missing", "a red cube"),
        ("missing", "a red cube"),
        ("of another length or size", "an alley"),
        ("undecodable", "an alley"),
    ]
    assert "2 missing" in err
    assert command(["check"]) == 2
    assert command(["check", "clips"]) == 2
    assert command(["check", "nowhere", "--suite", "vbench:info.json"]) == 5
    capsys.readouterr()


def test_a_clip_of_one_frame_says_which_dimensions_need_two(capsys: Capture) -> None:
    need_two = (
        "subject_consistency",
        "background_consistency",
        "temporal_flickering",
        "motion_smoothness",
        "dynamic_degree",
    )
    fine = ("aesthetic_quality", "imaging_quality", "overall_consistency")
    entry = {"prompt_en": "a cat", "dimension": [*need_two, *fine]}
    Path("info.json").write_text(json.dumps([entry]), encoding="utf-8")
    write_clip(Path("clips/a cat-0.mp4"), 1, frames=1)
    # The mini judges look at what is there: the fake ones make up arrays of any length.
    assert go("--judges", "mini", "--json") == 0
    found = json.loads(capsys.readouterr().out)["models"]["clips"]
    assert {name: found[f"vbench.{name}"]["n"] for name in (*need_two, *fine)} == {
        **dict.fromkeys(need_two, 0),
        **dict.fromkeys(fine, 1),
    }
    reasons = {
        row["metric"].removeprefix("vbench."): (row["status"], row["reason"])
        for row in RunFolder("r").scores.read()
    }
    for name in need_two:
        status, reason = reasons[name]
        assert status == "skipped"
        assert "frame" in reason
    # On the screen of the run, and before any run.
    assert go("--judges", "mini", "--json") == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "without a value" in line]
    assert all(any(f"{name} (1)" in line for line in told) for name in need_two)
    assert command(["check", "clips", "--suite", "vbench:info.json"]) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "have 1 frames" in line]
    assert len(told) == 1
    two = ", ".join(name for name in need_two if name != "motion_smoothness")
    assert f"{two} need 2 and motion_smoothness need 3: a cat-0.mp4" in told[0]
    # Interpolation needs a frame between two others.
    write_clip(Path("clips/a cat-0.mp4"), 1, frames=2)
    assert command(["check", "clips", "--suite", "vbench:info.json"]) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "have 2 frames" in line]
    assert len(told) == 1
    assert "but motion_smoothness need 3: a cat-0.mp4" in told[0]


def test_a_folder_for_all_dimensions_serves_a_run_of_one(capsys: Capture) -> None:
    write_folder(Path("clips"), FEW)
    write_clip(Path("clips/nobody-0.mp4"), 2)
    assert go("--dimensions", "color") == 0
    err = capsys.readouterr().err
    assert "6 files are of prompts of the suite that are not asked for" in err
    assert "1 files match none of the prompts: nobody-0.mp4" in err
    command(["check", "clips", "--suite", "vbench:info.json", "--dimensions", "color"])
    assert "6 files are of prompts of the suite" in capsys.readouterr().err

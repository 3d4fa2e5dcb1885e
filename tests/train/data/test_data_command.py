"""`turbo-train data check`: what it says, and its exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file

from tests.train.data.builders import shard, video, video_bytes
from turbo_eval.core.entry import run
from turbo_train.data import DataSettings
from turbo_train.data.check import check, guess_kind
from turbo_train.data.command import app


def _run(capsys: pytest.CaptureFixture[str], *args: object) -> tuple[int, str, str]:
    code = run(app, "turbo-train data", ["check", *map(str, args)])
    said = capsys.readouterr()
    return code, said.out, said.err


def _folder(folder: Path, good: int, bad: int) -> Path:
    folder.mkdir(exist_ok=True)
    for k in range(good):
        video(folder / f"good{k}.mp4", length=20, fps=16)
        (folder / f"good{k}.txt").write_text(f"good {k}", encoding="utf-8")
    for k in range(bad):
        (folder / f"bad{k}.mp4").write_bytes(b"no video")
        (folder / f"bad{k}.txt").write_text("bad", encoding="utf-8")
    return folder


def test_all_readable(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = _run(capsys, _folder(tmp_path, 2, 0))
    assert (code, out) == (0, "")
    assert "folder: 2 of 2 samples can be used" in err


def test_some_broken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = _run(capsys, _folder(tmp_path, 1, 2), "--json")
    assert code == 6
    report: dict[str, Any] = json.loads(out)
    assert (report["samples"], report["checked"], report["readable"]) == (3, 3, 1)
    assert report["broken"] == {"is no video": 2}
    assert [fault["key"] for fault in report["faults"]] == ["bad0.mp4", "bad1.mp4"]
    assert "bad0.mp4: is no video" in err
    assert "2 of 3 samples cannot be used" in err.splitlines()[-1]


def test_none_readable(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = _run(capsys, _folder(tmp_path, 0, 2), "--json")
    assert code == 5
    assert json.loads(out)["readable"] == 0
    assert f"none of the 2 samples in {tmp_path} can be read" in err.splitlines()[-1]
    assert _run(capsys, tmp_path / "gone.tar")[0] == 5
    (tmp_path / "empty").mkdir()
    assert _run(capsys, tmp_path / "empty")[0] == 5


def test_long_lists_are_cut_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, _, err = _run(capsys, _folder(tmp_path, 1, 23))
    assert err.count(": is no video") == 20
    assert "and 3 more (--json lists all)" in err


def test_limit_and_rate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _folder(tmp_path, 2, 0)
    code, out, _ = _run(capsys, tmp_path, "--limit", 1, "--json")
    assert (code, json.loads(out)["checked"], json.loads(out)["samples"]) == (0, 1, 2)
    # Twenty frames at 16 a second.
    assert _run(capsys, tmp_path, "--frames", 21)[0] == 5
    assert _run(capsys, tmp_path, "--fps", 17)[0] == 5
    assert _run(capsys, tmp_path, "--frames", 21, "--fps", 17, "--choice", "fractional")[0] == 0


def test_shards_and_their_cache(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = video_bytes(tmp_path, length=16, fps=16)
    for k in range(2):
        shard(tmp_path / "d" / f"s{k}.tar", [("a.mp4", clip), ("a.txt", b"x")])
    code, out, _ = _run(capsys, tmp_path / "d" / "s{0..1}.tar", "--json", "--cache", tmp_path / "c")
    assert (code, json.loads(out)["readable"]) == (0, 2)
    assert len(list((tmp_path / "c" / "index").iterdir())) == 2


def test_latents_have_the_frames_they_have(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = []
    for name, frames in (("a", 5), ("b", 5), ("c", 6)):
        save_file({"latents": torch.ones(1, frames, 2, 2)}, tmp_path / f"{name}.safetensors")
        rows.append(json.dumps({"path": f"{name}.safetensors", "caption": name}))
    (tmp_path / "captions.jsonl").write_text("\n".join(rows), encoding="utf-8")
    code, out, _ = _run(capsys, tmp_path, "--json")
    assert (code, json.loads(out)["kind"]) == (6, "latents")
    assert json.loads(out)["broken"] == {"has latents of another shape": 1}


@pytest.mark.parametrize(
    "options", [["--kind", "films"], ["--kind", "mini"], ["--choice", "best"], ["--fps", "0"]]
)
def test_wrong_options(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    code, out, err = _run(capsys, tmp_path, *options)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1


def test_kinds_are_guessed(tmp_path: Path) -> None:
    assert guess_kind(["https://host/s.tar"]) == "webdataset"
    assert guess_kind([str(tmp_path / "s-{0..3}.tar")]) == "webdataset"
    assert guess_kind([str(tmp_path)]) == "folder"
    (tmp_path / "captions.jsonl").touch()
    assert guess_kind([str(tmp_path)]) == "folder"
    (tmp_path / "0.safetensors").touch()
    assert guess_kind([str(tmp_path)]) == "latents"
    (tmp_path / "s.tar").touch()
    assert guess_kind([str(tmp_path)]) == "webdataset"


def test_the_mini_world_is_whole(tmp_path: Path) -> None:
    report = check(DataSettings(pool=3), frames=8, fps=8, folder=tmp_path)
    assert (report.samples, report.readable, report.broken) == (3, 3, {})


@pytest.mark.parametrize(
    "values",
    [
        {"kind": "folder"},
        {"kind": "mini", "path": ["x"]},
        {"kind": "webdataset", "path": ["x"], "captions": "y.csv"},
        {"kind": "folder", "path": ["x"], "fps": 0},
        {"kind": "folder", "path": ["x"], "shuffle": 1000},
        {"pool": 0},
    ],
)
def test_settings_that_do_not_fit(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        DataSettings.model_validate(values)

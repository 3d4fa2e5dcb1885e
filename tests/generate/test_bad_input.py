"""Bad input, typed the way a user types it: one line, the documented exit code, nothing lost."""

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests import fakes
from turbo_eval.cli.main import run as command
from turbo_eval.core.runs import RunFolder
from turbo_eval.video.encode import encode

Capture = pytest.CaptureFixture[str]
FRAMES = np.random.default_rng(0).integers(0, 255, (6, 32, 32, 3), np.uint8)


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    fakes.register()
    fakes.write_suite(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "calls.log"))
    yield
    # Whatever was typed, no fault of ours was found and nothing was written beside the run.
    assert not list(tmp_path.rglob("error-*.txt"))


def told(capsys: Capture, *args: str) -> tuple[int, str]:
    """The exit code, and the one line that says why."""
    code = command([*args])
    lines = capsys.readouterr().err.splitlines()
    found = [line for line in lines if line.startswith("turbo-eval: ")]
    assert len(found) == (code not in {0, 130, 143}), lines
    assert "Traceback" not in "".join(lines)
    return code, found[0] if found else "\n".join(lines)


def run(capsys: Capture, *more: str, suite: str = "custom:suite.json") -> tuple[int, str]:
    return told(capsys, "run", suite, "--judges", "fake", "--run", "r", *more)


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        ("--model fakee", 2, ["'fakee'", "did you mean fake"]),
        ("--model fake --dimensions colr", 2, ["'colr'", "did you mean color"]),
        ("--model fake --judges fakke", 2, ["'fakke'", "did you mean fake"]),
        ("--model fake --dtype flaot32", 2, ["'flaot32'", "did you mean float32"]),
        ("--model fake --device cuuda", 2, ["'cuuda'", "did you mean cuda"]),
        ("--model fake --device mps:7", 2, ["--device"]),
        ("--model fake --device cuda:97", 4, ["cuda:97", "--device auto"]),
        ("--model fake --batch-size 0", 2, ["--batch-size", "1"]),
        ("--model fake --batch-size lots", 2, ["'lots'", "auto"]),
        ("--model fake --seeds 0", 2, ["--seeds"]),
        ("--model fake --seeds many", 2, ["--seeds"]),
        ("--model fake --steps 0", 2, ["--steps"]),
        ("--model fake --steps 100000", 2, ["--steps", "1000"]),
        ("--model fake --guidance nan", 2, ["--guidance"]),
        ("--model fake --guidance 1e9", 2, ["--guidance", "100"]),
        ("--model fake@0", 2, ["--model", "steps"]),
        ("--model fake@stepps=8", 2, ["stepps=8", "steps=8"]),
        ("--model fake --limit 0", 2, ["--limit"]),
        ("--model fake --prompts none*", 2, ["none*"]),
        ("--model fake --fail-threshold 2", 2, ["--fail-threshold"]),
        ("--model fake --sedes 3", 2, ["--sedes", "--seeds"]),
        ("--model fake --model fake", 2, ["named twice"]),
        ("--model fake --config none.toml", 3, ["none.toml"]),
        ("--model folder:nowhere", 5, ["nowhere"]),
        ("--model folder:.", 5, ["holds no video"]),
        ("", 2, ["no model"]),
    ],
)
def test_options(capsys: Capture, args: str, code: int, words: list[str]) -> None:
    found, line = run(capsys, *args.split())
    assert found == code, line
    for word in words:
        assert word in line


@pytest.mark.parametrize(
    ("suite", "code", "words"),
    [
        ("minni", 2, "did you mean mini"),
        ("custom:none.txt", 5, "none.txt"),
        ("custom:", 2, "custom:FILE"),
        ("custom:suite.xyz", 5, "suite.xyz"),
    ],
)
def test_suites(capsys: Capture, suite: str, code: int, words: str) -> None:
    found, line = run(capsys, "--model", "fake", suite=suite)
    assert found == code
    assert words in line
    assert not Path("r").exists()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "holds no prompt"),
        (b"a cat\n\na dog\n", "line 2: the prompt is empty"),
        (b"a cat\n" + b"x" * 10_000, "line 2: the prompt has 10000 characters"),
        (b"a ros\xe9\n", "byte 0xe9 is not UTF-8"),
        (b"a\0b\n", "U+0000"),
    ],
)
def test_prompt_files(capsys: Capture, data: bytes, words: str) -> None:
    Path("p.txt").write_bytes(data)
    code, line = run(capsys, "--model", "fake", suite="custom:p.txt")
    assert code == 5
    assert "p.txt" in line
    assert words in line


def test_odd_prompts_are_data(tmp_path: Path, capsys: Capture) -> None:
    odd = [
        "../../../etc/passwd",
        "/abs/path",
        "a 'cat' \"quoted\" $(rm x) `id` %s {x}",
        "🐈\u200d⬛ emoji café",
        "line one\nline two",
        "<script>alert(1)</script>",
        "CON",
        ".",
    ]
    texts = [*odd, odd[0]]
    Path("p.json").write_text(json.dumps(texts), encoding="utf-8")
    only = ["--model", "fake", "--dimensions", "temporal_flickering"]
    code, lines = run(capsys, *only, suite="custom:p.json")
    assert code == 0
    assert "repeats" in lines
    rows = RunFolder("r").prompts.read()
    assert {row["text"] for row in rows} == set(odd)
    cell = json.loads(Path("r/summary.json").read_text())["models"]["fake"]
    assert cell["vbench.temporal_flickering"]["n"] == len(odd)
    videos = {path.name for path in Path("r/videos/fake").iterdir()}
    assert videos == {f"{row['video_id']}.mp4" for row in RunFolder("r").videos.read()}
    assert {path.name for path in tmp_path.iterdir()} == {"p.json", "suite.json", "calls.log", "r"}


def _no_frames(path: Path) -> None:
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=8)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        file.start_encoding()


def test_damaged_videos_fail_alone(capsys: Capture) -> None:
    Path("clips").mkdir()
    paths = {
        name: Path(f"clips/{kind} {i}-0.mp4")
        for i, names in enumerate([("good", "corrupt", "truncated"), ("empty", "text", "none")])
        for kind, name in zip(("a red cube", "an alley", "a person is running"), names, strict=True)
    }
    encode(FRAMES, 8, paths["good"])
    whole = paths["good"].read_bytes()
    paths["corrupt"].write_bytes(whole[:40] + bytes(len(whole) - 40))
    paths["truncated"].write_bytes(whole[: len(whole) // 2])
    paths["empty"].write_bytes(b"")
    paths["text"].write_text("no video at all")
    _no_frames(paths["none"])
    gone = Path("clips/an alley 2-0.mp4")
    gone.symlink_to("nowhere.mp4")
    # Another size than the good one's is no fault, but said.
    encode(np.repeat(FRAMES, 2, axis=1), 8, Path("clips/a red cube 2-0.mp4"))
    command(["run", "custom:suite.json", "--judges", "fake", "--run", "r", "-m", "folder:clips"])
    lines = capsys.readouterr().err
    assert "32x32, 6 frames (1); 32x64, 6 frames (1)" in lines
    code, line = run(capsys, "--model", "folder:clips")
    assert code == 6
    # Six files are damaged; seven of the suite's 15 prompts have none.
    assert line.startswith("turbo-eval: 13 of ")
    assert line.count("Fix: ") == 1
    summary = json.loads(Path("r/summary.json").read_text())
    assert {f["prompt"] for f in summary["failures"]} == {
        path.stem.removesuffix("-0") for name, path in paths.items() if name != "good"
    } | {"an alley 2"}
    assert summary["models"]["clips"]["vbench.color"]["n"] == 2
    assert command(["check", "--run", "r"]) == 5


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"path,prompt\n\xe9,x\n", "0xe9 is not UTF-8"),
        (b"file,prompt\na,x\n", "lacks a column"),
        (b"path,prompt\na\0b.mp4,an alley 0\n", "U+0000"),
        (b"path,prompt,index\na.mp4,an alley 0,x\n", "'x'"),
        (b"path,prompt\n,an alley 0\n", "line 2"),
    ],
)
def test_lists_of_videos(capsys: Capture, data: bytes, words: str) -> None:
    Path("list.csv").write_bytes(data)
    code, line = run(capsys, "--model", "folder:list.csv")
    assert code == 5
    assert words in line


@pytest.mark.parametrize("name", ["a" * 300, "suite.json", "suite.json/below"])
def test_impossible_run_folders(capsys: Capture, name: str) -> None:
    code, line = told(
        capsys, "run", "custom:suite.json", "--judges", "fake", "-m", "fake", "--run", name
    )
    assert code == 4
    assert name in line


def test_damaged_run_folders(capsys: Capture) -> None:
    assert told(capsys, "report", "--run", "r")[0] == 4
    start = ["--model", "fake", "--dimensions", "scene"]
    assert run(capsys, *start)[0] == 0
    done = Path("calls.log").read_text()
    toml = Path("r/run.toml")
    frozen = toml.read_text()
    code, line = run(capsys, *start, "--seed-base", "3")
    assert (code, "seed_base: 0 there, 3 now" in line) == (3, True)
    for text in ("x = [", frozen.replace("seeds = 1", 'seeds = "a"')):
        toml.write_text(text)
        code, line = told(capsys, "report", "--run", "r")
        assert code == 3
        assert "r/run.toml" in line
    toml.write_text(frozen)
    for shard in Path("r/prompts.parquet").iterdir():
        shard.write_bytes(shard.read_bytes()[:50])
    code, line = told(capsys, "report", "--run", "r")
    assert code == 5
    assert "prompts" in line
    # The same command mends it, and nothing is done twice.
    assert run(capsys, *start)[0] == 0
    assert Path("calls.log").read_text() == done


def test_plans_and_other_folders_leave_the_run_alone(capsys: Capture) -> None:
    start = ["--model", "fake", "--dimensions", "scene"]
    assert run(capsys, *start)[0] == 0

    def state() -> dict[str, Any]:
        return {str(p): p.stat().st_mtime_ns for p in Path("r").rglob("*")}

    before = state()
    assert run(capsys, *start, "--dry-run")[0] == 0
    assert run(capsys, *start, "--seeds", "2", "--dry-run")[0] == 0
    assert run(capsys, *start, "--seed-base", "2", "--dry-run")[0] == 3
    assert told(capsys, "report", "--run", "r", "--out", "page")[0] == 0
    assert Path("page/index.html").is_file()
    assert state() == before


@pytest.mark.parametrize("writes", [0, 12, 60])
def test_a_full_disk_loses_nothing(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    start = ["--model", "fake", "--batch-size", "4"]
    write, left = os.write, iter(range(writes))

    def until_full(handle: int, data: bytes) -> int:
        if next(left, None) is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(handle, data)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", until_full)
        code, line = run(capsys, *start)
    assert code == 4
    assert "no space left" in line
    assert "cannot write in r" in line
    assert not list(Path("r").rglob("*.tmp"))
    videos = {row["video_id"] for row in RunFolder("r").videos.read()}
    assert run(capsys, *start)[0] == 0
    drawn = [text for text in Path("calls.log").read_text().splitlines() if " draw " in text]
    # Only clips of the batch whose rows could not be written are drawn again.
    assert len(drawn) <= 15 + 4
    assert videos <= {row["video_id"] for row in RunFolder("r").videos.read()}
    assert json.loads(Path("r/summary.json").read_text())["failures"] == []


def test_a_read_only_folder(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    start = ["--model", "fake", "--dimensions", "scene"]
    assert run(capsys, *start)[0] == 0
    opened = os.open

    def refuse(path: Any, flags: int, *more: Any, **named: Any) -> int:
        if flags & os.O_CREAT:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return opened(path, flags, *more, **named)

    monkeypatch.setattr(os, "open", refuse)
    for args in (["run", "custom:suite.json", "--judges", "fake", *start], ["summarize"]):
        code, line = told(capsys, *args, "--run", "r")
        assert code == 4
        assert "cannot write in r: it is read-only" in line
    assert run(capsys, *start, "--dry-run")[0] == 0
    assert told(capsys, "check", "--run", "r")[0] == 0
    assert told(capsys, "score", "--run", "r")[0] == 0


@pytest.mark.parametrize("kind", ["changed", "gone"])
def test_weights_with_a_wrong_checksum(capsys: Capture, kind: str) -> None:
    files = {"unet/weights.bin": "0" * 64}
    info = {"width": 8, "height": 8, "frames": 2, "fps": 8, "steps": 2, "guidance": 1.0}
    card = {"info": info | {"licence": "x"}, "files": files}
    Path("w/unet").mkdir(parents=True)
    Path("w/card.json").write_text(json.dumps(card))
    if kind == "changed":
        Path("w/unet/weights.bin").write_bytes(b"other bytes")
    code, line = run(capsys, "--model", "mini-teacher", "--weights-dir", "w")
    assert code == 4
    assert "w/unet/weights.bin" in line
    assert ("wrong checksum" if kind == "changed" else "is missing") in line
    assert RunFolder("r").videos.count() == 0

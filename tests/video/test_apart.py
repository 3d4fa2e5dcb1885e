"""A file that kills the decoder kills a helper process, and the next file is read all the same."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.video.builders import moving_square, write
from turbo_eval.cli.main import run as command
from turbo_eval.core.errors import InputError, PrerequisiteError
from turbo_eval.video import apart, decode, encode, probe

# The real worker with a decoder that dies, as libav does on some files: without any exception.
_DEADLY = """
import os, signal
import turbo_eval.video.worker as worker

def deadly(real):
    def look(path):
        if "abort" in path.name:
            os.abort()
        if "segfault" in path.name:
            os.kill(os.getpid(), signal.SIGSEGV)
        return real(path)
    return look

worker.decode, worker.probe = deadly(worker.decode), deadly(worker.probe)
worker.main()
"""
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _own_helper(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    helper = apart._Helper()
    monkeypatch.setattr(apart, "_HELPER", helper)
    yield
    helper.close()


@pytest.fixture
def deadly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "COMMAND", [sys.executable, "-c", _DEADLY])


def test_frames_and_facts_are_those_of_this_process(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", moving_square(7))
    here, there = decode(tmp_path / "a.mp4"), apart.decode_apart(tmp_path / "a.mp4")
    np.testing.assert_array_equal(there.frames, here.frames)
    assert (there.fps, there.content_hash, there.path) == (here.fps, here.content_hash, here.path)
    assert there.frames.flags.c_contiguous
    assert apart.probe_apart(tmp_path / "a.mp4") == probe(tmp_path / "a.mp4")
    assert apart.shape_apart(tmp_path / "a.mp4") == here.frames.shape


def test_one_process_serves_all_files_and_odd_names(tmp_path: Path) -> None:
    helpers = set()
    for name in ("a.mp4", 'b "c"\n\N{GRINNING FACE}.mp4', os.fsdecode(b"\xff.mp4")):
        encode(moving_square(2), 8, tmp_path / name)
        assert apart.shape_apart(tmp_path / name)[0] == 2
        assert apart._HELPER._child is not None
        helpers.add(apart._HELPER._child.pid)
    assert len(helpers) == 1


def test_errors_are_those_of_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("words.mp4").write_text("only words")
    for name in ("words.mp4", "missing.mp4", "nul\0byte.mp4"):
        with pytest.raises(InputError) as here:
            decode(Path(name))
        with pytest.raises(InputError) as there:
            apart.decode_apart(Path(name))
        assert str(there.value) == str(here.value)


@pytest.mark.usefixtures("deadly")
def test_a_file_that_kills_the_decoder_is_named_and_the_next_one_read(tmp_path: Path) -> None:
    for name in ("abort.mp4", "good.mp4", "segfault.mp4", "better.mp4"):
        encode(moving_square(3), 8, tmp_path / name)
    for look in (apart.decode_apart, apart.shape_apart, apart.probe_apart):
        with pytest.raises(InputError, match=r"abort\.mp4 kills the decoder: .*SIGABRT"):
            look(tmp_path / "abort.mp4")
        assert apart.decode_apart(tmp_path / "good.mp4").frames.shape == (3, 48, 64, 3)
        with pytest.raises(InputError, match=r"segfault\.mp4 kills the decoder: .*SIGSEGV"):
            look(tmp_path / "segfault.mp4")
        assert apart.decode_apart(tmp_path / "better.mp4").frames.shape == (3, 48, 64, 3)


def test_an_interrupt_in_the_middle_garbles_no_later_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, count in (("a.mp4", 3), ("b.mp4", 5)):
        encode(moving_square(count), 8, tmp_path / name)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    apart.shape_apart(tmp_path / "a.mp4")
    with monkeypatch.context() as patch:
        # The facts have come, the frames are still in the pipe.
        patch.setattr("numpy.empty", interrupted)
        with pytest.raises(KeyboardInterrupt):
            apart.decode_apart(tmp_path / "a.mp4")
    assert apart.decode_apart(tmp_path / "b.mp4").frames.shape[0] == 5


def test_a_helper_that_cannot_start_is_no_fault_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apart, "COMMAND", [sys.executable, "-c", "import sys; sys.exit(3)"])
    with pytest.raises(PrerequisiteError, match="exit code 3"):
        apart.shape_apart(tmp_path / "a.mp4")
    monkeypatch.setattr(apart, "COMMAND", [str(tmp_path / "nothing")])
    with pytest.raises(PrerequisiteError, match="cannot start"):
        apart.shape_apart(tmp_path / "a.mp4")


@pytest.mark.usefixtures("deadly")
@pytest.mark.parametrize("at_once", [True, False])
def test_check_and_run_survive_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture, at_once: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TURBO_EVAL_JUDGES", "mini")
    Path("clips").mkdir()
    names = ["a cat-0.mp4", "segfault-0.mp4", "the sea-0.mp4"]
    for name in names:
        encode(moving_square(5), 8, Path("clips") / name)
    entries = [
        {"prompt_en": name.removesuffix("-0.mp4"), "dimension": ["temporal_flickering"]}
        for name in names
    ]
    Path("info.json").write_text(json.dumps(entries))
    if not at_once:
        # The decoder dies in the middle of the file, which its description does not show.
        calm = _DEADLY.replace("deadly(worker.decode), deadly(worker.probe)",
                               "deadly(worker.decode), worker.probe")  # fmt: skip
        monkeypatch.setattr(apart, "COMMAND", [sys.executable, "-c", calm])
    assert command(["check", "clips", "--suite", "vbench:info.json", "--json"]) == 5
    told = json.loads(capsys.readouterr().out)
    assert [(p["prompt"], p["kind"]) for p in told["problems"]] == [("segfault", "undecodable")]
    assert signal.Signals.SIGSEGV.name in told["problems"][0]["problem"]
    assert sum(shape["videos"] for shape in told["videos"]) == 2
    args = ["run", "vbench:info.json", "--model", "folder:clips", "--run", "r", "--json"]
    assert command(args) == 6
    out, err = capsys.readouterr()
    assert "kills the decoder" in err
    cell = json.loads(out)["models"]["clips"]["vbench.temporal_flickering"]
    # A video that could not even be registered is no video of the run.
    assert (cell["n"], cell["value"] > 0) == (2, True)

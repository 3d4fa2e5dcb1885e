"""Encoding: the same bytes for the same frames, close to them, nothing half-written."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.video.builders import moving_square
from turbo_eval.core.errors import InputError, PrerequisiteError
from turbo_eval.video import decode, encode, probe


def test_round_trip_is_close(tmp_path: Path) -> None:
    frames = moving_square()
    encode(frames, 8, tmp_path / "a.mp4")
    clip = decode(tmp_path / "a.mp4")
    assert clip.frames.shape == frames.shape
    assert clip.fps == 8
    error = np.mean((clip.frames.astype(float) - frames) ** 2)
    # 29 dB reached here with sharp colour edges, which yuv420p blurs; grey has no such loss.
    assert 10 * np.log10(255**2 / error) > 27
    grey = np.repeat(moving_square()[..., :1], 3, axis=-1)
    encode(grey, 8, tmp_path / "grey.mp4")
    error = np.mean((decode(tmp_path / "grey.mp4").frames.astype(float) - grey) ** 2)
    assert 10 * np.log10(255**2 / error) > 40


def test_settings_are_as_promised(tmp_path: Path) -> None:
    encode(moving_square(5), 29.97, tmp_path / "a.mp4")
    info = probe(tmp_path / "a.mp4")
    assert (info.width, info.height, info.frames, info.codec) == (64, 48, 5, "h264")
    assert info.fps == pytest.approx(29.97)
    assert info.seconds == pytest.approx(5 / 29.97, abs=1e-3)
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"
        assert "creation_time" not in container.metadata


def test_bytes_do_not_depend_on_what_memory_held_before(tmp_path: Path) -> None:
    # Without cpu-independent about half of these differ.
    random = np.random.default_rng(0)
    frames = random.integers(0, 255, (16, 8, 8, 3), dtype=np.uint8).repeat(8, 1).repeat(8, 2)
    seen = set()
    for _ in range(12):
        junk = [
            random.integers(0, 255, int(n), dtype=np.uint8) for n in random.integers(9, 9**5, 99)
        ]
        del junk
        encode(frames, 8, tmp_path / "a.mp4")
        seen.add((tmp_path / "a.mp4").read_bytes())
    assert len(seen) == 1


def test_another_process_writes_the_same_bytes(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; import numpy as np\n"
        "from turbo_eval.video import encode\n"
        "encode(np.load(sys.argv[1]), 8, Path(sys.argv[2]))"
    )
    np.save(tmp_path / "frames.npy", moving_square())
    encode(moving_square(), 8, tmp_path / "a.mp4")
    there = [str(tmp_path / "frames.npy"), str(tmp_path / "b.mp4")]
    subprocess.run([sys.executable, "-c", code, *there], check=True)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


@pytest.mark.parametrize(
    ("frames", "fps", "word"),
    [
        (np.zeros((2, 5, 4, 3), np.uint8), 8, "even width and height"),
        (np.zeros((2, 4, 5, 3), np.uint8), 8, "even width and height"),
        (np.zeros((0, 4, 4, 3), np.uint8), 8, "empty"),
        (np.zeros((2, 4, 4, 4), np.uint8), 8, "shape"),
        (np.zeros((4, 4, 3), np.uint8), 8, "shape"),
        (np.zeros((2, 4, 4, 3), np.float32), 8, "float32"),
        ("not an array", 8, "str"),
        (np.zeros((2, 4, 4, 3), np.uint8), 0, "frame rate"),
        (np.zeros((2, 4, 4, 3), np.uint8), float("nan"), "frame rate"),
        (np.zeros((2, 4, 4, 3), np.uint8), float("inf"), "frame rate"),
        (np.zeros((2, 4, 4, 3), np.uint8), 1e-9, "cannot be written"),
    ],
)
def test_what_is_no_video_is_refused(tmp_path: Path, frames: Any, fps: float, word: str) -> None:
    with pytest.raises(InputError, match=word):
        encode(frames, fps, tmp_path / "a.mp4")
    assert list(tmp_path.iterdir()) == []


def test_one_frame_and_odd_layout_are_fine(tmp_path: Path) -> None:
    encode(moving_square(1), 8, tmp_path / "one.mp4")
    assert len(decode(tmp_path / "one.mp4").frames) == 1
    encode(moving_square()[::-1, :, ::-1], 8, tmp_path / "view.mp4")
    assert len(decode(tmp_path / "view.mp4").frames) == 8


def test_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(PrerequisiteError, match="no space"):
        encode(moving_square(), 8, tmp_path / "deep" / "a.mp4")
    assert list((tmp_path / "deep").iterdir()) == []

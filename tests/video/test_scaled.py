"""Frames scaled while they are decoded."""

from pathlib import Path

import numpy as np
import pytest

from tests.video.builders import moving_square, write
from turbo_eval.core.errors import InputError
from turbo_eval.video.read import decode
from turbo_eval.video.scaled import decode_scaled


def test_wanted_frames_come_in_order_and_size(tmp_path: Path) -> None:
    frames = np.repeat(np.arange(0, 160, 20, dtype=np.uint8), 48 * 64 * 3).reshape(8, 48, 64, 3)
    write(tmp_path / "a.mp4", frames)
    scaled = decode_scaled(tmp_path / "a.mp4", [1, 3, 6], 32, 24)
    assert scaled.shape == (3, 32, 24, 3)
    expected = decode(tmp_path / "a.mp4").frames[[1, 3, 6]].mean(axis=(1, 2, 3))
    assert np.abs(scaled.mean(axis=(1, 2, 3)) - expected).max() <= 1.5


def test_a_frame_of_its_own_size_is_as_decoded(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", moving_square())
    clip = decode(tmp_path / "a.mp4")
    assert clip.path == tmp_path / "a.mp4"
    scaled = decode_scaled(tmp_path / "a.mp4", range(8), 48, 64)
    assert np.abs(scaled.astype(int) - clip.frames).max() <= 1


def test_a_turned_video_is_scaled_upright(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", moving_square(), rotation=90)
    upright = decode(tmp_path / "a.mp4").frames
    assert upright.shape[1:3] == (64, 48)
    scaled = decode_scaled(tmp_path / "a.mp4", [0], 64, 48)
    assert np.abs(scaled[0].astype(int) - upright[0]).max() <= 1


def test_a_frame_beyond_the_end_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", moving_square())
    with pytest.raises(InputError, match="frame 8 cannot be decoded"):
        decode_scaled(tmp_path / "a.mp4", [2, 8], 32, 32)

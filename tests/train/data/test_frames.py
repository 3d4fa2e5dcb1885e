"""Which frames make a clip: T2V-Turbo's rule, row by row, and v2's."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.train.data.builders import video
from turbo_train.data.frames import fractional, read_clip, stride_of, strided
from turbo_train.data.samples import BrokenSample


def _rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    ("native", "stride"),
    [
        (8, None),
        (15, None),
        (15.4, None),
        # Rounded first: a half goes to the even side.
        (15.5, 1),
        (16, 1),
        (16.5, 1),
        (20, 1),
        (23, 1),
        (23.976, 2),
        (24, 2),
        (25, 2),
        (29.97, 2),
        (30, 2),
        (39, 2),
        # 40 / 16 = 2.5.
        (40, 2),
        (41, 3),
        (50, 3),
        # 56 / 16 = 3.5.
        (56, 4),
        (60, 4),
    ],
)
def test_stride_at_16_frames_a_second(native: float, stride: int | None) -> None:
    assert stride_of(native, 16) == stride


@pytest.mark.parametrize(
    ("length", "native", "starts"),
    [
        # Exactly F frames, or F steps and a remainder: always from the start.
        (16, 16, {0}),
        (32, 24, {0}),
        (33, 24, {0}),
        # One step more: 0 .. length - F * stride - 1.
        (17, 16, {0}),
        (18, 16, {0, 1}),
        (34, 24, {0, 1}),
        (35, 30, {0, 1, 2}),
        (21, 16, {0, 1, 2, 3, 4}),
    ],
)
def test_starts(length: int, native: float, starts: set[int]) -> None:
    drawn = set()
    for seed in range(80):
        indices = strided(length, native, frames=16, fps=16, rng=_rng(seed))
        assert np.diff(indices).tolist() == [stride_of(native, 16)] * 15
        drawn.add(indices[0])
    assert drawn == starts


@pytest.mark.parametrize(
    ("length", "native", "reason"),
    [
        (15, 16, "is too short"),
        (31, 24, "is too short"),
        (16, 30, "is too short"),
        (500, 15, "is slower than 16 frames a second"),
    ],
)
def test_passed_over(length: int, native: float, reason: str) -> None:
    with pytest.raises(BrokenSample) as caught:
        strided(length, native, frames=16, fps=16, rng=_rng())
    assert caught.value.reason == reason


@given(
    st.integers(1, 400),
    st.floats(1, 120),
    st.integers(1, 32),
    st.sampled_from([8.0, 12.5, 16.0]),
    st.integers(0, 99),
)
def test_indices_exist_whatever_is_asked(
    length: int, native: float, frames: int, fps: float, seed: int
) -> None:
    for rule in (strided, fractional):
        try:
            indices = rule(length, native, frames=frames, fps=fps, rng=_rng(seed))
        except BrokenSample:
            continue
        assert len(indices) == frames
        assert indices == sorted(indices)
        assert indices[0] >= 0
        assert indices[-1] < length


def test_v2_takes_the_exact_rate_and_spreads_over_short_videos() -> None:
    # 20 frames a second at 8: a step of 2.5, halves to the even side.
    chosen = fractional(20, 20, frames=8, fps=8, rng=_rng())
    assert chosen == [0, 2, 5, 8, 10, 12, 15, 18]
    assert fractional(4, 20, frames=7, fps=8, rng=_rng()) == [0, 0, 1, 2, 2, 2, 3]
    with pytest.raises(BrokenSample):
        fractional(1, 20, frames=7, fps=8, rng=_rng())


def test_a_clip_is_the_chosen_frames_at_the_wanted_size(tmp_path: Path) -> None:
    path = video(tmp_path / "a.mp4", length=12, fps=16)
    clip = read_clip(
        path,
        frames=6,
        height=10,
        width=20,
        fps=8,
        choice="stride",
        resize="lanczos",
        rng=_rng(),
    )
    assert clip.shape == (6, 10, 20, 3)
    # Each frame is 5 brighter than the one before, so every second one is 10 brighter.
    shades = clip.float().mean((1, 2, 3)).numpy()
    np.testing.assert_allclose(np.diff(shades), 10, atol=2.5)
    assert shades[0] == pytest.approx(90, abs=2.5)

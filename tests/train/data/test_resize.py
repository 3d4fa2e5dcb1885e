"""Lanczos-4 by hand, and against OpenCV, which the authors resize with."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turbo_train.data.resize import bilinear, fit, lanczos, lanczos_matrix

SIDE = st.integers(1, 40)


def _noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (2, height, width, 3), dtype=np.uint8)


@given(SIDE, SIDE, SIDE, SIDE, st.integers(0, 255))
def test_a_constant_image_stays_constant(h: int, w: int, to_h: int, to_w: int, value: int) -> None:
    frames = np.full((1, h, w, 3), value, np.uint8)
    for method in (lanczos, bilinear):
        resized = method(frames, to_h, to_w)
        assert resized.shape == (1, to_h, to_w, 3)
        np.testing.assert_allclose(resized, value, rtol=2e-6)


def test_the_same_size_changes_nothing() -> None:
    frames = _noise(9, 13)
    np.testing.assert_allclose(lanczos(frames, 9, 13), frames, atol=1e-4)
    np.testing.assert_array_equal(fit(frames, 9, 13), frames)


def test_a_third_of_the_size_takes_every_third_pixel() -> None:
    # Centres fall on pixels then, and nothing is smoothed against aliasing.
    frames = _noise(27, 33)
    np.testing.assert_allclose(lanczos(frames, 9, 11), frames[:, 1::3, 1::3], atol=1e-4)


def test_a_shift_by_two_pixels_is_one_at_half_the_size() -> None:
    frames = _noise(64, 64)
    moved = np.roll(frames, 2, axis=2)
    small, small_moved = lanczos(frames, 32, 32), lanczos(moved, 32, 32)
    # Away from the border, where eight taps see no replicated pixel.
    np.testing.assert_allclose(small_moved[:, :, 4:-3], small[:, :, 3:-4], atol=1e-4)


def test_half_way_weights_are_those_of_the_window() -> None:
    # Twice the length: the first centre is at -0.25, so taps lie at -4.25 + 1 .. -4.25 + 8.
    distance = np.arange(-3.25, 4.75)
    window = np.sin(np.pi * distance) * np.sin(np.pi * distance / 4) / distance**2
    weights = window / window.sum()
    row = lanczos_matrix(20, 40)[20]
    # Position 20 is at 9.75: the tap at 9 is 0.75 away.
    np.testing.assert_allclose(row[6:14][::-1], weights, atol=1e-6)
    assert row.sum() == pytest.approx(1, abs=1e-6)
    assert np.count_nonzero(row) == 8


@given(SIDE, SIDE, SIDE, SIDE, st.integers(0, 9))
def test_equal_to_opencv(h: int, w: int, to_h: int, to_w: int, seed: int) -> None:
    frames = _noise(h, w, seed).astype(np.float32)
    theirs = [cv2.resize(f, (to_w, to_h), interpolation=cv2.INTER_LANCZOS4) for f in frames]
    np.testing.assert_allclose(lanczos(frames, to_h, to_w), np.stack(theirs), atol=2e-2)


def test_overshoot_is_cut_off() -> None:
    frames = np.zeros((1, 8, 8, 3), np.uint8)
    frames[:, :, 4:] = 255
    raw = lanczos(frames, 16, 16)
    assert raw.min() < 0
    assert raw.max() > 255
    kept = fit(frames, 16, 16)
    assert kept.dtype == np.float16
    assert (kept.min(), kept.max()) == (0, 255)


def test_bilinear_smooths_where_lanczos_does_not() -> None:
    stripes = np.zeros((1, 8, 30, 3), np.uint8)
    stripes[:, :, 1::3] = 255
    assert lanczos(stripes, 8, 10).min() > 254
    assert abs(bilinear(stripes, 8, 10)[:, :, 2:-2].mean() - 85) < 1
    assert fit(stripes, 8, 10, "bilinear")[0, 4, 5, 0] < 140

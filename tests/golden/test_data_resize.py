"""Our resizing of training frames against arrays that the authors' program wrote.

The arrays lie outside the repository. Where they are absent this file is not collected (see
conftest.py); tests/train/data holds the same function to closed forms and to OpenCV.
"""

from pathlib import Path

import numpy as np

from turbo_train.data.resize import fit, lanczos

ARRAYS = (
    Path(__file__).resolve().parents[3] / "shared" / "fixtures" / "t2v_turbo" / "data_resize.npz"
)


def test_lanczos_equals_the_authors_up_to_float16() -> None:
    with np.load(ARRAYS) as arrays:
        frames, theirs = arrays["frames"], arrays["resized_f16"]
    ours = lanczos(frames, *theirs.shape[1:3])
    assert theirs.min() < 0
    assert theirs.max() > 255
    # Rounding to float16 moves a value by half a step at most; 1e-4 is our own float32 error.
    half = np.spacing(np.abs(theirs)).astype(np.float32) / 2
    assert (np.abs(ours - theirs.astype(np.float32)) <= half + 1e-4).all()
    assert (ours.astype(np.float16) != theirs).mean() < 0.005


def test_cutting_the_overshoot_before_the_change_of_range_gives_the_authors_values() -> None:
    with np.load(ARRAYS) as arrays:
        frames, theirs = arrays["frames"], arrays["normalised"]
    ours = fit(frames, *theirs.shape[1:3])
    # In float16, as they compute; one step of it at 1 is 1e-3.
    normalised = (ours / np.float16(255) - np.float16(0.5)) * np.float16(2)
    assert np.abs(normalised.astype(np.float32) - theirs).max() <= 1.0e-3
    assert (normalised.astype(np.float32) != theirs).mean() < 0.005

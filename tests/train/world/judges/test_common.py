from pathlib import Path

import numpy as np
import pytest
import torch

from turbo_train.world.judges.common import (
    augment,
    augment_clips,
    coarse,
    gaussian,
    mean,
    pool,
    share,
    tensor,
)
from turbo_train.world.stream import item


def test_wilson_interval_of_known_counts() -> None:
    # 8 of 10: 0.4902 to 0.9433 (Wilson score interval, any textbook).
    found = share(8, 10)
    assert (found.value, found.n) == (0.8, 10)
    assert found.low == pytest.approx(0.4902, abs=1e-4)
    assert found.high == pytest.approx(0.9433, abs=1e-4)
    assert share(0, 0).high == 1.0
    assert share(50, 50).low > 0.9


def test_mean_with_its_interval() -> None:
    found = mean(np.array([1.0, 2.0, 3.0]), "px")
    assert found.value == 2
    assert found.high - found.value == pytest.approx(1.959964 / 3**0.5)
    assert mean(np.array([4.0])).low == 4.0


def test_a_pool_is_the_stream_rendered_once(tmp_path: Path) -> None:
    first = pool(tmp_path, 42, 3)
    assert np.array_equal(first.clips[2], item(42, 2).clip())
    stamp = next(tmp_path.glob("*.npy")).stat().st_mtime_ns
    assert np.array_equal(pool(tmp_path, 42, 3).clips, first.clips)
    assert next(tmp_path.glob("*.npy")).stat().st_mtime_ns == stamp


def test_augmented_pictures_stay_pictures_and_follow_the_seed() -> None:
    frames = torch.rand(24, 3, 64, 64) * 2 - 1
    torch.manual_seed(3)
    first = augment(frames)
    torch.manual_seed(3)
    assert torch.equal(first, augment(frames))
    assert first.shape == frames.shape
    assert float(first.abs().max()) <= 1
    assert torch.equal(augment(frames, 0.0), frames)


def test_frames_of_one_clip_are_varied_alike() -> None:
    still = (torch.rand(6, 1, 3, 64, 64) - 0.5).expand(-1, 4, -1, -1, -1)
    varied = augment_clips(still, 1.0)
    assert varied.shape == still.shape
    # Only noise and a slight flicker tell the frames apart; blur and light are the clip's.
    assert float((varied[:, 0] - varied[:, 3]).mean(dim=(1, 2, 3)).abs().max()) < 0.05


def test_blur_keeps_the_mean_and_flat_pictures() -> None:
    flat = torch.full((1, 3, 32, 32), 0.3)
    assert torch.allclose(gaussian(flat, 1.5), flat, atol=1e-5)
    assert torch.allclose(coarse(flat), flat, atol=1e-5)


def test_tensor_moves_the_colours_forward() -> None:
    clips = np.zeros((2, 5, 8, 9, 3), np.uint8)
    clips[..., 1] = 255
    seen = tensor(clips)
    assert seen.shape == (2, 5, 3, 8, 9)
    assert seen[0, 0, :, 0, 0].tolist() == [-1, 1, -1]

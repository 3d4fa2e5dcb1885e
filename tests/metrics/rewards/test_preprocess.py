"""Official preparations by closed forms; test_preprocess_golden.py has the authors' arrays."""

import pytest
import torch
from torch import Tensor

from turbo_eval.core.errors import InputError
from turbo_eval.metrics.rewards.preprocess import (
    CLIP_MEAN,
    CLIP_STD,
    IMAGENET_MEAN,
    letterbox,
    middle,
    resize,
    shorter_side,
    squeeze,
    window,
)


def flat(value: float, height: int, width: int) -> Tensor:
    return torch.full((2, 3, height, width), value)


@pytest.mark.parametrize(("height", "width"), [(320, 512), (512, 320), (64, 64), (225, 100)])
def test_letterbox_keeps_the_aspect_and_makes_black_bars(height: int, width: int) -> None:
    result = letterbox(flat(0.5, height, width))
    assert result.shape == (2, 3, 224, 224)
    black = [-mean / std for mean, std in zip(CLIP_MEAN, CLIP_STD, strict=True)]
    grey = [(0.5 - mean) / std for mean, std in zip(CLIP_MEAN, CLIP_STD, strict=True)]
    new = (round(height * 224 / max(height, width)), round(width * 224 / max(height, width)))
    top, left = (224 - new[0]) // 2, (224 - new[1]) // 2
    expected = torch.tensor(black)[:, None, None].repeat(1, 224, 224)
    expected[:, top : top + new[0], left : left + new[1]] = torch.tensor(grey)[:, None, None]
    torch.testing.assert_close(result[0], expected, rtol=0, atol=2e-6)


def test_letterbox_of_a_wide_clip_has_42_black_rows_on_each_side() -> None:
    rows = letterbox(flat(1.0, 320, 512))[0, 0, :, 100]
    bars = (rows < 0).nonzero().ravel().tolist()
    assert bars == [*range(42), *range(182, 224)]


def test_squeeze_shows_the_whole_frame() -> None:
    frame = torch.zeros(1, 3, 100, 400)
    frame[..., :50, :] = 1  # The upper half.
    result = squeeze(frame)[0, 0]
    assert (result[:110] > 1).all()
    assert (result[114:] < 0).all()


def test_middle_cuts_the_sides_off() -> None:
    frame = torch.zeros(1, 3, 224, 424)
    frame[..., 100:324] = 1
    assert torch.equal(middle(frame), squeeze(torch.ones(1, 3, 224, 224)))


def test_window_is_where_it_was_asked_for() -> None:
    frame = torch.zeros(1, 3, 224, 300)
    frame[..., 10:234] = 1
    result = window(frame, (0, 10))
    assert float(result[0, 0].min()) > 0
    blank = window(frame, (0, 0))[0, 0, :, :10]
    torch.testing.assert_close(blank, torch.full_like(blank, -IMAGENET_MEAN[0] / 0.229))


@pytest.mark.parametrize("offset", [(0, 77), (1, 0), (-1, 0)])
def test_window_outside_is_refused(offset: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="does not lie inside"):
        window(torch.zeros(1, 3, 224, 300), offset)


def test_shorter_side_rounds_each_side() -> None:
    assert shorter_side(320, 512) == (224, 358)
    assert shorter_side(512, 320) == (358, 224)
    assert shorter_side(224, 224) == (224, 224)


def test_frames_of_the_right_size_stay_to_the_bit() -> None:
    frames = torch.rand(1, 3, 224, 224)
    assert resize(frames, 224, 224) is frames


@pytest.mark.parametrize("prepare", [letterbox, squeeze, middle])
def test_the_gradient_comes_through(prepare: object) -> None:
    frames = torch.rand(1, 3, 40, 64, requires_grad=True)
    assert callable(prepare)
    prepare(frames).sum().backward()
    assert frames.grad is not None
    assert bool((frames.grad[..., 5:35, 20:44] > 0).all())

"""Rewards inside the loss: which frames, which captions, which sign, and where gradients go."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.train.conftest import Brightness, Info
from turbo_eval.core.errors import ConfigError, InputError
from turbo_train import config
from turbo_train.rewards import (
    RewardTerms,
    image_frames,
    load_terms,
    reward_losses,
    video_frames,
    weighted_frames,
)


def decode(latents: Tensor) -> Tensor:
    """Frames whose every pixel is the latents' first value."""
    return latents[:, :1, :1, :1].expand(-1, 3, 4, 4)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(st.integers(1, 40), st.integers(1, 20), st.integers(0, 99))
def test_frames_are_different_ordered_and_inside(frames: int, count: int, seed: int) -> None:
    picked = image_frames(frames, count, seeded(seed)).tolist()
    assert len(set(picked)) == len(picked) == min(frames, count)
    even = video_frames(frames, count, seeded(seed)).tolist()
    assert even == sorted(even)
    assert len(even) == min(frames, count)
    assert all(0 <= k < frames for k in picked + even)
    assert len({b - a for a, b in zip(even[:-1], even[1:], strict=True)}) <= 1


def test_sixteen_frames_give_the_even_or_the_odd_ones() -> None:
    seen = {tuple(video_frames(16, 8, seeded(k)).tolist()) for k in range(20)}
    assert seen == {tuple(range(0, 16, 2)), tuple(range(1, 16, 2))}


def test_the_loss_is_minus_the_scaled_mean_and_reaches_the_latents() -> None:
    clean = torch.arange(8.0).reshape(1, 1, 8, 1, 1).repeat(2, 1, 1, 1, 1).requires_grad_()
    settings = config.Rewards(image={"i": 2.0}, video={"v": 3.0}, image_frames=8, video_frames=8)
    terms = RewardTerms(settings, {"i": Brightness()}, {"v": Brightness(Info("video"))})
    losses = reward_losses(terms, clean, ["a", "b"], decode, seeded())
    assert losses["reward/i"].item() == pytest.approx(-2 * 3.5)
    assert losses["reward/v"].item() == pytest.approx(-3 * 3.5)
    torch.stack(list(losses.values())).sum().backward()
    assert clean.grad is not None
    # Only the first clip is judged, as configured.
    assert bool((clean.grad[0] != 0).all())
    assert bool((clean.grad[1] == 0).all())


@given(st.integers(1, 20), st.integers(1, 8), st.integers(1, 8), st.integers(0, 99))
def test_a_frame_that_both_kinds_see_is_decoded_once(
    frames: int, images: int, videos: int, seed: int
) -> None:
    decoded: list[list[float]] = []
    heard: dict[str, list[float]] = {}

    def watched(latents: Tensor) -> Tensor:
        decoded.append(latents[:, 0, 0, 0].tolist())
        return decode(latents)

    class Listener(Brightness):
        def score(self, pixels: Tensor, prompts: Any) -> Tensor:
            heard[self.info.kind] = pixels[..., 0, 0, 0].flatten().tolist()
            return super().score(pixels, prompts)

    settings = config.Rewards(
        image={"i": 1.0}, video={"v": 1.0}, image_frames=images, video_frames=videos
    )
    terms = RewardTerms(settings, {"i": Listener()}, {"v": Listener(Info("video"))})
    clean = torch.arange(float(frames)).reshape(1, 1, frames, 1, 1)
    reward_losses(terms, clean, ["a"], watched, seeded(seed))
    draws = seeded(seed)
    assert heard["image"] == image_frames(frames, images, draws).tolist()
    assert heard["video"] == video_frames(frames, videos, draws).tolist()
    assert decoded == [sorted({*heard["image"], *heard["video"]})]


def test_every_frame_keeps_its_own_caption() -> None:
    told: list[list[str]] = []

    class Listener(Brightness):
        def score(self, pixels: Tensor, prompts: Any) -> Tensor:
            told.append(list(prompts))
            return super().score(pixels, prompts)

    settings = config.Rewards(image={"i": 1.0}, image_frames=2, clips=2)
    clean = torch.zeros(3, 1, 4, 1, 1)
    reward_losses(RewardTerms(settings, {"i": Listener()}), clean, "xyz", decode, seeded())
    assert told == [["x", "x", "y", "y"]]


def test_a_reward_that_is_no_number_is_named() -> None:
    settings = config.Rewards(image={"hps": 1.0})
    terms = RewardTerms(settings, {"hps": Brightness(bad=math.nan)})
    with pytest.raises(InputError, match="reward 'hps' is not finite"):
        reward_losses(terms, torch.zeros(1, 1, 4, 1, 1), ["a"], decode, seeded())


def test_a_reward_in_the_wrong_place_is_refused() -> None:
    settings = config.Rewards(video={"mini-image": 1.0})
    with pytest.raises(ConfigError, match="move it to rewards.image"):
        load_terms(settings, weights_dir=None, device="cpu")


@given(st.integers(1, 30), st.integers(1, 8), st.floats(0.1, 1.0), st.integers(0, 50))
def test_weighted_frames(frames: int, segments: int, attenuation: float, seed: int) -> None:
    chosen, weights = weighted_frames(frames, segments, attenuation, seeded(seed))
    assert len(chosen) == len(weights) == min(frames, segments)
    assert chosen.tolist() == sorted(set(chosen.tolist()))
    assert float(weights.sum()) == pytest.approx(1.0, abs=1e-5)
    middle = weights[len(weights) // 2]
    assert bool((weights <= middle + 1e-6).all())
    torch.testing.assert_close(weights, weights.flip(0))

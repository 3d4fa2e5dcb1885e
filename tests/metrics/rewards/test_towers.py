"""What every two-tower reward does with frames, prompts and numbers that are none."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from turbo_eval.core.errors import InputError, UsageError
from turbo_eval.metrics.rewards import Mix, Reward, RewardInfo, frame_indices, score_clips
from turbo_eval.metrics.rewards.towers import KEPT, TwoTowers


class Bright(TwoTowers):
    """Brightness and darkness against the words "light" and any other."""

    def __init__(self, name: str = "bright", frames: int | None = None) -> None:
        super().__init__("cpu")
        kind = "image" if frames is None else "video"
        self._info = RewardInfo(id=name, kind=kind, size=4, frames=frames)  # type: ignore[arg-type]
        self.reads: list[list[str]] = []

    @property
    def info(self) -> RewardInfo:
        return self._info

    def preprocess(self, frames: Tensor) -> Tensor:
        return frames * 2 - 1

    def _see(self, prepared: Tensor) -> Tensor:
        light = prepared.flatten(1).mean(1)
        return torch.stack([1 + light, 1 - light], 1)

    def _read(self, prompts: Sequence[str]) -> Tensor:
        self.reads.append(list(prompts))
        return torch.tensor([[5.0, 0.0] if text == "light" else [0.0, 5.0] for text in prompts])


def grey(*values: float, side: int = 4) -> Tensor:
    return torch.tensor(values)[:, None, None, None].expand(-1, 3, side, side).clone()


def test_the_score_is_the_bare_cosine() -> None:
    scores = Bright().score(grey(1.0, 0.0, 0.5), ["light", "light", "dark"])
    torch.testing.assert_close(scores, torch.tensor([1.0, 0.0, 0.5**0.5]))
    assert isinstance(Bright(), Reward)


def test_each_prompt_is_read_once_and_belongs_to_its_own_frame() -> None:
    reward = Bright()
    first = reward.score(grey(0.9, 0.9, 0.9), ["light", "dark", "light"])
    again = reward.score(grey(0.9, 0.9), ["dark", "light"])
    assert reward.reads == [["light", "dark"]]
    assert first[1] == again[0] < first[0] == again[1]


def test_features_of_prompts_stay_bounded() -> None:
    reward = Bright()
    for start in range(0, KEPT + 100, 512):
        reward.read([f"prompt {k}" for k in range(start, start + 512)])
    assert len(reward._features) == KEPT
    many = [f"other {k}" for k in range(KEPT + 5)]
    assert len(reward.read(many)) == KEPT + 5


def test_a_video_reward_looks_at_evenly_spaced_frames() -> None:
    clip = torch.zeros(1, 8, 3, 4, 4)
    clip[:, ::2] = 1
    assert float(Bright(frames=4).score(clip, ["light"])) == pytest.approx(1.0)
    # With all frames half of the clip is dark.
    assert float(Bright(frames=8).score(clip, ["light"])) == pytest.approx(0.5**0.5)


@pytest.mark.parametrize(
    ("shape", "frames", "message"),
    [
        ((2, 4, 4), None, "cannot look at"),
        ((1, 2, 3, 4, 4), None, "cannot look at"),
        ((1, 4, 4, 4), None, "cannot look at"),
        ((1, 3, 4, 4), 4, "cannot look at"),
        ((1, 3, 3, 4, 4), 4, "3 frames is too short"),
    ],
)
def test_frames_of_another_form_are_refused(
    shape: tuple[int, ...], frames: int | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Bright(frames=frames).score(torch.zeros(shape), ["light"] * shape[0])


def test_bytes_and_wrong_numbers_of_prompts_are_refused() -> None:
    with pytest.raises(InputError, match="uint8"):
        Bright().score(torch.zeros(1, 3, 4, 4, dtype=torch.uint8), ["light"])
    with pytest.raises(InputError, match="1 prompts for 2 images"):
        Bright().score(grey(0.0, 1.0), ["light"])
    with pytest.raises(InputError, match="one string"):
        Bright().score(grey(0.0, 1.0), "ab")


def test_a_score_that_is_no_number_names_the_reward() -> None:
    with pytest.raises(InputError, match="'bright' gave 1 scores of 2.*frames hold NaN"):
        Bright().score(grey(0.5, float("nan")), ["light", "light"])

    class Broken(Bright):
        def _see(self, prepared: Tensor) -> Tensor:
            return super()._see(prepared) * float("inf")

    with pytest.raises(InputError, match="'worn out'.*overflowed"):
        Broken("worn out").score(grey(0.5), ["light"])


def test_a_mix_is_the_weighted_sum_and_so_is_its_gradient() -> None:
    image, video = Bright("image"), Bright("video", frames=4)
    clips = torch.rand(3, 8, 3, 4, 4, requires_grad=True)
    prompts = ["light", "dark", "light"]
    mix = Mix(((image, 2.0), (video, -0.5)))
    parts = mix.scores(clips, prompts)
    assert list(parts) == ["image", "video"]
    by_hand = torch.stack([image.score(clips[:, k], prompts) for k in range(8)]).mean(0)
    torch.testing.assert_close(parts["image"], by_hand)
    torch.testing.assert_close(parts["video"], video.score(clips, prompts))
    total = mix.score(clips, prompts)
    torch.testing.assert_close(total, 2 * parts["image"] - 0.5 * parts["video"])
    (whole,) = torch.autograd.grad(total.sum(), clips)
    (one,) = torch.autograd.grad(score_clips(image, clips, prompts).sum(), clips)
    (other,) = torch.autograd.grad(score_clips(video, clips, prompts).sum(), clips)
    torch.testing.assert_close(whole, 2 * one - 0.5 * other)
    assert mix.only("video") == ((video, -0.5),)


def test_mixes_without_sense_are_refused() -> None:
    with pytest.raises(UsageError, match="twice"):
        Mix(((Bright(), 1.0), (Bright(), 2.0)))
    with pytest.raises(UsageError, match="no rewards"):
        Mix(())
    with pytest.raises(InputError, match="clips"):
        Mix(((Bright(), 1.0),)).score(grey(0.5), ["light"])


def test_frame_indices_are_the_authors() -> None:
    # T2V-Turbo's table: 16 frames, 8 or 4 of them.
    assert frame_indices(16, 8) == [0, 2, 4, 6, 8, 10, 12, 14]
    assert frame_indices(16, 8, 1) == [1, 3, 5, 7, 9, 11, 13, 15]
    assert frame_indices(16, 4, 3) == [3, 7, 11, 15]
    assert frame_indices(8, 8) == list(range(8))
    assert frame_indices(17, 8) == list(range(0, 16, 2))
    with pytest.raises(InputError, match="too short"):
        frame_indices(7, 8)
    with pytest.raises(InputError, match="not in 0..1"):
        frame_indices(16, 8, 2)

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from turbo_eval.backbones.mini import load_part
from turbo_eval.backbones.mini.interpolation import build, middle_errors
from turbo_eval.core.records import Prompt
from turbo_eval.video.clip import clip_of
from turbo_train.world.stream import item

PROMPT = Prompt("0" * 16, "a star", (), {}, "test", 0)


class Constant(nn.Module):
    """Answers one brightness and keeps the sizes it was shown."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))
        self.seen: list[tuple[float, float]] = []
        self.shapes: set[tuple[int, ...]] = set()

    def forward(self, first: Tensor, last: Tensor) -> Tensor:
        self.seen.append((round(float(first.mean() * 255)), round(float(last.mean() * 255))))
        self.shapes.add(tuple(first.shape))
        return self.value.expand_as(first)


def grey(values: list[int], height: int = 20, width: int = 33) -> np.ndarray:
    frames = np.empty((len(values), height, width, 3), np.uint8)
    frames[:] = np.array(values, np.uint8)[:, None, None, None]
    return frames


def test_even_frames_go_in_and_the_odd_one_between_is_compared() -> None:
    network = Constant(100.9 / 255)
    errors = middle_errors(network, grey([10, 90, 30, 103, 50, 7]))
    assert network.seen == [(10, 30), (30, 50)]
    assert network.shapes == {(1, 3, 32, 48)}
    # 100.9 is cut to 100, not rounded; frame 5 has no even frame after it.
    assert errors.tolist() == [10.0, 3.0]
    assert errors.dtype == np.float64


@pytest.mark.parametrize(("length", "count"), [(1, 0), (2, 0), (3, 1), (4, 1), (5, 2), (8, 3)])
def test_number_of_errors(length: int, count: int) -> None:
    assert middle_errors(Constant(0.5), grey([0] * length)).shape == (count,)


def test_predictions_outside_the_range_are_clipped() -> None:
    assert middle_errors(Constant(2.0), grey([0, 255, 0])).tolist() == [0.0]
    assert middle_errors(Constant(-1.0), grey([0, 0, 0])).tolist() == [0.0]


@pytest.mark.parametrize("size", [(32, 48), (64, 64), (160, 96)])
def test_the_untrained_network_answers_the_mean(size: tuple[int, int]) -> None:
    first, last = torch.rand(2, 1, 3, *size)
    assert torch.allclose(build()(first, last), (first + last) / 2, atol=1e-4)


def test_where_both_frames_agree_the_plan_counts_for_nothing() -> None:
    network = build()
    assert network.out.bias is not None
    with torch.no_grad():
        network.out.bias[5:] = 1.0  # what is added, everywhere: a tenth of the range
    first = torch.zeros(1, 3, 32, 32)
    last = first.clone()
    last[..., 16:] = 0.1
    damped, whole = network(first, last), network(first, last, damped=False)
    assert torch.allclose(whole, (first + last) / 2 + 0.1, atol=1e-5)
    assert torch.allclose(damped[..., :16], first[..., :16], atol=1e-5)
    # Where they differ by AGREE, half of the plan counts.
    assert torch.allclose(damped[..., 16:], torch.tensor(0.05 + 0.05), atol=1e-5)


def test_shipped_weights_beat_averaging_on_most_moving_clips() -> None:
    part = load_part("interpolation")
    wins = []
    for k in range(40):
        frames = item(734, k, held=True).clip()
        even = frames[::2].astype(np.float64)
        plain = np.abs((even[:-1] + even[1:]) / 2 - frames[1:-1:2]).mean()
        if plain > 0.5:
            found = part.extract(clip_of(frames, 8.0), PROMPT)["mae"]
            wins.append(float(found.mean()) < plain)
    assert len(wins) > 20
    assert np.mean(wins) >= 0.65


def test_shipped_weights_beat_averaging_on_moving_clips() -> None:
    part = load_part("interpolation")
    ours, plain, moving = 0.0, 0.0, 0
    for k in range(40):
        entry = item(731, k, held=True)
        if entry.scene.action in ("standing still", "growing", "shrinking"):
            continue
        frames = entry.clip()
        ours += float(part.extract(clip_of(frames, 8.0), PROMPT)["mae"].mean())
        even = frames[::2].astype(np.float64)
        plain += float(np.abs((even[:-1] + even[1:]) / 2 - frames[1:-1:2]).mean())
        moving += 1
    assert moving > 10
    assert ours < 0.8 * plain

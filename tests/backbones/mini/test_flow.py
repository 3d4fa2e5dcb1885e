from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from turbo_eval.backbones.mini import load_part
from turbo_eval.backbones.mini.flow import (
    FlowNet,
    build,
    correlate,
    direction,
    expected_shift,
    kept_indices,
    largest_mean,
    motion_arrays,
    pad_sides,
    warp,
)
from turbo_eval.core.records import Prompt
from turbo_eval.video.clip import clip_of

PROMPT = Prompt("0" * 16, "a star", (), {}, "test", 0)


class Counter(nn.Module):
    """Answers the brightness difference as motion to the right, and keeps what it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))
        self.pairs: list[tuple[int, int]] = []
        self.shapes: set[tuple[int, ...]] = set()

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        self.shapes.add(tuple(first.shape[1:]))
        for a, b in zip(first, second, strict=True):
            self.pairs.append((round(float(a.mean() * 255)), round(float(b.mean() * 255))))
        step = (second - first).mean((1, 2, 3))[:, None, None, None] * 255
        x = step.expand(-1, 1, *first.shape[2:])
        return torch.cat([x, torch.zeros_like(x)], 1)


def levels(values: list[int], height: int = 16, width: int = 24) -> np.ndarray:
    """Grey frames, one of each brightness."""
    frames = np.empty((len(values), height, width, 3), np.uint8)
    frames[:] = np.array(values, np.uint8)[:, None, None, None]
    return frames


def drawn(shift: int, count: int = 8, size: int = 64) -> np.ndarray:
    """A textured square that moves `shift` pixels right at each frame on a plain ground."""
    frames = np.full((count, size, size, 3), 90, np.uint8)
    patch = np.random.default_rng(1).integers(0, 255, (5, 5, 3), dtype=np.uint8)
    patch = np.kron(patch, np.ones((4, 4, 1), np.uint8))
    for t in range(count):
        x = 8 + shift * t
        frames[t, 20:40, x : x + 20] = patch
    return frames


@pytest.mark.parametrize(
    ("fps", "kept"),
    [
        (8.0, [0, 1, 2, 3, 4, 5, 6, 7]),
        (3.0, [0, 1, 2, 3, 4, 5, 6, 7]),
        (16.0, [0, 2, 4, 6]),
        (24.0, [0, 3, 6]),
        (30.0, [0, 4]),  # 3.75 rounds to 4
        (20.0, [0, 2, 4, 6]),  # 2.5 rounds to the even 2
        (200.0, [0]),
    ],
)
def test_dynamic_frames_are_thinned_to_about_eight_a_second(fps: float, kept: list[int]) -> None:
    assert kept_indices(8, fps) == kept


@settings(deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from([8, 16]))
def test_padding_is_split_and_the_rest_goes_right_and_below(h: int, w: int, block: int) -> None:
    left, right, top, bottom = pad_sides(h, w, block)
    assert (h + top + bottom) % block == 0
    assert (w + left + right) % block == 0
    assert max(left + right, top + bottom) < block
    assert right - left in (0, 1)
    assert bottom - top in (0, 1)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 100, width=32), min_size=1, max_size=200), st.sampled_from([2, 5]))
def test_largest_mean_equals_a_full_sort(values: list[float], percent: int) -> None:
    count = max(1, int(Fraction(percent, 100) * len(values)))
    array = np.array(values, np.float32)
    expected = np.sort(array)[::-1][:count].mean(dtype=np.float64)
    assert largest_mean(array, percent / 100) == pytest.approx(expected, rel=1e-6)


def test_arrays_follow_their_pairs() -> None:
    network = Counter()
    found = motion_arrays(network, levels([10, 11, 13, 16, 20]), fps=16.0)
    assert found["dynamic"] == pytest.approx([3, 7], abs=1e-3)
    assert found["static"] == pytest.approx([1, 2, 3, 4], abs=1e-3)
    assert found["static_wrap"] == pytest.approx([10, 10], abs=1e-3)
    assert found["size"].tolist() == [16, 24]
    assert found["kept"] == 3


def test_each_pair_is_computed_once_and_equal_frames_never() -> None:
    network = Counter()
    found = motion_arrays(network, levels([10, 12, 12, 15]), fps=8.0)
    assert sorted(network.pairs) == [(10, 12), (10, 15), (12, 15), (15, 10)]
    assert found["static"][1] == 0


def test_one_frame_and_two_frames() -> None:
    one = motion_arrays(Counter(), levels([9]), fps=8.0)
    assert one["dynamic"].shape == (0,)
    assert one["static"].shape == (0,)
    assert one["static_wrap"].tolist() == [0, 0]
    assert one["kept"] == 1
    network = Counter()
    two = motion_arrays(network, levels([9, 12]), fps=8.0)
    assert two["static_wrap"] == pytest.approx([3, 3], abs=1e-3)
    assert len(network.pairs) == 2


def test_small_frames_are_padded_and_large_ones_reduced_and_scaled_back() -> None:
    network = Counter()
    motion_arrays(network, levels([10, 12], 30, 50), fps=8.0)
    assert network.shapes == {(3, 32, 56)}
    network = Counter()
    found = motion_arrays(network, levels([10, 12], 128, 200), fps=8.0)
    assert network.shapes == {(3, 64, 104)}  # 64 x 100, padded
    assert found["static"] == pytest.approx([4], abs=1e-3)
    assert found["size"].tolist() == [128, 200]


def test_matching_finds_a_shift_and_warping_undoes_it() -> None:
    torch.manual_seed(0)
    first = direction(torch.randn(1, 16, 12, 12))
    second = first.roll((2, -1), (2, 3))
    shift = expected_shift(correlate(first, second, 4) * 50, 4)[0, :, 4:8, 4:8]
    assert torch.allclose(shift[0], torch.tensor(-1.0), atol=0.05)
    assert torch.allclose(shift[1], torch.tensor(2.0), atol=0.05)
    flow = torch.tensor([-1.0, 2.0])[None, :, None, None].expand(1, 2, 12, 12)
    assert torch.allclose(warp(second, flow)[..., 4:8, 4:8], first[..., 4:8, 4:8], atol=1e-4)


def test_the_untrained_network_gives_flow_of_the_frame_size() -> None:
    frames = torch.rand(2, 3, 32, 48)
    network = build()
    assert isinstance(network, FlowNet)
    assert network(frames, frames.flip(0)).shape == (2, 2, 32, 48)


def test_shipped_weights_tell_motion_from_rest() -> None:
    part = load_part("flow")
    moving = part.extract(clip_of(drawn(3), 8.0), PROMPT)
    assert np.median(moving["dynamic"]) == pytest.approx(3, abs=1.2)
    still = drawn(0).astype(np.int16)
    still += np.random.default_rng(2).integers(-2, 3, still.shape)
    calm = part.extract(clip_of(still.clip(0, 255).astype(np.uint8), 8.0), PROMPT)
    assert calm["static"].max() < 0.75
    # Twice the size is twice the motion in pixels.
    large = part.extract(clip_of(drawn(3).repeat(2, 1).repeat(2, 2), 8.0), PROMPT)
    assert large["dynamic"] == pytest.approx(2 * moving["dynamic"], rel=0.01)

"""AMT-S: its parts in closed form, the whole against the official network where it is installed."""

import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from turbo_eval.backbones.official.amt import Interpolation, layout, padding
from turbo_eval.backbones.official.amt_correlation import Correlation, pixel_grid
from turbo_eval.backbones.official.amt_network import AMT, resized_flow, warp
from turbo_eval.backbones.official.files import file_of
from turbo_eval.backbones.official.random_weights import make_state
from turbo_eval.core.errors import InputError, PrerequisiteError
from turbo_eval.core.records import Prompt
from turbo_eval.video.clip import Clip, clip_of

PROMPT = Prompt("0" * 16, "a star", (), {}, "test", 0)


@pytest.fixture(scope="module")
def network() -> AMT:
    made = AMT().eval().requires_grad_(False)
    made.load_state_dict(make_state(file_of("amt"), 7))
    return made


@pytest.fixture(scope="module")
def theirs() -> Iterator[Any]:
    """The official network; its package imports a video reader that the network does not need."""
    if find_spec("vbench") is None:
        pytest.fail("vbench is not installed: run make setup")
    decord = ModuleType("decord")
    decord.VideoReader = decord.cpu = None  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "decord", decord)
        network = import_module("vbench.third_party.amt.networks.AMT-S").Model().eval()
    yield network
    for name in [n for n in sys.modules if n.partition(".")[0] == "vbench"]:
        del sys.modules[name]


def pair(height: int, width: int, count: int = 1) -> tuple[Tensor, Tensor]:
    torch.manual_seed(height + width)
    rough = torch.rand(2 * count, 3, height // 8, width // 8)
    frames = nn.functional.interpolate(rough, (height, width), mode="bilinear")
    return frames[:count], frames[count:]


def test_names_and_shapes_are_those_of_the_official_network(theirs: Any) -> None:
    official = {name: tuple(tensor.shape) for name, tensor in theirs.state_dict().items()}
    assert {name: tuple(tensor.shape) for name, tensor in layout().items()} == official


@torch.no_grad()
def test_the_middle_frame_is_the_official_one(network: AMT, theirs: Any) -> None:
    theirs.load_state_dict(network.state_dict())
    first, last = pair(128, 144)
    expected = theirs(first, last, torch.full((1, 1, 1, 1), 0.5), eval=True)["imgt_pred"]
    found = network(first, last)
    assert expected.std() > 0.05
    assert torch.allclose(found, expected, atol=2e-4)


def test_the_checkpoint_has_213_tensors_and_3_million_numbers() -> None:
    assert len(layout()) == 213
    assert sum(tensor.numel() for tensor in layout().values()) == 2_990_543


def test_pairs_of_a_batch_do_not_see_each_other(network: AMT) -> None:
    first, last = pair(128, 128, 2)
    single = torch.cat([network(first[k : k + 1], last[k : k + 1]) for k in range(2)])
    assert torch.allclose(network(first, last), single, atol=1e-4)


def test_correlation_is_the_scaled_product_of_features() -> None:
    torch.manual_seed(0)
    asked, answering = torch.randn(2, 1, 4, 8, 9)
    found = Correlation(asked, answering, 1, 1)(pixel_grid(8, 9, asked.device))
    # Place (x 3, y 5) asks; the second step of the window moves along y, the first along x.
    for k, (dx, dy) in enumerate((x, y) for x in (-1, 0, 1) for y in (-1, 0, 1)):
        expected = (asked[0, :, 5, 3] * answering[0, :, 5 + dy, 3 + dx]).sum() / 2
        assert found[0, k, 5, 3] == pytest.approx(float(expected), abs=1e-5)
    # Left of the left border there is nothing.
    assert torch.allclose(found[0, :3, :, 0], torch.zeros(3, 8), atol=1e-5)


def test_coarse_levels_average_the_correlation() -> None:
    torch.manual_seed(1)
    asked, answering = torch.randn(2, 1, 4, 8, 8)
    centre = torch.zeros(1, 2, 8, 8)
    found = Correlation(asked, answering, 2, 0)(centre)
    volume = torch.einsum("cyx,cvu->yxvu", asked[0], answering[0]) / 2
    assert torch.allclose(found[0, 1], volume[..., :2, :2].mean((-1, -2)), atol=1e-5)


def test_a_correlation_that_is_not_kept_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("turbo_eval.backbones.official.amt_correlation.PLACES_AT_ONCE", 37)
    torch.manual_seed(2)
    asked, answering = torch.randn(2, 2, 8, 16, 24)
    # Between pixels, on them, across the border and far beyond it.
    positions = 80 * torch.rand(2, 2, 16, 24) - 30
    positions[1] = positions[1].round()
    kept = Correlation(asked, answering, 4, 3)
    sparse = Correlation(asked, answering, 4, 3, kept=0)
    assert kept.volumes
    assert not sparse.volumes
    expected = kept(positions)
    assert expected.abs().max() > 1
    assert torch.allclose(sparse(positions), expected, atol=1e-4)


def test_warp_fetches_from_where_the_flow_points() -> None:
    image = torch.arange(12.0).reshape(1, 1, 3, 4)
    flow = torch.zeros(1, 2, 3, 4)
    assert torch.allclose(warp(image, flow), image, atol=1e-5)
    flow[:, 0] = 1
    expected = image[..., [1, 2, 3, 3]]
    assert torch.allclose(warp(image, flow), expected, atol=1e-5)
    flow[:, 0], flow[:, 1] = 0, -1
    assert torch.allclose(warp(image, flow), image[:, :, [0, 0, 1]], atol=1e-5)


def test_a_resized_flow_keeps_its_direction_and_scales_its_length() -> None:
    flow = torch.tensor([3.0, -2.0])[None, :, None, None].expand(1, 2, 4, 4)
    assert torch.allclose(resized_flow(flow, 2.0)[0, :, 5, 6], torch.tensor([6.0, -4.0]))


@given(st.integers(1, 3000), st.integers(1, 3000))
def test_padding_reaches_the_next_multiple_with_the_odd_pixel_behind(h: int, w: int) -> None:
    left, right, top, bottom = padding(h, w)
    assert (h + top + bottom) % 16 == (w + left + right) % 16 == 0
    assert 0 <= right - left <= 1
    assert 0 <= bottom - top <= 1
    assert max(left + right, top + bottom) < 16


class Constant(nn.Module):
    """Answers one brightness and keeps what it was shown."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value
        self.seen: list[tuple[int, int]] = []
        self.shapes: set[tuple[int, ...]] = set()

    def forward(self, first: Tensor, last: Tensor) -> Tensor:
        self.seen += [
            (round(float(a.mean() * 255)), round(float(b.mean() * 255)))
            for a, b in zip(first, last, strict=True)
        ]
        self.shapes.add(tuple(first.shape))
        return torch.full_like(first, self.value)


def grey(values: list[int], height: int = 115, width: int = 130) -> Clip:
    frames = np.empty((len(values), height, width, 3), np.uint8)
    frames[:] = np.array(values, np.uint8)[:, None, None, None]
    return clip_of(frames, 8.0)


def test_even_frames_go_in_and_the_odd_one_between_is_compared() -> None:
    network = Constant(100.9 / 255)
    mae = Interpolation().look(network, grey([10, 90, 30, 103, 50, 7]), PROMPT)["mae"]
    assert network.seen == [(10, 30), (30, 50)]
    assert network.shapes == {(1, 3, 128, 144)}
    # 100.9 is cut to 100, not rounded; frame 5 has no even frame after it.
    assert mae.tolist() == [10.0, 3.0]
    assert mae.dtype == np.float64


@pytest.mark.parametrize(("length", "count"), [(1, 0), (2, 0), (3, 1), (4, 1), (5, 2), (17, 8)])
def test_number_of_errors(length: int, count: int) -> None:
    mae = Interpolation().look(Constant(0.5), grey([0] * length), PROMPT)["mae"]
    assert mae.shape == (count,)


@pytest.mark.parametrize(("height", "width"), [(112, 200), (200, 64), (16, 16)])
def test_frames_that_the_correlation_cannot_halve_thrice_are_refused(
    height: int, width: int
) -> None:
    with pytest.raises(InputError, match="too small to interpolate"):
        Interpolation().look(Constant(0.5), grey([0, 0, 0], height, width), PROMPT)


def test_the_smallest_frames_give_a_finite_answer(network: AMT) -> None:
    clip = grey([0, 100, 200], 113, 113)
    mae = Interpolation().look(network, clip, PROMPT)["mae"]
    assert np.isfinite(mae).all()
    assert 0 < mae[0] < 255


def test_weights_of_another_network_are_refused() -> None:
    state = make_state(file_of("amt"), 7)
    state["encoder.pyramid1.0.0.weight"] = torch.zeros(4, 3, 3, 3)
    with pytest.raises(PrerequisiteError, match=r"encoder\.pyramid1\.0\.0\.weight"):
        Interpolation().build(state)

"""RAFT: names both ways, our loop beside torchvision's, pairs, paddings and sizes."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from turbo_eval.backbones.official import raft as module
from turbo_eval.backbones.official.files import BY_ID
from turbo_eval.backbones.official.raft import (
    Flow,
    Raft,
    kept_indices,
    largest_mean,
    layout,
    make_network,
    official_name,
    padded,
    plan_pairs,
    torchvision_state,
    upsampled,
)
from turbo_eval.backbones.official.random_weights import make_state
from turbo_eval.core.errors import InputError, PrerequisiteError
from turbo_eval.core.records import Prompt
from turbo_eval.video.clip import clip_of


def prompt(*dimensions: str) -> Prompt:
    return Prompt("0" * 16, "x", dimensions, {}, "vbench", 0)


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return make_state(BY_ID["raft"], 101)


@pytest.fixture(scope="module")
def judge(state: dict[str, Tensor]) -> Flow:
    judge = Flow()
    judge._network = judge.build(state)
    return judge


@pytest.mark.parametrize(
    ("ours", "official"),
    [
        ("feature_encoder.convnormrelu.0.weight", "fnet.conv1.weight"),
        ("context_encoder.convnormrelu.1.running_var", "cnet.norm1.running_var"),
        ("context_encoder.layer2.0.convnormrelu2.1.bias", "cnet.layer2.0.norm2.bias"),
        ("feature_encoder.layer3.1.convnormrelu1.0.bias", "fnet.layer3.1.conv1.bias"),
        ("feature_encoder.layer2.0.downsample.0.weight", "fnet.layer2.0.downsample.0.weight"),
        ("context_encoder.conv.weight", "cnet.conv2.weight"),
        ("update_block.motion_encoder.convflow2.0.bias", "update_block.encoder.convf2.bias"),
        ("update_block.motion_encoder.conv.0.weight", "update_block.encoder.conv.weight"),
        ("update_block.recurrent_block.convgru2.convq.weight", "update_block.gru.convq2.weight"),
        ("update_block.flow_head.conv2.bias", "update_block.flow_head.conv2.bias"),
        ("mask_predictor.convrelu.0.bias", "update_block.mask.0.bias"),
        ("mask_predictor.conv.weight", "update_block.mask.2.weight"),
    ],
)
def test_names_are_those_of_the_original(ours: str, official: str) -> None:
    assert official_name(ours) == official


def test_both_sets_of_names_load(state: dict[str, Tensor]) -> None:
    ours = torchvision_state(state)
    assert ours.keys() == make_network().state_dict().keys()
    assert torchvision_state(ours) == ours
    # The original names two norms twice.
    assert len(state) == len(ours) + 2 * 5
    untrained = layout()
    first, second = "cnet.layer2.0.downsample.1.weight", "cnet.layer2.0.norm3.weight"
    assert untrained[first] is untrained[second]
    assert torch.equal(state[first], state[second])


def test_another_network_is_refused(state: dict[str, Tensor]) -> None:
    wrong = dict(state)
    wrong["fnet.conv9.weight"] = wrong.pop("fnet.conv2.weight")
    with pytest.raises(PrerequisiteError, match=r"raft-things\.pth belong to another network"):
        Flow().build(wrong)


def test_our_loop_is_torchvisions(
    judge: Flow, state: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "UPDATES", 4)
    network = judge.network()
    assert isinstance(network, Raft)
    original: Any = network.network
    pictures = torch.rand(2, 3, 128, 136, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        expected = original(pictures[:1], pictures[1:], num_flow_updates=4)[-1]
        features = network.features(pictures)
        found = network.flow(pictures[:1], features[:1], features[1:])
    assert float(expected.abs().max()) > 0.1
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


def test_upsampling_mixes_the_nine_neighbours() -> None:
    flow = torch.zeros(1, 2, 3, 3)
    flow[0, 0, 1, 1], flow[0, 1, 0, 0] = 2.0, 1.0
    mask = torch.full((1, 9, 8, 8, 3, 3), -1e9)
    mask[:, 4] = 0
    fine = upsampled(flow, mask.view(1, 576, 3, 3))
    assert fine.shape == (1, 2, 24, 24)
    assert torch.equal(fine[0, 0, 8:16, 8:16], torch.full((8, 8), 16.0))
    assert float(fine[0, 0].sum()) == 16 * 64
    assert float(fine[0, 1, 0, 0]) == 8.0
    # The upper left neighbour alone: everything moves one cell down and right.
    mask = torch.full((1, 9, 8, 8, 3, 3), -1e9)
    mask[:, 0] = 0
    assert torch.equal(
        upsampled(flow, mask.view(1, 576, 3, 3))[0, 0, 16:, 16:], torch.full((8, 8), 16.0)
    )


def test_padding_is_split_and_repeats_the_edge() -> None:
    pictures = torch.arange(13.0 * 15).reshape(1, 1, 13, 15).expand(1, 3, 13, 15)
    found = padded(pictures)
    assert found.shape == (1, 3, 16, 16)
    assert torch.equal(found[..., 1:14, 0:15], pictures)
    assert torch.equal(found[..., 0, :15], pictures[..., 0, :])
    assert torch.equal(found[..., 15, :15], pictures[..., 12, :])
    assert torch.equal(found[..., 1:14, 15], pictures[..., :, 14])


@pytest.mark.parametrize(
    ("length", "fps", "step"), [(16, 8, 1), (17, 30, 4), (10, 12, 2), (10, 20, 2), (9, 3, 1)]
)
def test_frames_are_thinned_to_about_eight_a_second(length: int, fps: float, step: int) -> None:
    assert kept_indices(length, fps) == list(range(0, length, step))


def test_the_largest_share_counts_whole_pixels() -> None:
    lengths = np.arange(100, dtype=np.float32).reshape(10, 10)
    assert largest_mean(lengths, 0.05) == 97.0
    assert largest_mean(lengths, 0.02) == 98.5
    assert largest_mean(lengths, 0.059) == 97.0


def test_the_static_filters_pairs_are_spared_where_nobody_wants_them() -> None:
    thinned, filtered = plan_pairs(5, 16, prompt("dynamic_degree"))
    assert thinned == [(0, 2), (2, 4)]
    assert filtered == []
    _, filtered = plan_pairs(5, 16, prompt("temporal_flickering"))
    assert filtered == [(0, 1), (1, 2), (2, 3), (3, 4), (0, 4), (4, 0)]
    assert plan_pairs(5, 16, prompt())[1] == filtered
    # One kept frame of two: without the other pairs nobody could tell it from a still.
    assert plan_pairs(2, 30, prompt("dynamic_degree")) == ([], [(0, 1), (0, 1), (1, 0)])


def test_arrays_of_the_role(judge: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "UPDATES", 2)
    frames = np.random.default_rng(0).integers(0, 256, (3, 122, 128, 3), np.uint8)
    frames[1] = frames[0]
    arrays = judge.extract(clip_of(frames, 8), prompt("dynamic_degree", "temporal_flickering"))
    assert {name: (a.shape, str(a.dtype)) for name, a in arrays.items()} == {
        "dynamic": ((2,), "float32"),
        "size": ((2,), "int64"),
        "kept": ((), "int64"),
        "static": ((2,), "float32"),
        "static_wrap": ((2,), "float32"),
    }
    assert arrays["size"].tolist() == [122, 128]
    assert int(arrays["kept"]) == 3
    # The largest 2 percent are among the largest 5.
    assert (arrays["static"] >= arrays["dynamic"]).all()
    assert np.isfinite(arrays["static_wrap"]).all()
    alone = judge.extract(clip_of(frames, 8), prompt("dynamic_degree"))
    np.testing.assert_array_equal(alone["dynamic"], arrays["dynamic"][: len(alone["dynamic"])])
    assert "static" not in alone


@pytest.mark.parametrize(("large", "looked"), [(100.0, 2), (0.0, 7)])
def test_pairs_are_looked_at_until_the_answer_is_known(
    judge: Flow, monkeypatch: pytest.MonkeyPatch, large: float, looked: int
) -> None:
    monkeypatch.setattr(module, "UPDATES", 1)
    monkeypatch.setattr(module, "largest_mean", lambda lengths, share: large)  # noqa: ARG005
    # 9 kept frames: 2 of 8 pairs must move, so 7 still ones settle it, too.
    frames = np.zeros((9, 128, 128, 3), np.uint8)
    arrays = judge.extract(clip_of(frames, 8), prompt("dynamic_degree"))
    assert len(arrays["dynamic"]) == looked
    assert int(arrays["kept"]) == 9


def test_a_still_of_one_frame_has_no_pairs(judge: Flow) -> None:
    frames = np.zeros((1, 128, 128, 3), np.uint8)
    arrays = judge.extract(clip_of(frames, 8), prompt("dynamic_degree"))
    assert arrays["dynamic"].shape == (0,)
    assert int(arrays["kept"]) == 1


def test_small_frames_are_refused_with_the_size(judge: Flow) -> None:
    with pytest.raises(InputError, match=r"too small for RAFT: 200x120.*above 120"):
        judge.extract(clip_of(np.zeros((2, 120, 200, 3), np.uint8), 8), prompt("dynamic_degree"))

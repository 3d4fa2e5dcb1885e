"""GRiT in small: its parts against plain loops, torchvision and closed forms."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from turbo_eval.backbones.official.grit import judge as judge_module
from turbo_eval.backbones.official.grit.cascade import (
    Cascade,
    clipped,
    moved,
    pool,
)
from turbo_eval.backbones.official.grit.judge import (
    Detector,
    kinds,
    known,
    layout,
    reduced,
    smaller_bytes,
    smaller_floats,
)
from turbo_eval.backbones.official.grit.network import Grit, Seen, Sizes, prepared
from turbo_eval.backbones.official.grit.proposals import Proposals, Proposer, _best, _candidates
from turbo_eval.backbones.official.grit.text import END
from turbo_eval.backbones.official.tag2text.wordpiece import WordPieces
from turbo_eval.core.records import Prompt, unpack_text
from turbo_eval.video.clip import clip_of

SMALL = Sizes(
    width=24, depth=3, heads=2, window=3, side=4, trained=3, channels=64, box=16, text=24,
    text_heads=2, inner=32, layers=3, words=150, positions=60,
)  # fmt: skip


def _random(module: torch.nn.Module, seed: int = 0, std: float = 0.2) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.requires_grad_(False).normal_(std=std, generator=generator)


@pytest.fixture(autouse=True)
def _same_numbers_every_time() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def network() -> Grit:
    made = Grit(SMALL).eval()
    _random(made)
    state = made.state_dict()
    state["proposal_generator.centernet_head.bbox_pred.bias"].fill_(3.0)
    made.roi_heads.text_decoder.textual.output.bias[END] += 3.0
    for number in range(3):
        state[f"roi_heads.box_predictor.{number}.cls_score.bias"][0] += 2.0
    return made


def test_boxes_of_a_level_stand_around_its_places() -> None:
    heat = torch.zeros(2, 3)
    heat[1, 2], heat[0, 1] = 0.81, 0.25
    distances = torch.zeros(4, 2, 3)
    distances[:, 1, 2] = torch.tensor([1.0, 0.5, 0.25, 2.0])
    found = _candidates(heat, distances, 16)
    assert found.scores.tolist() == pytest.approx([0.5, 0.9])
    # Place (1, 2) is pixel (40, 24); a box has at least a hundredth of a pixel.
    assert found.boxes[1].tolist() == [24.0, 16.0, 44.0, 56.0]
    assert found.boxes[0].tolist() == pytest.approx([24.0, 8.0, 24.01, 8.01])


def test_only_the_hottest_proposals_stay_with_ties() -> None:
    count = 300
    x = torch.arange(count) * 10.0
    boxes = torch.stack([x, x, x + 5, x + 5], dim=1)
    scores = torch.linspace(0.9, 0.3, count)
    scores[250:260] = scores[255]
    best = _best([Proposals(boxes[:100], scores[:100]), Proposals(boxes[100:], scores[100:])])
    assert len(best.scores) == 260
    assert best.scores.min() == scores[255]
    twice = _best([Proposals(boxes[:2].repeat(2, 1), torch.tensor([0.5, 0.6, 0.7, 0.4]))])
    assert twice.scores.tolist() == pytest.approx([0.7, 0.6])


def test_boxes_are_read_from_the_map_of_their_size() -> None:
    maps = [torch.full((1, 2, 64 >> k, 64 >> k), float(k + 3)) for k in range(3)]
    sides = torch.tensor([20.0, 111.0, 113.0, 223.0, 225.0, 447.0, 449.0])
    boxes = torch.stack([torch.zeros(7), torch.zeros(7), sides, sides], dim=1)
    seen = pool(maps, boxes, 7)
    assert seen[:, 0, 3, 3].tolist() == [3, 3, 3, 3, 4, 4, 5]


def test_no_deltas_move_no_box_and_boxes_grow_at_most_sixtyfold() -> None:
    boxes = torch.tensor([[10.0, 20.0, 30.0, 60.0]])
    assert torch.equal(moved(boxes, torch.zeros(1, 4), (10.0, 5.0)), boxes)
    shifted = moved(boxes, torch.tensor([[1.0, -2.0, 0.0, 0.0]]), (10.0, 5.0))
    assert torch.allclose(shifted, boxes + torch.tensor([2.0, -8.0, 2.0, -8.0]))
    grown = moved(boxes, torch.tensor([[0.0, 0.0, 1e9, 5 * math.log(2)]]), (10.0, 5.0))
    assert float(grown[0, 2] - grown[0, 0]) == pytest.approx(20 * 62.5, rel=1e-5)
    assert float(grown[0, 3] - grown[0, 1]) == pytest.approx(80, rel=1e-5)
    assert clipped(grown, 100, 50)[0].tolist() == pytest.approx([0, 0, 50, 80])


def test_hopeless_proposals_change_nothing() -> None:
    cascade = Cascade(4, 8).eval()
    _random(cascade, seed=2)
    maps = [torch.randn(1, 4, 32 >> k, 32 >> k) for k in range(3)]
    corners = torch.rand(40, 2) * 150
    boxes = torch.cat([corners, corners + 20 + torch.rand(40, 2) * 60], dim=1)
    scores = torch.linspace(0.95, 0.1, 40)
    with_all = cascade.objects(maps, Proposals(boxes, scores), 256, 256)
    hopeful = scores > 0.25
    without = cascade.objects(maps, Proposals(boxes[hopeful], scores[hopeful]), 256, 256)
    assert len(with_all.boxes) > 1
    assert torch.allclose(with_all.boxes, without.boxes, atol=1e-4)
    assert torch.all(with_all.scores > 0.5)
    assert torch.all(with_all.scores.diff() <= 0)


def test_no_proposal_gives_no_object() -> None:
    cascade = Cascade(4, 8).eval()
    maps = [torch.randn(1, 4, 32 >> k, 32 >> k) for k in range(3)]
    none = cascade.objects(maps, Proposals(torch.zeros(0, 4), torch.zeros(0)), 256, 256)
    assert none.boxes.shape == (0, 4)


def test_pictures_are_filled_up_on_the_right_and_below_after_scaling() -> None:
    pictures = torch.tensor([123.675, 116.28, 103.53])[None, :, None, None].expand(1, 3, 33, 64)
    ready = prepared(pictures + 58.395)
    assert ready.shape == (1, 3, 64, 64)
    assert torch.allclose(ready[0, 0, :33], torch.ones(33, 64), atol=1e-5)
    assert not ready[:, :, 33:].any()


def test_batches_do_not_change_objects(network: Grit) -> None:
    pictures = torch.rand(2, 3, 40, 50, generator=torch.Generator().manual_seed(4)) * 255
    together = network.look(pictures)
    assert sum(len(seen.objects.boxes) for seen in together) > 0
    for n, seen in enumerate(together):
        (alone,) = network.look(pictures[n : n + 1])
        assert torch.allclose(seen.objects.boxes, alone.objects.boxes, atol=1e-2)
        assert torch.allclose(seen.cells, alone.cells, atol=1e-3)
        boxes = seen.objects.boxes
        assert torch.all(boxes >= 0)
        assert torch.all(boxes <= torch.tensor([50.0, 40.0, 50.0, 40.0]))


def test_an_empty_map_proposes_nothing() -> None:
    proposer = Proposer(64)
    _random(proposer)
    proposer.state_dict()["centernet_head.agn_hm.bias"].fill_(-1e3)
    maps = [torch.randn(1, 64, 16 >> k, 16 >> k) for k in range(5)]
    assert len(proposer(maps)[0].boxes) == 0


@pytest.mark.parametrize(
    ("size", "expected"),
    [((768, 1400), None), ((769, 1000), (720, 936)), ((1080, 1920), (720, 1280))],
)
def test_large_frames_are_brought_down(
    size: tuple[int, int], expected: tuple[int, int] | None
) -> None:
    frames = np.zeros((1, *size, 3), np.uint8)
    assert reduced(frames) == expected


def test_the_two_ways_down_differ_as_the_official_ones_do() -> None:
    # OpenCV's bilinear resize skips pixels when it shrinks a lot; the other one averages.
    frames = np.zeros((1, 1600, 1600, 3), np.uint8)
    frames[:, ::3] = 255
    floats, from_bytes = smaller_floats(frames), smaller_bytes(frames)
    assert floats.shape == from_bytes.shape == (1, 3, 720, 720)
    assert float(floats.std()) < 0.6 * float(from_bytes.std())
    assert torch.equal(from_bytes, from_bytes.round())


@pytest.mark.parametrize(
    ("dimensions", "expected"),
    [
        (("color",), (False, True)), (("object_class", "scene"), (True, False)),
        (("color", "multiple_objects"), (True, True)), ((), (True, True)),
    ],
)  # fmt: skip
def test_only_what_dimensions_need_is_written(
    dimensions: tuple[str, ...], expected: tuple[bool, bool]
) -> None:
    assert kinds(dimensions) == expected


WORDS = [f"w{n}" for n in range(150)]


def _judge(network: Grit, monkeypatch: pytest.MonkeyPatch) -> Detector:
    judge = Detector()
    judge.words = WordPieces(WORDS)
    monkeypatch.setattr(judge, "network", lambda: network)
    return judge


def _prompt(*dimensions: str) -> Prompt:
    return Prompt("0" * 16, "x", dimensions, {}, "s", 0)


def test_a_clip_gives_sixteen_frames_of_objects(
    network: Grit, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = _judge(network, monkeypatch)
    looked: list[int] = []
    look = network.look

    def counted(pictures: Tensor) -> list[Seen]:
        looked.append(len(pictures))
        return look(pictures)

    monkeypatch.setattr(network, "look", counted)
    frames = np.random.default_rng(0).integers(0, 256, (3, 40, 50, 3), np.uint8)
    features = judge.extract(clip_of(frames, 8.0), _prompt())
    objects, captions = (unpack_text(features[key]) for key in ("objects", "captions"))
    assert sum(looked) == 3
    assert len(objects) == len(captions) == 16
    assert objects[2:] == [objects[2]] * 14
    assert any(frame["labels"] for frame in objects)
    for one, other in zip(objects, captions, strict=True):
        assert len(one["boxes"]) == len(one["labels"]) == len(other["captions"])
        assert one["labels"] == other["labels"]
    assert set(judge.extract(clip_of(frames, 8.0), _prompt("color"))) == {"captions"}


def test_waiting_objects_are_bounded(network: Grit, monkeypatch: pytest.MonkeyPatch) -> None:
    judge = _judge(network, monkeypatch)
    frames = np.random.default_rng(1).integers(0, 256, (2, 40, 50, 3), np.uint8)
    once = judge.extract(clip_of(frames, 8.0), _prompt())
    monkeypatch.setattr(judge_module, "TOGETHER", 1)
    piecewise = judge.extract(clip_of(frames, 8.0), _prompt())
    assert all(np.array_equal(once[key], piecewise[key]) for key in once)


def test_a_clip_without_objects_gives_empty_frames(
    network: Grit, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = _judge(network, monkeypatch)
    monkeypatch.setattr("turbo_eval.backbones.official.grit.cascade.SURE", 1.0)
    frames = np.zeros((2, 64, 64, 3), np.uint8)
    features = judge.extract(clip_of(frames, 8.0), _prompt())
    assert unpack_text(features["objects"]) == [{"boxes": [], "labels": []}] * 16
    assert unpack_text(features["captions"]) == [{"labels": [], "captions": []}] * 16


def test_the_layout_is_the_official_file() -> None:
    state = layout()
    assert len(state) == 473
    assert sum(name.startswith("roi_heads.mask_head.") for name in state) == 12
    assert sum(name.startswith("roi_heads.text_decoder") for name in state) == 2 * 106
    assert state["backbone.bottom_up.blocks.2.attn.rel_pos_h"].shape == (127, 64)
    assert state["backbone.bottom_up.blocks.3.attn.rel_pos_w"].shape == (27, 64)


def test_names_that_a_saver_left_out_are_filled(network: Grit) -> None:
    whole = dict(network.state_dict())
    kept = {
        name: tensor
        for name, tensor in whole.items()
        if "text_decoder_det" not in name and not name.endswith("textual.output.weight")
    }
    kept["pixel_mean"] = torch.zeros(3, 1, 1)
    kept["roi_heads.mask_head.deconv.bias"] = torch.zeros(256)
    filled = known(kept)
    assert set(filled) == set(whole)
    assert all(torch.equal(filled[name], whole[name]) for name in whole)

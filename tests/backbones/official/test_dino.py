"""DINO: the position table of odd sizes, and the embedding beside timm's on squares."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from turbo_eval.backbones.official.dino import Dino, embed, layout, positions, prepare
from turbo_eval.core.records import Prompt
from turbo_eval.video.clip import clip_of

PROMPT = Prompt("0" * 16, "x", (), {}, "vbench", 0)


def small() -> Any:
    from timm.models.vision_transformer import VisionTransformer

    torch.manual_seed(0)
    network = VisionTransformer(patch_size=16, embed_dim=48, depth=2, num_heads=3, num_classes=0)
    torch.nn.init.normal_(network.cls_token)
    torch.nn.init.normal_(network.pos_embed)
    return network.eval()


def test_squares_are_what_timm_makes_of_them() -> None:
    network = small()
    pictures = torch.randn(2, 3, 224, 224)
    with torch.inference_mode():
        expected = network.forward_features(pictures)[:, 0]
        found = embed(network, pictures)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(224, 398), (398, 224), (230, 300)])
def test_the_rest_of_a_patch_is_left_out(height: int, width: int) -> None:
    network = small()
    pictures = torch.randn(1, 3, height, width)
    cut = pictures[:, :, : height // 16 * 16, : width // 16 * 16]
    with torch.inference_mode():
        assert torch.equal(embed(network, pictures), embed(network, cut))
        assert embed(network, pictures).shape == (1, 48)


def by_hand(line: Tensor, count: int) -> Tensor:
    """Cubic interpolation (a = -0.75) of 14 values at the places that DINO's scale gives."""
    scale = 14 / (count + 0.1)
    result = []
    for k in range(count):
        at = (k + 0.5) * scale - 0.5
        base = int(np.floor(at))
        total = 0.0
        for j in range(base - 1, base + 3):
            x = abs(at - j)
            weight = (
                1.25 * x**3 - 2.25 * x**2 + 1 if x <= 1 else -0.75 * (x**3 - 5 * x**2 + 8 * x - 4)
            )
            total += weight * float(line[min(max(j, 0), 13)])
        result.append(total)
    return torch.tensor(result)


def test_positions_are_resized_by_the_factor_with_a_tenth_added() -> None:
    line = torch.randn(14)
    grid = line[None, :].expand(14, 14).reshape(1, 196, 1)
    table = torch.cat([torch.full((1, 1, 1), 9.0), grid], 1)
    found = positions(table, 224, 398)
    assert found.shape == (1, 1 + 14 * 24, 1)
    assert float(found[0, 0, 0]) == 9.0
    rows = found[0, 1:, 0].reshape(14, 24)
    torch.testing.assert_close(rows[5], by_hand(line, 24), rtol=1e-4, atol=1e-4)
    plain = F.interpolate(line[None, None, None], (1, 24), mode="bicubic")[0, 0, 0]
    assert float((rows[5] - plain).abs().max()) > 1e-3, "the tenth makes a difference"


def test_positions_of_the_trained_size_stay() -> None:
    table = torch.randn(1, 197, 4)
    assert positions(table, 224, 224) is table
    # Not square, so it is resized even though the number of patches is the same.
    assert not torch.equal(positions(table, 224, 225), table)


def test_frames_keep_their_shape_and_are_not_cropped() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 320, 512, 3), np.uint8)
    pictures = prepare(frames)
    assert pictures.shape == (2, 3, 224, 358)
    grey = prepare(np.full((1, 30, 40, 3), 128, np.uint8))
    expected = (128 / 255 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor(
        [0.229, 0.224, 0.225]
    )
    torch.testing.assert_close(grey[0].mean((1, 2)), expected)


def test_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from turbo_eval.backbones.official import dino

    judge = Dino()
    judge._network = small()
    frames = np.random.default_rng(0).integers(0, 256, (5, 48, 64, 3), np.uint8)
    found = []
    for at_once in (1, 2, 8):
        monkeypatch.setattr(dino, "AT_ONCE", at_once)
        found.append(judge.extract(clip_of(frames, 8), PROMPT)["features"])
    assert found[0].shape == (5, 48)
    assert found[0].dtype == np.float32
    np.testing.assert_allclose(found[1], found[0], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found[2], found[0], rtol=1e-5, atol=1e-5)


def test_the_layout_is_vit_base() -> None:
    state = layout()
    assert len(state) == 150
    assert state["pos_embed"].shape == (1, 197, 768)
    assert state["blocks.11.attn.qkv.weight"].shape == (2304, 768)

"""CLIP: the two ways of preparing frames, the style's text, types and names of the archive."""

from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from turbo_eval.backbones.official import clip as module
from turbo_eval.backbones.official.clip import (
    ImageText,
    layout_b32,
    style_phrase,
    tokens,
    weights_of,
)
from turbo_eval.backbones.official.files import BY_ID
from turbo_eval.backbones.official.frames import (
    CLIP_MEAN,
    CLIP_STD,
    centre_crop,
    clip_pil,
    clip_tensor,
    resize_short,
    short_side,
)
from turbo_eval.backbones.official.packed import pack
from turbo_eval.core.records import Prompt
from turbo_eval.video.clip import clip_of

FRAMES = np.random.default_rng(1).integers(0, 256, (3, 60, 100, 3), np.uint8)
STYLE = {"appearance_style": {"appearance_style": "oil painting"}}


def prompt(*dimensions: str, style: bool = False) -> Prompt:
    return Prompt("0" * 16, "x", dimensions, STYLE if style else {}, "vbench", 0)


def denormalised(pictures: torch.Tensor) -> torch.Tensor:
    mean, std = (torch.tensor(v)[:, None, None] for v in (CLIP_MEAN, CLIP_STD))
    return (pictures * std + mean) * 255


def test_the_longer_side_is_truncated() -> None:
    assert short_side(320, 512, 224) == (224, 358)
    assert short_side(1080, 1920, 224) == (224, 398)
    assert short_side(480, 832, 224) == (224, 388)
    assert short_side(256, 340, 224) == (224, 297)
    assert short_side(512, 320, 224) == (358, 224)


def test_the_middle_rounds_half_to_even() -> None:
    row = torch.arange(229.0).expand(1, 229, 229)
    # (229 - 224) / 2 = 2.5 becomes 2; 3.5 becomes 4.
    assert int(centre_crop(row, 224)[0, 0, 0]) == 2
    row = torch.arange(231.0).expand(1, 231, 231)
    assert int(centre_crop(row, 224)[0, 0, 0]) == 4


def test_overshoot_stays_for_floats_and_is_cut_for_bytes() -> None:
    frames = np.zeros((1, 40, 40, 3), np.uint8)
    frames[:, :, 20:] = 255
    floats, rounded = (
        denormalised(clip_tensor(frames)),
        denormalised(clip_tensor(frames, rounded=True)),
    )
    assert float(floats.min()) < -5
    assert float(floats.max()) > 260
    assert float(rounded.min()) > -0.01
    assert float(rounded.max()) < 255.01
    torch.testing.assert_close(rounded, rounded.round(), atol=1e-3, rtol=0)


def test_the_pil_way_is_antialiased() -> None:
    frames = np.zeros((1, 448, 448, 3), np.uint8)
    frames[:, :, ::2] = 255
    tensor, pil = denormalised(clip_tensor(frames)), denormalised(clip_pil(frames))
    resized = Image.fromarray(frames[0]).resize((224, 224), Image.Resampling.BICUBIC)
    np.testing.assert_allclose(pil[0].permute(1, 2, 0).numpy(), np.asarray(resized), atol=1e-3)
    assert float((tensor - pil).abs().max()) > 20


def test_a_frame_of_the_right_size_passes_unchanged() -> None:
    pictures = torch.rand(1, 3, 224, 300)
    assert resize_short(pictures, 224, "bicubic") is pictures


def test_the_archive_keeps_half_of_the_names_in_float16() -> None:
    state = layout_b32()
    half = {name for name, tensor in state.items() if tensor.dtype is torch.float16}
    assert {"visual.conv1.weight", "visual.proj", "text_projection"} <= half
    assert "transformer.resblocks.3.attn.in_proj_bias" in half
    assert "visual.transformer.resblocks.0.mlp.c_fc.weight" in half
    for name in (
        "token_embedding.weight", "positional_embedding", "visual.class_embedding", "logit_scale",
        "ln_final.weight", "visual.ln_pre.bias", "visual.transformer.resblocks.0.ln_1.weight",
    ):  # fmt: skip
        assert state[name].dtype is torch.float32, name
    assert int(state["vocab_size"]) == 49408
    assert len(weights_of(state)) == len(state) - 3 == 302


def test_tokens_are_openais() -> None:
    found = tokens("oil painting")
    assert found.shape == (1, 77)
    assert found[0, :4].tolist() == [49406, 2870, 3086, 49407]
    assert not found[0, 4:].any()


@pytest.mark.parametrize(
    ("auxiliary", "expected"),
    [(STYLE, "oil painting"), ({"appearance_style": "cubism"}, "cubism"), ({}, None),
     ({"appearance_style": ""}, None), ({"appearance_style": {"other": 1}}, None)],
)  # fmt: skip
def test_the_phrase_is_found_flat_or_nested(auxiliary: Any, expected: str | None) -> None:
    assert style_phrase(auxiliary) == expected


def small() -> Any:
    from open_clip.model import CLIP

    torch.manual_seed(0)
    vision = {"image_size": 224, "layers": 2, "width": 64, "patch_size": 32, "head_width": 32}
    text = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
    return CLIP(24, vision, text, quick_gelu=True).eval()


@pytest.fixture(scope="module")
def judge() -> ImageText:
    judge = ImageText()
    judge._network = small()
    return judge


def test_only_what_the_prompt_needs_is_looked_at(judge: ImageText) -> None:
    clip = clip_of(FRAMES, 8)
    plain = judge.extract(clip, prompt("background_consistency"))
    assert {name: array.shape for name, array in plain.items()} == {
        "logit_scale": (), "features": (3, 24),
    }  # fmt: skip
    style = judge.extract(clip, prompt("appearance_style", style=True))
    assert {name: array.shape for name, array in style.items()} == {
        "logit_scale": (), "style_features": (3, 24), "style_text": (24,),
    }  # fmt: skip
    both = judge.extract(clip, prompt("appearance_style", "background_consistency", style=True))
    np.testing.assert_array_equal(both["features"], plain["features"])
    np.testing.assert_array_equal(both["style_text"], style["style_text"])
    assert np.abs(both["features"] - both["style_features"]).max() > 1e-3
    assert judge.extract(clip, prompt(style=True)).keys() == both.keys()
    assert float(both["logit_scale"]) == pytest.approx(1 / 0.07)


def test_batches_change_nothing(judge: ImageText, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = clip_of(FRAMES, 8)
    found = []
    for at_once in (1, 2, 16):
        monkeypatch.setattr(module, "AT_ONCE", at_once)
        found.append(judge.extract(clip, prompt("background_consistency"))["features"])
    np.testing.assert_allclose(found[1], found[0], atol=1e-6)
    np.testing.assert_allclose(found[2], found[0], atol=1e-6)


def test_text_is_masked_although_the_mask_is_no_weight() -> None:
    network = module.make_network("ViT-B-32")
    with torch.no_grad():
        state = {name: torch.zeros(tensor.shape) for name, tensor in network.state_dict().items()}
    loaded = module.load_clip("ViT-B-32", state, BY_ID["clip-b32"])
    mask: Any = loaded.attn_mask
    assert mask.shape == (77, 77)
    assert torch.isinf(mask[0, 1:]).all()
    assert not mask.tril().any()


def test_our_blocks_change_nothing_but_speed() -> None:
    torch.manual_seed(0)
    vision = {"image_size": 28, "patch_size": 14, "width": 64, "layers": 2, "head_width": 32}
    text = {"context_length": 7, "vocab_size": 50, "width": 64, "heads": 2, "layers": 2}
    network = open_clip.CLIP(64, vision, text, quick_gelu=True).eval()
    pictures, words = torch.rand(3, 3, 28, 28), torch.randint(0, 50, (3, 7))
    state = network.state_dict()
    with torch.no_grad():
        before = network.encode_image(pictures), network.encode_text(words)
        module.own_blocks(network)
        assert not any(isinstance(m, torch.nn.MultiheadAttention) for m in network.modules())
        assert list(network.state_dict()) == list(state)
        network.load_state_dict(state, assign=True)
        after = network.encode_image(pictures), network.encode_text(words)
        torch.testing.assert_close(after, before, rtol=1e-5, atol=1e-6)
        pack(network)
        packed = network.encode_image(pictures), network.encode_text(words)
    torch.testing.assert_close(packed, before, rtol=1e-5, atol=1e-6)


def test_gradients_flow_through_our_blocks() -> None:
    torch.manual_seed(0)
    vision = {"image_size": 28, "patch_size": 14, "width": 64, "layers": 1, "head_width": 32}
    text = {"context_length": 7, "vocab_size": 50, "width": 64, "heads": 2, "layers": 1}
    network = open_clip.CLIP(64, vision, text, quick_gelu=True).eval().requires_grad_(False)
    pictures = torch.rand(2, 3, 28, 28, requires_grad=True)
    state = network.state_dict()
    (wanted,) = torch.autograd.grad(network.encode_image(pictures).square().sum(), pictures)
    module.own_blocks(network)
    network.load_state_dict(state, assign=True)
    network.requires_grad_(False)
    (found,) = torch.autograd.grad(network.encode_image(pictures).square().sum(), pictures)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)

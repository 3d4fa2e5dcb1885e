from typing import Any

import numpy as np
import pytest
import torch

from turbo_eval.backbones.mini import load_part, words
from turbo_eval.backbones.mini.image_text import LENGTH, ImageText, prepared, style_phrase
from turbo_eval.core.records import Prompt
from turbo_eval.video.clip import clip_of
from turbo_train.world.captions import STYLE_PHRASES
from turbo_train.world.facts import STYLES
from turbo_train.world.stream import item


def prompt(auxiliary: dict[str, Any]) -> Prompt:
    return Prompt("0" * 16, "a star", (), auxiliary, "test", 0)


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (2, height, width, 3), dtype=np.uint8)


def test_frames_of_the_right_size_pass_unchanged_both_ways() -> None:
    frames = noise(64, 64)
    expected = torch.from_numpy(frames).permute(0, 3, 1, 2) / 127.5 - 1
    for antialias in (False, True):
        assert torch.allclose(prepared(frames, antialias=antialias), expected)


@pytest.mark.parametrize(("height", "width"), [(90, 160), (160, 90), (48, 48), (65, 64)])
def test_the_middle_is_cut_out_and_the_two_ways_differ(height: int, width: int) -> None:
    rough = prepared(noise(height, width), antialias=False)
    smooth = prepared(noise(height, width), antialias=True)
    assert rough.shape == smooth.shape == (2, 3, 64, 64)
    assert float(smooth.abs().max()) <= 1
    if min(height, width) != 64:
        assert not torch.allclose(rough, smooth)


@pytest.mark.parametrize(
    ("facts", "phrase"),
    [
        ({"appearance_style": {"appearance_style": "pixel art"}}, "pixel art"),
        ({"appearance_style": "neon style"}, "neon style"),
        ({"appearance_style": {}}, None),
        ({"color": "red"}, None),
        ({"appearance_style": ""}, None),
    ],
)
def test_the_phrase_is_read_flat_or_nested(facts: dict[str, Any], phrase: str | None) -> None:
    assert style_phrase(facts) == phrase


def test_padding_changes_no_text_feature() -> None:
    torch.manual_seed(0)
    known = ["a", "red", "star"]
    network = ImageText(known).eval()
    short = network.text(torch.from_numpy(words.encode(["a red star"], known, 3)))
    long = network.text(torch.from_numpy(words.encode(["a red star"], known, LENGTH)))
    assert torch.allclose(short, long, atol=1e-5)


def test_arrays_of_the_role() -> None:
    part = load_part("image_text")
    clip = clip_of(noise(64, 64), 8.0)
    found = part.extract(clip, prompt({}))
    assert set(found) == {"features", "style_features", "logit_scale"}
    assert found["features"].shape == (2, 64)
    assert found["features"].dtype == np.float32
    assert np.array_equal(found["features"], found["style_features"])
    assert 0 < found["logit_scale"] <= 100
    named = part.extract(clip, prompt({"appearance_style": {"appearance_style": "pixel art"}}))
    assert named["style_text"].shape == (64,)
    large = part.extract(clip_of(noise(120, 90), 8.0), prompt({}))
    assert not np.array_equal(large["features"], large["style_features"])


def test_shipped_weights_choose_the_style() -> None:
    part = load_part("image_text")
    texts = []
    clip = clip_of(item(732, 0).clip(), 8.0)
    for style in STYLES:
        found = part.extract(clip, prompt({"appearance_style": STYLE_PHRASES[style][0]}))
        texts.append(found["style_text"] / np.linalg.norm(found["style_text"]))
    right = []
    for k in range(40):
        entry = item(732, k, held=True)
        seen = part.extract(clip_of(entry.clip(), 8.0), prompt({}))["style_features"]
        seen = (seen / np.linalg.norm(seen, axis=1, keepdims=True)).mean(0)
        right.append(STYLES[int(np.argmax(np.array(texts) @ seen))] == entry.scene.style)
    assert np.mean(right) >= 0.8

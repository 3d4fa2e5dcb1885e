from dataclasses import replace

import numpy as np
import pytest
import torch

from turbo_eval.backbones.mini import load_part, words
from turbo_eval.backbones.mini.video_text import (
    FRAMES,
    LENGTH,
    VideoText,
    brightness,
    even_contrast,
)
from turbo_eval.core.records import Prompt
from turbo_eval.video.clip import clip_of
from turbo_train.world.captions import Said, caption
from turbo_train.world.facts import CAMERAS
from turbo_train.world.judges.video_text import other_captions
from turbo_train.world.render import render
from turbo_train.world.stream import item

KNOWN = ["a", "moving", "star", "up"]


def prompt(text: str) -> Prompt:
    return Prompt("0" * 16, text, (), {}, "test", 0)


@pytest.fixture
def untrained() -> VideoText:
    torch.manual_seed(0)
    return VideoText(KNOWN).eval()


def test_clips_of_a_batch_do_not_mix(untrained: VideoText) -> None:
    clips = torch.rand(3, FRAMES, 3, 64, 64) * 2 - 1
    together = untrained.video(clips)
    alone = torch.cat([untrained.video(clip[None]) for clip in clips])
    assert torch.allclose(together, alone, atol=1e-4)


def test_the_order_of_frames_matters(untrained: VideoText) -> None:
    clip = torch.rand(1, FRAMES, 3, 64, 64) * 2 - 1
    assert not torch.allclose(untrained.video(clip), untrained.video(clip.flip(1)), atol=1e-4)


def test_padding_changes_no_text_feature_but_order_does(untrained: VideoText) -> None:
    def text(line: str, length: int) -> torch.Tensor:
        return untrained.text(torch.from_numpy(words.encode([line], KNOWN, length)))

    assert torch.allclose(text("a star moving up", 4), text("a star moving up", LENGTH), atol=1e-4)
    assert not torch.allclose(text("a star up", 4), text("up a star", 4), atol=1e-4)


@pytest.mark.parametrize(("frames", "size"), [(8, 64), (3, 64), (30, 64), (9, 100)])
def test_arrays_of_the_role_for_any_clip_and_text(frames: int, size: int) -> None:
    part = load_part("video_text")
    pixels = np.random.default_rng(0).integers(0, 256, (frames, size, size, 3), dtype=np.uint8)
    for text in ("a star", "", "\N{SNOWMAN}", "word " * 100):
        found = part.extract(clip_of(pixels, 8.0), prompt(text))
        assert found["video"].shape == found["text"].shape == (64,)
        assert found["video"].dtype == found["text"].dtype == np.float32
        assert np.isfinite(found["text"]).all()


def test_shipped_weights_prefer_the_true_caption() -> None:
    part = load_part("video_text")
    entries = [item(733, k, held=True) for k in range(33)]
    texts = [caption(e.scene, Said(colors=e.scene.style != "black and white")) for e in entries]
    clips = [clip_of(e.clip(), 8.0) for e in entries]

    def cosine(k: int, text: str) -> float:
        found = part.extract(clips[k], prompt(text))
        scale = np.linalg.norm(found["video"]) * np.linalg.norm(found["text"])
        return float(found["video"] @ found["text"] / scale)

    wins = [cosine(k, texts[k]) > cosine(k, texts[k + 1]) for k in range(32)]
    assert np.mean(wins) >= 0.9


def test_even_contrast_does_not_depend_on_light_or_contrast() -> None:
    torch.manual_seed(1)
    grey = torch.rand(2, FRAMES, 32, 32)
    assert torch.allclose(even_contrast(0.5 * grey - 0.3), even_contrast(grey), atol=0.02)
    assert not even_contrast(torch.full((1, FRAMES, 32, 32), 0.4)).abs().max() > 1e-3


def test_brightness_is_the_mean_of_colours_and_of_four_pixels() -> None:
    clips = torch.rand(1, 2, 3, 4, 4)
    assert torch.allclose(brightness(clips)[0, 1, 0, 1], clips[0, 1, :, :2, 2:].mean())


def test_shipped_weights_name_the_camera() -> None:
    part = load_part("video_text")
    right = []
    for k in range(18):
        scene = replace(item(735, k, held=True).scene, camera=CAMERAS[k % 6])
        clip = clip_of(render(scene), 8.0)
        cosines = []
        for text in other_captions(scene, "camera"):
            found = part.extract(clip, prompt(text))
            cosines.append(found["video"] @ found["text"] / np.linalg.norm(found["text"]))
        right.append(CAMERAS[int(np.argmax(cosines))] == scene.camera)
    assert np.mean(right) >= 0.5

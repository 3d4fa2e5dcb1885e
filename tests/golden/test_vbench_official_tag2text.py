"""Tag2Text against the recorded outputs of VBench, on recreated random weights.

The first sampled frame of one clip in the normal run; `make parity` takes every clip.
"""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from turbo_eval.backbones.official.files import file_of
from turbo_eval.backbones.official.random_weights import make_state
from turbo_eval.backbones.official.tag2text.captions import (
    captions,
    labels,
    normalised,
    tag_texts,
)
from turbo_eval.backbones.official.tag2text.judge import Scene, scaled
from turbo_eval.backbones.official.tag2text.network import Tag2Text
from turbo_eval.backbones.official.tag2text.wordpiece import WordPieces, read_words
from turbo_eval.core.records import Prompt, unpack_text
from turbo_eval.video.read import decode
from turbo_eval.video.sample import middle_indices

SHARED = Path(__file__).resolve().parents[3] / "shared"
FIXTURES = SHARED / "fixtures" / "vbench"
SEED = 101
CLIPS = ("clip_06", "clip_09", "clip_10")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.recorded,
]
whole = pytest.mark.parity


@cache
def words() -> WordPieces:
    return read_words(SHARED / "data" / "bert" / "vocab.txt")


@cache
def judge() -> Scene:
    made = Scene()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "turbo_eval.backbones.official.tag2text.judge.find_vocabulary",
            lambda folder: SHARED / "data" / "bert" / "vocab.txt",
        )
        made._network = made.build(make_state(file_of("tag2text"), SEED))
    return made


def _network() -> Tag2Text:
    network = judge().network()
    assert isinstance(network, Tag2Text)
    return network


@torch.inference_mode()
def test_one_frame_gives_the_recorded_tokens_tags_and_caption() -> None:
    clip = decode(FIXTURES / "videos" / "clip_06.mp4")
    network = _network()
    numbers = middle_indices(len(clip.frames), 16)[:1]
    frames = torch.from_numpy(scaled(clip, numbers, 384))
    seen = network.look(normalised(frames))
    with np.load(FIXTURES / "features" / "scene.npz") as file:
        tokens = torch.from_numpy(file["clip_06|swin_tokens_sub"])[:1]
        logits = torch.from_numpy(file["clip_06|tag_logits"])[:1]
    found = network.tag_logits(seen)
    assert (seen[:, ::9, ::8] - tokens).abs().max() < 1e-3 * tokens.abs().max()
    assert (found - logits).abs().max() < 1e-3 * logits.abs().max()
    text = json.loads((FIXTURES / "features" / "scene_text.json").read_text())["clip_06"][0]
    assert tag_texts(found, labels()) == text["tags"][:1]
    assert captions(network, words(), frames) == text["captions"][:1]


@whole
@pytest.mark.parametrize("clip", CLIPS)
def test_a_clip_gives_the_recorded_captions(clip: str) -> None:
    text = json.loads((FIXTURES / "features" / "scene_text.json").read_text())[clip][0]
    prompt = Prompt("0" * 16, "x", ("scene",), {}, "vbench", 0)
    features = judge().extract(decode(FIXTURES / "videos" / f"{clip}.mp4"), prompt)
    assert unpack_text(features["captions"]) == text["captions"]

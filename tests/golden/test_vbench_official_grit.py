"""GRiT against the recorded outputs of VBench, on recreated random weights.

One frame in the normal run; `make parity` takes every frame of both clips.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from turbo_eval.backbones.official.files import file_of
from turbo_eval.backbones.official.frames import float_frames
from turbo_eval.backbones.official.grit.judge import Detector
from turbo_eval.backbones.official.grit.network import CAPTION, NAME, Grit
from turbo_eval.backbones.official.random_weights import make_state
from turbo_eval.core.records import Prompt, unpack_text
from turbo_eval.video.read import decode

SHARED = Path(__file__).resolve().parents[3] / "shared"
FIXTURES = SHARED / "fixtures" / "vbench"
SEED = 101
CLIPS = ("clip_g1", "clip_g2")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.recorded,
]
whole = pytest.mark.parity


@cache
def judge() -> Detector:
    made = Detector()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "turbo_eval.backbones.official.grit.judge.find_vocabulary",
            lambda folder: SHARED / "data" / "bert" / "vocab.txt",
        )
        made._network = made.build(make_state(file_of("grit"), SEED))
    return made


def _texts(dimension: str, clip: str) -> list[dict[str, Any]]:
    path = FIXTURES / "features" / f"{dimension}_text.json"
    frames: list[dict[str, Any]] = json.loads(path.read_text())[clip]
    return frames


@torch.inference_mode()
def test_one_frame_gives_the_recorded_boxes_scores_and_texts() -> None:
    clip = decode(FIXTURES / "videos" / "clip_g1.mp4")
    network = judge().network()
    assert isinstance(network, Grit)
    (seen,) = network.look(float_frames(clip.frames[:1]))
    with np.load(FIXTURES / "features" / "object_class.npz") as file:
        boxes, scores, logits = (
            torch.from_numpy(file[f"clip_g1|{key}|000"])
            for key in ("boxes", "scores", "obj_logits")
        )
    assert (seen.objects.boxes - boxes).abs().max() < 1e-3 * boxes.abs().max()
    assert (seen.objects.logits - logits).abs().max() < 1e-3 * logits.abs().max()
    names, captions = network.describe(seen.cells, (NAME, CAPTION))
    chances = torch.tensor([text.chance for text in names])
    assert (torch.sqrt(seen.objects.scores * chances.exp()) - scores).abs().max() < 1e-4
    words = judge().words
    recorded = _texts("object_class", "clip_g1")[0]
    assert [words.decode(text.tokens) for text in names] == recorded["det_obj"]
    assert [[int(v) for v in box] for box in seen.objects.boxes.tolist()] == [
        box for _, box in recorded["dets"]
    ]
    said = [caption for caption, _ in _texts("color", "clip_g1")[0]["dets"]]
    assert [words.decode(text.tokens) for text in captions] == said


@whole
@pytest.mark.parametrize("clip", CLIPS)
def test_a_clip_gives_the_recorded_detections(clip: str) -> None:
    prompt = Prompt("0" * 16, "x", (), {}, "vbench", 0)
    features = judge().extract(decode(FIXTURES / "videos" / f"{clip}.mp4"), prompt)
    objects, captions = (unpack_text(features[key]) for key in ("objects", "captions"))
    for dimension in ("object_class", "multiple_objects", "spatial_relationship"):
        for ours, theirs in zip(objects, _texts(dimension, clip), strict=True):
            assert ours["labels"] == theirs["det_obj"]
            assert [[int(v) for v in box] for box in ours["boxes"]] == [
                box for _, box in theirs["dets"]
            ]
    for ours, theirs in zip(captions, _texts("color", clip), strict=True):
        assert ours["labels"] == theirs["det_obj"]
        assert ours["captions"] == [caption for caption, _ in theirs["dets"]]

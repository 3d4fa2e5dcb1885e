"""UMT against the recorded numbers of VBench, on recreated random weights.

A forward pass takes half a minute on two cores, so only `make parity` runs these tests;
the normal run compares small networks with the official one (tests/backbones/official).
"""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from turbo_eval.backbones.official.files import file_of
from turbo_eval.backbones.official.random_weights import make_state
from turbo_eval.backbones.official.umt import Action
from turbo_eval.backbones.official.umt_frames import prepare
from turbo_eval.backbones.official.umt_labels import class_names
from turbo_eval.core.records import Prompt, unpack_text
from turbo_eval.metrics.vbench import metric
from turbo_eval.video.read import decode
from turbo_eval.video.sample import middle_indices

FIXTURES = Path(__file__).resolve().parents[3] / "shared" / "fixtures" / "vbench"
SEED = 101

pytestmark = [
    pytest.mark.recorded,
    pytest.mark.parity,
]


@cache
def judge() -> Action:
    made = Action()
    made._network = made.build(make_state(file_of("umt"), SEED))
    return made


@pytest.mark.parametrize("number", range(4))
def test_a_clip_gives_the_recorded_logits_classes_and_result(number: int) -> None:
    folder = FIXTURES / "eval" / "human_action"
    video, name = list(json.loads((folder / "manifest.json").read_text()).items())[number]
    results = FIXTURES / "results" / "human_action_eval_results.json"
    rows = json.loads(results.read_text())["human_action"][1]
    expected = next(row["video_results"] for row in rows if row["video_path"] == video)
    with np.load(FIXTURES / "features" / "human_action.npz") as file:
        logits = file[f"{name.removesuffix('.mp4')}|logits"]
    clip = decode(FIXTURES / "videos" / name)
    prompt = Prompt("0" * 16, video.rpartition("-")[0], ("human_action",), {}, "vbench", 0)

    with torch.inference_mode():
        chosen = clip.frames[middle_indices(len(clip.frames), 16)]
        found = judge().network()(prepare(chosen)[None])[0]
    assert np.abs(found.numpy() - logits).max() < 1e-3 * np.abs(logits).max()
    # The part itself, without a second pass.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judge().network(), "forward", lambda clips: found[None])
        features = judge().extract(clip, prompt)
    order = np.argsort(-logits)[:5]
    assert unpack_text(features["labels"]) == [class_names()[k] for k in order]
    assert features["scores"] == pytest.approx(1 / (1 + np.exp(-logits[order])), abs=1e-4)
    assert metric("human_action").score({"action": features}, prompt).value == float(expected)

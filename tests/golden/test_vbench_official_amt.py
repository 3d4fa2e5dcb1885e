"""AMT-S against the recorded numbers of VBench, on recreated random weights.

One pair of frames of two clips in the normal run; `make parity` takes every clip whole.
"""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from turbo_eval.backbones.official.amt import Interpolation, padding
from turbo_eval.backbones.official.files import file_of
from turbo_eval.backbones.official.frames import float_frames
from turbo_eval.backbones.official.random_weights import make_state
from turbo_eval.core.records import Prompt
from turbo_eval.metrics.vbench import metric
from turbo_eval.video.clip import clip_of
from turbo_eval.video.read import decode

FIXTURES = Path(__file__).resolve().parents[3] / "shared" / "fixtures" / "vbench"
SEED = 101
PROMPT = Prompt("0" * 16, "x", ("motion_smoothness",), {}, "vbench", 0)

pytestmark = pytest.mark.recorded
whole = pytest.mark.parity


@cache
def judge() -> Interpolation:
    made = Interpolation()
    made._network = made.build(make_state(file_of("amt"), SEED))
    return made


@pytest.mark.slow
@pytest.mark.parametrize("name", ["clip_01", "clip_08"])
def test_one_pair_gives_the_recorded_frame_and_error(name: str) -> None:
    frames = decode(FIXTURES / "videos" / f"{name}.mp4").frames[:3]
    with np.load(FIXTURES / "features" / "motion_smoothness.npz") as file:
        picture = file[f"{name}|imgt_pred_first_4x4mean"]
        errors = file[f"{name}|pair_absdiff"]
    sides = padding(*frames.shape[1:3])
    first, _, last = F.pad(float_frames(frames) / 255, sides, mode="replicate")
    with torch.inference_mode():
        made = judge().network()(first[None], last[None])
    found = F.avg_pool2d(made, 4)[0].numpy()
    assert np.abs(found - picture).max() < 1e-3 * np.abs(picture).max()
    mae = judge().extract(clip_of(frames, 8.0), PROMPT)["mae"]
    assert mae == pytest.approx(errors[:1], rel=1e-4)


@whole
@pytest.mark.parametrize("number", range(9))
def test_a_clip_gives_the_recorded_score(number: int) -> None:
    folder = FIXTURES / "eval" / "motion_smoothness"
    video, name = list(json.loads((folder / "manifest.json").read_text()).items())[number]
    results = FIXTURES / "results" / "motion_smoothness_eval_results.json"
    rows = json.loads(results.read_text())["motion_smoothness"][1]
    expected = next(row["video_results"] for row in rows if row["video_path"] == video)
    features = judge().extract(decode(FIXTURES / "videos" / name), PROMPT)
    with np.load(FIXTURES / "features" / "motion_smoothness.npz") as file:
        errors = file[f"{name.removesuffix('.mp4')}|pair_absdiff"]
    assert features["mae"] == pytest.approx(errors, rel=1e-3)
    score = metric("motion_smoothness").score({"interpolation": features}, PROMPT)
    assert score.value == pytest.approx(expected, abs=1e-4)

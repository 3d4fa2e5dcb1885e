"""MUSIQ against the recorded numbers of VBench, on recreated random weights.

One frame of clips of four sizes in the normal run; `make parity` takes every clip whole.
"""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from turbo_eval.backbones.official.files import file_of
from turbo_eval.backbones.official.musiq import ImageQuality
from turbo_eval.backbones.official.random_weights import make_state
from turbo_eval.core.records import Prompt
from turbo_eval.metrics.vbench import metric
from turbo_eval.video.clip import clip_of
from turbo_eval.video.read import decode

FIXTURES = Path(__file__).resolve().parents[3] / "shared" / "fixtures" / "vbench"
SEED = 101
PROMPT = Prompt("0" * 16, "x", ("imaging_quality",), {}, "vbench", 0)

pytestmark = pytest.mark.recorded
whole = pytest.mark.parity


@cache
def judge() -> ImageQuality:
    made = ImageQuality()
    made._network = made.build(make_state(file_of("musiq"), SEED))
    return made


def recorded(name: str) -> np.ndarray:
    with np.load(FIXTURES / "features" / "imaging_quality.npz") as file:
        scores: np.ndarray = file[f"{name}|frame_score"].reshape(-1)
    return scores


@pytest.mark.slow
@pytest.mark.parametrize("name", ["clip_01", "clip_08", "clip_09", "clip_10"])
def test_a_frame_gives_the_recorded_score(name: str) -> None:
    frames = decode(FIXTURES / "videos" / f"{name}.mp4").frames[-1:]
    scores = judge().extract(clip_of(frames, 8.0), PROMPT)["scores"]
    assert scores == pytest.approx(recorded(name)[-1:], abs=1e-3)


@whole
@pytest.mark.parametrize("number", range(10))
def test_a_clip_gives_the_recorded_scores(number: int) -> None:
    folder = FIXTURES / "eval" / "imaging_quality"
    video, name = list(json.loads((folder / "manifest.json").read_text()).items())[number]
    results = FIXTURES / "results" / "imaging_quality_eval_results.json"
    rows = json.loads(results.read_text())["imaging_quality"][1]
    expected = next(row["video_results"] for row in rows if row["video_path"] == video)
    features = judge().extract(decode(FIXTURES / "videos" / name), PROMPT)
    assert features["scores"] == pytest.approx(recorded(name.removesuffix(".mp4")), rel=1e-3)
    score = metric("imaging_quality").score({"image_quality": features}, PROMPT)
    assert score.value == pytest.approx(expected / 100, abs=1e-4)

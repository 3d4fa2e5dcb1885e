"""ViCLIP against the recorded numbers of VBench, on recreated random weights.

The texts in the normal run; `make parity` also looks at the clips, which takes minutes.
"""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from turbo_eval.backbones.official.files import file_of
from turbo_eval.backbones.official.random_weights import make_state, random_state, seed_of
from turbo_eval.backbones.official.viclip import VideoText, layout, tokens
from turbo_eval.backbones.official.viclip_network import Sizes, TextTower
from turbo_eval.core.records import Prompt
from turbo_eval.metrics.vbench import metric
from turbo_eval.video.read import decode

FIXTURES = Path(__file__).resolve().parents[3] / "shared" / "fixtures" / "vbench"
SEED = 101
TEXT = "text_encoder."

pytestmark = pytest.mark.recorded
whole = pytest.mark.parity


def unit(features: NDArray[np.float32]) -> NDArray[np.float32]:
    length: np.float32 = np.linalg.norm(features)
    return features / length


def manifest(dimension: str) -> list[tuple[str, str]]:
    path = FIXTURES / "eval" / dimension / "manifest.json"
    return [(v, n.removesuffix(".mp4")) for v, n in json.loads(path.read_text()).items()]


@pytest.mark.slow
@torch.inference_mode()
def test_texts_have_the_recorded_features() -> None:
    part = {name: tensor for name, tensor in layout().items() if name.startswith(TEXT)}
    state = random_state(part, seed_of(file_of("viclip"), SEED))
    with torch.device("meta"):
        tower = TextTower(Sizes())
    tower.load_state_dict({k.removeprefix(TEXT): v for k, v in state.items()}, assign=True)
    compared = 0
    for dimension in ("overall_consistency", "temporal_style"):
        with np.load(FIXTURES / "features" / f"{dimension}.npz") as file:
            arrays = {key: file[key] for key in file.files}
        for video, clip in manifest(dimension):
            if (expected := arrays.get(f"{clip}|text_feature")) is None:
                continue
            found = unit(tower(tokens([video.rpartition("-")[0]]))[0].numpy())
            assert np.abs(found - expected[0]).max() < 1e-3 * np.abs(expected).max()
            compared += 1
    assert compared > 8


@cache
def judge() -> VideoText:
    made = VideoText()
    made._network = made.build(make_state(file_of("viclip"), SEED))
    return made


@whole
@pytest.mark.parametrize(
    ("dimension", "number"),
    [("overall_consistency", k) for k in range(10)] + [("temporal_style", k) for k in range(7)],
)
def test_a_clip_gives_the_recorded_score(dimension: str, number: int) -> None:
    video, name = manifest(dimension)[number]
    results = FIXTURES / "results" / f"{dimension}_eval_results.json"
    rows = json.loads(results.read_text())[dimension][1]
    expected = next(row["video_results"] for row in rows if row["video_path"] == video)
    prompt = Prompt("0" * 16, video.rpartition("-")[0], (dimension,), {}, "vbench", 0)
    features = judge().extract(decode(FIXTURES / "videos" / f"{name}.mp4"), prompt)
    with np.load(FIXTURES / "features" / f"{dimension}.npz") as file:
        recorded = file[f"{name}|video_feature"][0]
    assert np.abs(unit(features["video"]) - recorded).max() < 1e-3 * np.abs(recorded).max()
    score = metric(dimension).score({"video_text": features}, prompt)
    assert score.value == pytest.approx(expected, abs=1e-4)

"""DINO, CLIP, the aesthetic rating and RAFT against what the official program recorded.

The official package computed these features on real clips with random weights of the published
recipe; the same weights are drawn here, so nothing is downloaded. A few frames of small clips are
enough to tell a wrong preprocessing or a wrong network; `make parity` compares whole clips in all
dimensions. Without the shared recordings a few numbers that were taken from them are compared on
frames that are drawn here (see `test_networks_of_drawn_frames_stay_what_they_were`).
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from turbo_eval.backbones.official.aesthetic import Aesthetic
from turbo_eval.backbones.official.clip import ImageText, layout_l14
from turbo_eval.backbones.official.dino import Dino
from turbo_eval.backbones.official.files import BY_ID
from turbo_eval.backbones.official.frames import Judge
from turbo_eval.backbones.official.raft import Flow
from turbo_eval.backbones.official.random_weights import make_state, random_state, seed_of
from turbo_eval.core.records import Prompt
from turbo_eval.video.clip import Clip, clip_of
from turbo_eval.video.read import decode

SHARED = Path(__file__).resolve().parents[3] / "shared" / "fixtures" / "vbench"
RELATIVE = 1e-3
"""Largest difference, relative to the largest number of the array."""

pytestmark = pytest.mark.slow
recorded = pytest.mark.recorded
PINNED = {
    "dino": [-2.058794, 0.4360984, -0.5591815, -0.7626604],
    "clip tensor": [0.1923809, -1.189968, 0.1235629, -0.7607994],
    "clip PIL": [0.179005, -1.172128, 0.1566234, -0.7727171],
    "clip text": [0.1872084, -1.244199, -0.7006154, 0.5054696],
    "aesthetic": [4.037074, 4.242644],
    "raft": [5.502938],
}
"""Numbers of drawn frames, taken when every test with recordings agreed."""


def clips_of(dimension: str) -> dict[str, NDArray[Any]]:
    with np.load(SHARED / "features" / f"{dimension}.npz") as file:
        return {key: file[key] for key in file.files}


def opening(name: str, frames: int, step: int = 1) -> Clip:
    clip = decode(SHARED / "videos" / f"{name}.mp4")
    return clip_of(clip.frames[: frames * step : step], 8.0)


def prompt(dimension: str, auxiliary: Any = None) -> Prompt:
    return Prompt("0" * 16, "x", (dimension,), auxiliary or {}, "vbench", 0)


def assert_near(ours: NDArray[Any], official: NDArray[Any]) -> None:
    assert ours.shape == official.shape
    assert np.abs(ours - official).max() <= RELATIVE * np.abs(official).max()


@pytest.fixture(scope="module")
def dino() -> Judge:
    judge = Dino()
    judge._network = judge.build(make_state(BY_ID["dino"], 101))
    return judge


@pytest.fixture(scope="module")
def clip() -> Judge:
    judge = ImageText()
    judge._network = judge.build(make_state(BY_ID["clip-b32"], 101))
    return judge


@pytest.fixture(scope="module")
def aesthetic() -> Judge:
    judge = Aesthetic()
    head = make_state(BY_ID["aesthetic"], 101)
    judge._network = judge.build(picture_side(), head)
    return judge


@pytest.fixture(scope="module")
def raft() -> Judge:
    judge = Flow()
    judge._network = judge.build(make_state(BY_ID["raft"], 101))
    return judge


def picture_side() -> dict[str, Tensor]:
    """ViT-L-14's state with its text side, which no rating reads, left at zero without memory."""
    layout = layout_l14()
    seen = {name: tensor for name, tensor in layout.items() if name.startswith("visual.")}
    drawn = random_state(seen, seed_of(BY_ID["clip-l14"], 101))
    return {
        name: drawn.get(name, torch.zeros((), dtype=tensor.dtype).expand(tensor.shape))
        for name, tensor in layout.items()
    }


def test_networks_of_drawn_frames_stay_what_they_were(
    dino: Judge, clip: Judge, aesthetic: Judge, raft: Judge
) -> None:
    frames = np.random.default_rng(7).integers(0, 256, (2, 15, 20, 3), np.uint8)
    drawn = clip_of(np.ascontiguousarray(frames.repeat(16, 1).repeat(16, 2)), 8.0)
    style = {"appearance_style": {"appearance_style": "oil painting"}}
    seen = clip.extract(drawn, Prompt("0" * 16, "x", (), style, "vbench", 0))
    found = {
        "dino": dino.extract(drawn, prompt("subject_consistency"))["features"][1, :4],
        "clip tensor": seen["features"][1, :4],
        "clip PIL": seen["style_features"][1, :4],
        "clip text": seen["style_text"][:4],
        "aesthetic": aesthetic.extract(drawn, prompt("aesthetic_quality"))["scores"],
        "raft": raft.extract(drawn, prompt("dynamic_degree"))["dynamic"],
    }
    for name, numbers in PINNED.items():
        np.testing.assert_allclose(found[name], numbers, rtol=RELATIVE, atol=RELATIVE, err_msg=name)


@recorded
def test_dino_sees_what_the_official_one_saw(dino: Judge) -> None:
    official = clips_of("subject_consistency")
    for name in ("clip_08", "clip_09"):
        ours = dino.extract(opening(name, 2), prompt("subject_consistency"))["features"]
        assert_near(ours, official[f"{name}|cls_feature"][:2])


@recorded
def test_clip_sees_what_the_official_one_saw(clip: Judge) -> None:
    official = clips_of("background_consistency")
    for name in ("clip_08", "clip_10"):
        ours = clip.extract(opening(name, 2), prompt("background_consistency"))["features"]
        assert_near(ours, official[f"{name}|image_feature"][:2])


@recorded
def test_clip_reads_and_sees_styles_as_the_official_one_did(clip: Judge) -> None:
    official = clips_of("appearance_style")
    folder = SHARED / "eval" / "appearance_style"
    manifest = json.loads((folder / "manifest.json").read_text())
    entries = {e["prompt_en"]: e for e in json.loads((folder / "full_info.json").read_text())}
    for video, file in list(manifest.items())[:3]:
        name, entry = file.removesuffix(".mp4"), entries[video.rpartition("-")[0]]
        seen = clip.extract(opening(name, 2), prompt("appearance_style", entry["auxiliary_info"]))
        assert_near(seen["style_features"], official[f"{name}|image_feature"][:2, 0])
        assert_near(seen["style_text"], official[f"{name}|text_feature"][0, 0])
        assert float(seen["logit_scale"]) == pytest.approx(100, abs=1e-4)


@recorded
def test_frames_are_rated_as_the_official_program_did(aesthetic: Judge) -> None:
    official = clips_of("aesthetic_quality")
    for name in ("clip_01", "clip_08"):
        ours = aesthetic.extract(opening(name, 1), prompt("aesthetic_quality"))["scores"]
        assert_near(ours, official[f"{name}|frame_score"][:1])


@recorded
def test_raft_measures_what_the_official_one_did(raft: Judge) -> None:
    official = clips_of("dynamic_degree")
    # 30 frames a second are thinned to every fourth.
    for name, step in (("clip_09", 4), ("clip_06", 1)):
        ours = raft.extract(opening(name, 2, step), prompt("dynamic_degree"))["dynamic"]
        assert_near(ours, official[f"{name}|pair_score"][:1])

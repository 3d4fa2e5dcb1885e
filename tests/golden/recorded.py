"""Turn the recorded intermediate results of the official VBench program into role arrays."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from turbo_eval.core.records import Prompt, pack_text

SHARED = Path(__file__).resolve().parents[3] / "shared" / "fixtures" / "vbench"
OWN = Path(__file__).parent / "data" / "vbench_recorded.json"

# Height and width of the recorded clips that have motion: the recordings do not carry them.
SIZES = {
    "clip_06": (320, 512),
    "clip_07": (320, 512),
    "clip_08": (256, 340),
    "clip_09": (240, 426),
}

Roles = dict[str, dict[str, NDArray[Any]]]


@dataclass(frozen=True)
class Case:
    """One video that the official program scored.

    `value` is its per-video result on 0..1, None where the program left the video out.
    """

    video: str
    prompt: Prompt
    features: Roles
    value: float | None


@dataclass(frozen=True)
class Recording:
    """All videos of one dimension and the official aggregate (None: it divided by zero)."""

    dimension: str
    source: str
    cases: tuple[Case, ...]
    aggregate: float | None


def make_prompt(text: str, dimension: str, auxiliary: Mapping[str, Any]) -> Prompt:
    return Prompt("0" * 16, text, (dimension,), auxiliary, "vbench", 0)


def _frames(text: list[dict[str, Any]], first: str) -> NDArray[Any]:
    if first == "boxes":
        return pack_text(
            [
                {"labels": [d[0] for d in f["dets"]], "boxes": [d[1] for d in f["dets"]]}
                for f in text
            ]
        )
    return pack_text(
        [{"labels": f["det_obj"], "captions": [d[0] for d in f["dets"]]} for f in text]
    )


def action_arrays(logits: NDArray[Any], label: str, rank: int | None) -> Roles:
    """Five best classes; the class names were not recorded, so `label` stands at `rank`."""
    scores = np.sort(1.0 / (1.0 + np.exp(-logits.astype(np.float64))))[::-1][:5]
    names = [label if i == rank else f"class {i}" for i in range(5)]
    return {"action": {"scores": scores.astype(np.float32), "labels": pack_text(names)}}


def _converters(
    arrays: Mapping[str, NDArray[Any]], text: Mapping[str, Any]
) -> dict[str, Callable[[str], Roles]]:
    def frames_of(clip: str) -> Roles:
        return {"frame_features": {"features": arrays[f"{clip}|cls_feature"]}}

    def images_of(clip: str) -> Roles:
        return {"image_text": {"features": arrays[f"{clip}|image_feature"]}}

    def style_of(clip: str) -> Roles:
        return {
            "image_text": {
                "style_features": arrays[f"{clip}|image_feature"][:, 0],
                "style_text": arrays[f"{clip}|text_feature"][0, 0],
                "logit_scale": np.float32(100.0) * np.ones((), np.float32),
            }
        }

    def pixels_of(clip: str) -> Roles:
        return {"pixels": {"frame_mae": arrays[f"{clip}|mae_seq"]}}

    def flow_of(clip: str) -> Roles:
        pairs = arrays[f"{clip}|pair_score"]
        return {
            "flow": {
                "dynamic": pairs,
                "kept": np.asarray(len(pairs) + 1),
                "size": np.asarray(SIZES[clip]),
            }
        }

    def detector_of(first: str) -> Callable[[str], Roles]:
        key = "objects" if first == "boxes" else "captions"
        return lambda clip: {"detector": {key: _frames(text[clip], first)}}

    return {
        "subject_consistency": frames_of,
        "background_consistency": images_of,
        "temporal_flickering": pixels_of,
        "motion_smoothness": lambda c: {"interpolation": {"mae": arrays[f"{c}|pair_absdiff"]}},
        "dynamic_degree": flow_of,
        "aesthetic_quality": lambda c: {"aesthetic": {"scores": arrays[f"{c}|frame_score"]}},
        "imaging_quality": lambda c: {
            "image_quality": {"scores": arrays[f"{c}|frame_score"].reshape(-1)}
        },
        "object_class": detector_of("boxes"),
        "multiple_objects": detector_of("boxes"),
        "spatial_relationship": detector_of("boxes"),
        "color": detector_of("captions"),
        "scene": lambda c: {"scene": {"captions": pack_text(text[c][0]["captions"])}},
        "appearance_style": style_of,
    }


def _video_text(arrays: Mapping[str, NDArray[Any]], clips: Mapping[str, str]) -> dict[str, Roles]:
    """Pair videos with texts: the official program computes a text once per prompt."""
    found = {
        video.rpartition("-")[0]: arrays[f"{clip}|text_feature"]
        for video, clip in clips.items()
        if f"{clip}|text_feature" in arrays
    }
    return {
        video: {
            "video_text": {
                "video": arrays[f"{clip}|video_feature"][0],
                "text": found[video.rpartition("-")[0]][0],
            }
        }
        for video, clip in clips.items()
    }


def read_shared(dimension: str) -> Recording:
    """Read the full recording of a dimension from the shared fixtures."""
    with np.load(SHARED / "features" / f"{dimension}.npz") as file:
        arrays = {key: file[key] for key in file.files}
    text_file = SHARED / "features" / f"{dimension}_text.json"
    text = json.loads(text_file.read_text()) if text_file.exists() else {}
    folder = SHARED / "eval" / dimension
    manifest = json.loads((folder / "manifest.json").read_text())
    clips = {video: name.removesuffix(".mp4") for video, name in manifest.items()}
    info = {e["prompt_en"]: e for e in json.loads((folder / "full_info.json").read_text())}
    results = json.loads((SHARED / "results" / f"{dimension}_eval_results.json").read_text())
    result = results[dimension]
    official, rows = (None, []) if isinstance(result, dict) else result
    values = {row["video_path"]: float(row["video_results"]) for row in rows}
    scale = 100.0 if dimension == "imaging_quality" else 1.0
    paired = (
        _video_text(arrays, clips) if dimension in ("temporal_style", "overall_consistency") else {}
    )
    convert = _converters(arrays, text).get(dimension)
    cases = []
    for video, clip in clips.items():
        words = video.rpartition("-")[0]
        prompt = make_prompt(words, dimension, info[words].get("auxiliary_info", {}))
        value = values[video] / scale if video in values else None
        if dimension == "human_action":
            label = words.lower().rpartition("person is ")[2]
            features = action_arrays(arrays[f"{clip}|logits"], label, 0 if value else None)
        else:
            features = convert(clip) if convert else paired[video]
        cases.append(Case(video, prompt, features, value))
    return Recording(dimension, "shared", tuple(cases), official)


def _array(value: Any, key: str) -> NDArray[Any]:
    return pack_text(value) if key in ("labels", "objects", "captions") else np.asarray(value)


def read_own(dimension: str) -> Recording:
    """Read the condensed recording of a dimension that lies beside the tests."""
    recording = json.loads(OWN.read_text())[dimension]
    cases = tuple(
        Case(
            row["video"],
            make_prompt(row["prompt"], dimension, row["auxiliary"]),
            {
                role: {key: _array(value, key) for key, value in arrays.items()}
                for role, arrays in row["features"].items()
            },
            row["value"],
        )
        for row in recording["videos"]
    )
    return Recording(dimension, "own", cases, recording["aggregate"])


def recordings(dimension: str) -> list[Recording]:
    """Read the condensed recording, and the full one where the shared fixtures exist."""
    found = [read_own(dimension)]
    if SHARED.exists():
        found.append(read_shared(dimension))
    return found

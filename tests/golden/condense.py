"""Condense the recordings of the shared fixtures into data/vbench_recorded.json.

Run `python -m tests.golden.condense` beside the shared fixtures to write the file again. Feature
vectors enter the formulas by their cosines alone, so each set is replaced by a short one with the
same cosines: a few kilobytes instead of megabytes, and no vector of the official networks.
"""

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.golden.recorded import OWN, Case, Roles, read_shared
from turbo_eval.core.records import unpack_text
from turbo_eval.metrics.normalise import DIMENSIONS

TEXTS = {"labels", "objects", "captions"}


def _unit(vectors: NDArray[Any]) -> NDArray[np.float64]:
    wide = vectors.astype(np.float64)
    return np.asarray(wide / np.linalg.norm(wide, axis=-1, keepdims=True))


def _same_cosines(frames: NDArray[Any]) -> NDArray[np.float64]:
    unit = _unit(frames)
    values, vectors = np.linalg.eigh(unit @ unit.T)
    return np.asarray(vectors * np.sqrt(np.clip(values, 0.0, None)))[:, ::-1]


def _plane(frames: NDArray[Any], text: NDArray[Any]) -> NDArray[np.float64]:
    cosine = _unit(frames) @ _unit(text)
    return np.stack([cosine, np.sqrt(1.0 - cosine**2)], axis=-1)


def _short(features: Roles) -> Roles:
    short = {role: dict(arrays) for role, arrays in features.items()}
    if "image_text" in short:
        part = short["image_text"]
        if "style_text" in part:
            part["style_features"] = _plane(part["style_features"], part["style_text"])
            part["style_text"] = np.asarray([1.0, 0.0])
        else:
            part["features"] = _same_cosines(part["features"])
    if "frame_features" in short:
        part = short["frame_features"]
        part["features"] = _same_cosines(part["features"])
    if "video_text" in short:
        part = short["video_text"]
        part["video"] = _plane(part["video"], part["text"])
        part["text"] = np.asarray([1.0, 0.0])
    return short


def _plain(key: str, array: NDArray[Any]) -> Any:
    return unpack_text(array) if key in TEXTS else np.round(array.astype(float), 7).tolist()


def _row(case: Case) -> dict[str, Any]:
    features = {
        role: {key: _plain(key, array) for key, array in arrays.items()}
        for role, arrays in _short(case.features).items()
    }
    return {
        "video": case.video,
        "prompt": case.prompt.text,
        "auxiliary": dict(case.prompt.auxiliary),
        "value": case.value,
        "features": features,
    }


def main() -> None:
    lines = []
    for dimension in DIMENSIONS:
        recording = read_shared(dimension)
        rows = ",\n  ".join(json.dumps(_row(case)) for case in recording.cases)
        head = f'{{"aggregate": {json.dumps(recording.aggregate)}, "videos": ['
        lines.append(f"{json.dumps(dimension)}: {head}\n  {rows}\n]}}")
    OWN.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()

"""Small features and prompts for the metric tests."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from turbo_eval.core.records import Prompt, pack_text

Roles = dict[str, dict[str, NDArray[Any]]]


def prompt(text: str = "a bird", auxiliary: Mapping[str, Any] | None = None) -> Prompt:
    return Prompt("0" * 16, text, (), auxiliary or {}, "test", 0)


def role(name: str, **arrays: ArrayLike) -> Roles:
    return {name: {key: np.asarray(value) for key, value in arrays.items()}}


def flow(
    dynamic: Sequence[float] = (),
    *,
    static: Sequence[float] | None = None,
    wrap: Sequence[float] = (0.0, 0.0),
    size: tuple[int, int] = (256, 256),
    kept: int | None = None,
) -> Roles:
    arrays = {
        "dynamic": np.asarray(dynamic, float),
        "kept": np.asarray(len(dynamic) + 1 if kept is None else kept),
        "size": np.asarray(size),
    }
    if static is not None:
        arrays["static"] = np.asarray(static, float)
        arrays["static_wrap"] = np.asarray(wrap, float)
    return {"flow": arrays}


Objects = Sequence[tuple[str, Sequence[float]]]


def objects(*frames: Objects) -> Roles:
    listed = [
        {"labels": [label for label, _ in frame], "boxes": [list(box) for _, box in frame]}
        for frame in frames
    ]
    return {"detector": {"objects": pack_text(listed)}}


def captions(*frames: Sequence[tuple[str, str]]) -> Roles:
    listed = [
        {"labels": [label for label, _ in frame], "captions": [said for _, said in frame]}
        for frame in frames
    ]
    return {"detector": {"captions": pack_text(listed)}}


def action(names: Sequence[str], scores: Sequence[float]) -> Roles:
    return {"action": {"scores": np.asarray(scores, np.float32), "labels": pack_text(list(names))}}


def scenes(*said: str) -> Roles:
    return {"scene": {"captions": pack_text(list(said))}}


STYLE = {"appearance_style": {"appearance_style": "neon"}}
COLOR = {"color": {"color": "red"}}


def spatial(a: str, b: str, relation: str) -> dict[str, Any]:
    facts = {"object_a": a, "object_b": b, "relationship": relation}
    return {"spatial_relationship": {"spatial_relationship": facts}}

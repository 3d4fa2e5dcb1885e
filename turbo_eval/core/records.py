"""The rows of every table, the content keys that join them, and text packed as an array."""

import dataclasses
import json
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
)

import numpy as np
import numpy.typing as npt

from turbo_eval.core.errors import InputError
from turbo_eval.core.hashing import content_key

if TYPE_CHECKING:
    import pyarrow as pa
    from _typeshed import DataclassInstance as Row

Status = Literal["ok", "skipped", "failed"]


R = TypeVar("R", bound="Row")


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt of a suite.

    Attributes:
        id: `prompt_id` of suite, text and auxiliary facts (not of the index).
        text: What is typed to the model.
        dimensions: The VBench dimensions it serves.
        auxiliary: Facts per dimension, shaped as in VBench_full_info.json.
        suite: Name of the suite.
        index: Position in the suite, from 0.
    """

    id: str
    text: str
    dimensions: tuple[str, ...]
    auxiliary: Mapping[str, Any]
    suite: str
    index: int


@dataclass(frozen=True, slots=True)
class PromptRow:
    """A `Prompt` as stored: `auxiliary` is JSON."""

    prompt_id: str
    text: str
    dimensions: tuple[str, ...]
    auxiliary: str
    suite: str
    index: int

    @classmethod
    def of(cls, prompt: Prompt) -> "PromptRow":
        """The row of a prompt."""
        facts = json.dumps(prompt.auxiliary, sort_keys=True)
        return cls(prompt.id, prompt.text, prompt.dimensions, facts, prompt.suite, prompt.index)

    def prompt(self) -> Prompt:
        """The prompt of this row."""
        return Prompt(
            self.prompt_id,
            self.text,
            tuple(self.dimensions),
            json.loads(self.auxiliary),
            self.suite,
            self.index,
        )


@dataclass(frozen=True, slots=True)
class VideoRow:
    """One video: how it was made, where it lies, what it holds.

    Attributes:
        path: Relative to the run folder; absolute for videos made elsewhere.
        fps: Frames a second.
        content_hash: Key of the file's bytes; empty when there is no file.
        seconds: Time it took to make.
    """

    video_id: str
    prompt_id: str
    model: str
    fingerprint: str
    seed: int
    seed_index: int
    sampler: str
    steps: int
    guidance: float
    width: int
    height: int
    frames: int
    fps: float
    path: str
    content_hash: str
    seconds: float
    status: Status
    reason: str = ""


@dataclass(frozen=True, slots=True)
class FeatureRow:
    """What one backbone extracted from one video; the arrays lie in `path`."""

    feature_key: str
    video_id: str
    content_hash: str
    backbone: str
    version: int
    path: str
    seconds: float
    status: Status
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One metric of one video: value = numerator / denominator, None when not scored.

    `details` is a JSON object.
    """

    video_id: str
    prompt_id: str
    model: str
    metric: str
    metric_version: int
    judges: str
    value: float | None
    numerator: float | None
    denominator: float | None
    status: Status
    reason: str = ""
    details: str = "{}"


@dataclass(frozen=True, slots=True)
class SummaryRow:
    """One model in one metric: value with its interval; `n` of `of` videos have a score.

    `judges` is the key of the score rows it comes from.
    """

    model: str
    metric: str
    metric_version: int
    judges: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    of: int


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """A model minus the baseline in one metric, over the `pairs` of videos that both have."""

    model: str
    baseline: str
    metric: str
    metric_version: int
    judges: str
    value: float | None
    low: float | None
    high: float | None
    pairs: int


def prompt_id(suite: str, text: str, auxiliary: Mapping[str, Any]) -> str:
    """Key of a prompt: 16 hexadecimal digits, independent of its place in the suite."""
    return content_key("prompt", suite, text, dict(auxiliary))


def video_id(prompt_id: str, fingerprint: str, sampler_key: str, seed: int) -> str:
    """Key of a video: prompt, model fingerprint, sampler settings and seed."""
    return content_key("video", prompt_id, fingerprint, sampler_key, int(seed))


def feature_key(content_hash: str, backbone_id: str, version: int, weights: str) -> str:
    """Key of features: video content, backbone, preprocessing version and weights' hash."""
    return content_key("feature", content_hash, backbone_id, int(version), weights)


def schema(row_type: "type[Row]") -> "pa.Schema":
    """The Arrow schema that matches a row dataclass; only `X | None` fields are nullable."""
    # Importing Arrow costs more than all of this module: the prompt commands never pay it.
    import pyarrow as pa  # noqa: PLC0415

    plain = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    hints = get_type_hints(row_type)
    columns = []
    for field in dataclasses.fields(row_type):
        hint, nullable = hints[field.name], False
        if get_origin(hint) is types.UnionType:
            hint = next(a for a in get_args(hint) if a is not types.NoneType)
            nullable = True
        if get_origin(hint) is Literal:
            hint = str
        kind = pa.list_(pa.string()) if get_origin(hint) is tuple else plain[hint]
        columns.append(pa.field(field.name, kind, nullable=nullable))
    return pa.schema(columns)


def from_dict(row_type: type[R], values: Mapping[str, Any]) -> R:
    """A row object from a dict as `Table.read` returns it; unknown keys are dropped."""
    kept = {f.name: values[f.name] for f in dataclasses.fields(row_type) if f.name in values}
    return row_type(**{k: tuple(v) if isinstance(v, list) else v for k, v in kept.items()})


def pack_text(value: Any) -> npt.NDArray[np.uint8]:
    """JSON-able value as a uint8 array of its UTF-8 JSON, so that it fits beside arrays.

    Raises:
        TypeError: The value is not JSON-able.
    """
    raw = json.dumps(value, ensure_ascii=True, sort_keys=True).encode()
    return np.frombuffer(raw, dtype=np.uint8).copy()


def unpack_text(array: npt.NDArray[np.uint8]) -> Any:
    """The value that `pack_text` packed.

    Raises:
        InputError: The array does not hold JSON.
    """
    try:
        return json.loads(np.ascontiguousarray(array, dtype=np.uint8).tobytes())
    except ValueError as error:
        raise InputError("packed text cannot be read", why=str(error)) from error

"""Rows, their schemas and keys, and packed text."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turbo_eval.core import records as r
from turbo_eval.core.errors import InputError

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(_JSON)
def test_packed_text_comes_back(value: Any) -> None:
    packed = r.pack_text(value)
    assert packed.dtype == np.uint8
    assert packed.ndim == 1
    assert r.unpack_text(packed) == value


def test_array_without_text_is_an_input_error() -> None:
    with pytest.raises(InputError):
        r.unpack_text(np.array([1, 2, 3], np.uint8))


@given(st.text(), st.lists(st.text()), st.dictionaries(st.text(), _JSON), st.integers(0, 10**6))
def test_prompt_comes_back_from_its_row(
    text: str, dimensions: list[str], facts: dict[str, Any], index: int
) -> None:
    prompt = r.Prompt("id", text, tuple(dimensions), facts, "suite", index)
    assert r.PromptRow.of(prompt).prompt() == prompt


def test_schema_follows_the_dataclass() -> None:
    schema = r.schema(r.ScoreRow)
    assert schema.field("value").type == pa.float64()
    assert schema.field("value").nullable
    assert not schema.field("metric").nullable
    assert schema.field("status").type == pa.string()
    assert r.schema(r.PromptRow).field("dimensions").type == pa.list_(pa.string())
    assert r.schema(r.VideoRow).field("seed").type == pa.int64()


def test_keys_tell_facts_apart_and_ignore_the_place() -> None:
    red, blue = {"color": {"color": "red"}}, {"color": {"color": "blue"}}
    assert r.prompt_id("mini", "a car", red) == r.prompt_id("mini", "a car", red)
    keys = {
        r.prompt_id("mini", "a car", red),
        r.prompt_id("mini", "a car", blue),
        r.prompt_id("mini", "a Car", red),
        r.prompt_id("vbench", "a car", red),
    }
    assert len(keys) == 4
    assert r.video_id("p", "f", "native:50:7.5", 1) != r.video_id("p", "f", "native:50:7.5", 2)
    assert r.feature_key("c", "b", 1, "w") != r.feature_key("c", "b", 2, "w")


def test_row_from_a_dict_drops_what_it_does_not_know() -> None:
    values = {"feature_key": "k", "video_id": "v", "content_hash": "c", "backbone": "b"}
    rest = {"version": 1, "path": "p", "seconds": 0.5, "status": "ok", "new": 1}
    assert r.from_dict(r.FeatureRow, {**values, **rest}).backbone == "b"

"""Content keys: stable across processes, different for different content."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turbo_eval.core.hashing import blake, blake_file, content_key, file_sha256

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)


def test_keys_never_change() -> None:
    # A changed key would make every finished run look unfinished.
    assert blake("a cat") == hashlib.blake2b(b"a cat", digest_size=8).hexdigest()
    assert content_key("video", "p", 3, {"b": 1, "a": None}) == blake(
        '["video","p",3,{"a":null,"b":1}]'
    )


@given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4))
def test_no_two_lists_of_parts_share_a_key(a: list[str], b: list[str]) -> None:
    assert (content_key(*a) == content_key(*b)) == (a == b)


@given(st.dictionaries(st.text(), _JSON))
def test_order_of_a_mapping_is_no_content(facts: dict[str, Any]) -> None:
    assert content_key(facts) == content_key(dict(reversed(facts.items())))


@given(st.text(st.characters()))
def test_any_text_has_a_key(text: str) -> None:
    assert len(blake(text)) == len(content_key(text)) == 16


def test_a_number_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        content_key(float("nan"))


@given(data=st.binary(max_size=3000))
def test_file_keys_are_those_of_the_bytes(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "hashed"
    path.write_bytes(data)
    assert blake_file(path) == blake(data)
    assert file_sha256(path) == hashlib.sha256(data).hexdigest()


def test_large_file_is_read_in_pieces(tmp_path: Path) -> None:
    data = bytes(range(256)) * 10_000
    (tmp_path / "large").write_bytes(data)
    assert blake_file(tmp_path / "large") == blake(data)

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turbo_eval.backbones.mini import words
from turbo_eval.core.errors import PrerequisiteError

KNOWN = ["a", "red", "star"]


def test_numbers_padding_and_unknown_words() -> None:
    found = words.encode(["A red, red STAR!", "a blue star", ""], KNOWN, 5)
    assert found.tolist() == [[2, 3, 3, 4, 0], [2, 1, 4, 0, 0], [1, 0, 0, 0, 0]]


@settings(deadline=None)
@given(st.lists(st.text(max_size=80), max_size=4), st.integers(1, 9))
def test_any_text_is_cut_to_length_and_has_a_word(texts: list[str], length: int) -> None:
    found = words.encode(texts, KNOWN, length)
    assert found.shape == (len(texts), length)
    assert (found[:, :1] != words.PAD).all()
    assert found.dtype == np.int64


def test_vocabulary_is_sorted_and_free_of_doubles() -> None:
    assert words.vocabulary(["a star", "A red star."]) == KNOWN


def test_the_list_survives_its_file_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    words.save(KNOWN, tmp_path)
    assert words.load(tmp_path) == tuple(KNOWN)
    (tmp_path / words.FILE).write_text('{"words": [1]}')
    with pytest.raises(PrerequisiteError, match="cannot be read"):
        words.load(tmp_path)
    with pytest.raises(PrerequisiteError, match="cannot be read"):
        words.load(tmp_path / "nowhere")


def test_another_list_than_the_networks_is_refused() -> None:
    words.check(KNOWN, words.checksum(KNOWN))
    with pytest.raises(PrerequisiteError, match="does not belong"):
        words.check(["star", "a", "red"], words.checksum(KNOWN))

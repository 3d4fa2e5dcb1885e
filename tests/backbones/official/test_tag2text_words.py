"""Word pieces: numbers and texts, and files that are no vocabulary."""

from pathlib import Path

import pytest

from turbo_eval.backbones.official.tag2text.wordpiece import WORDS, WordPieces, read_words
from turbo_eval.core.errors import PrerequisiteError

SPECIAL = {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]"}
MORE = ["play", "##ing", "dogs", ",", ".", "is", "n't", "'", "s", "'s", "##s"]


def _lines(count: int = WORDS) -> list[str]:
    lines = [SPECIAL.get(n, f"[unused{n}]") for n in range(count)]
    lines[200 : 200 + len(MORE)] = MORE
    return lines


def test_a_text_becomes_pieces_between_start_and_end() -> None:
    words = WordPieces(_lines(300))
    assert words.encode("Playing, dôgs!") == [101, 200, 201, 203, 202, 100, 102]
    assert words.encode("dogs " * 9, most=4) == [101, 202, 202, 102]


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (["play", "##ing", "dogs"], "playing dogs"),
        (["dogs", ",", "dogs", "."], "dogs, dogs."),
        (["dogs", "'s", "play"], "dogs's play"),
        (["is", "n't", "play"], "isn't play"),
        (["dogs", "'", "s"], "dogs's"),
        ([], ""),
    ],
)
def test_numbers_become_a_tidy_text(pieces: list[str], text: str) -> None:
    numbers = [200 + MORE.index(piece) for piece in pieces]
    assert WordPieces(_lines(300)).decode([101, *numbers, 102, 0, 0]) == text


def test_a_vocabulary_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(_lines()) + "\n", encoding="utf-8")
    assert read_words(path).words == tuple(_lines())


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (_lines(500), "500 lines instead of 30522"),
        ([*_lines()[:100], "unk", *_lines()[101:]], "line 101 is 'unk' instead of '[UNK]'"),
    ],
)
def test_another_vocabulary_is_refused(tmp_path: Path, lines: list[str], why: str) -> None:
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(PrerequisiteError) as error:
        read_words(path)
    assert why in str(error.value)


def test_a_missing_or_binary_vocabulary_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PrerequisiteError):
        read_words(tmp_path / "none.txt")
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PrerequisiteError, match="UTF-8"):
        read_words(tmp_path / "b.txt")

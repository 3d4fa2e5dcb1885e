"""Words of the mini world's text judges: a plain list of known words, all others are unknown."""

import json
import re
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from turbo_eval.backbones.mini import weights
from turbo_eval.core.errors import PrerequisiteError
from turbo_eval.core.store import write_json_atomic

PAD, UNKNOWN = 0, 1
FILE = "words.json"
_WORD = re.compile(r"[a-z]+")
_AGAIN = "install turbo-eval again, or train the judges with: turbo-train world judges"


def split(text: str) -> list[str]:
    """Lower-case words of `text`; digits, signs and other scripts separate words."""
    return _WORD.findall(text.lower())


def vocabulary(texts: Iterable[str]) -> list[str]:
    """The distinct words of `texts`, sorted: the same texts give the same list."""
    return sorted({word for text in texts for word in split(text)})


def checksum(words: Sequence[str]) -> int:
    """A number that changes with any change of the list (CRC-32); networks keep it."""
    return zlib.crc32("\n".join(words).encode())


def load(where: Path | None = None) -> tuple[str, ...]:
    """Read the list of known words that lies beside the weights.

    Args:
        where: folder of the weights; None for the shipped one.

    Raises:
        PrerequisiteError: the list is missing or damaged.
    """
    path = (where or weights.folder()) / FILE
    try:
        words = json.loads(path.read_text(encoding="utf-8"))["words"]
        if not all(isinstance(word, str) for word in words):
            raise TypeError("an entry is no word")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PrerequisiteError(
            f"the word list {path} cannot be read", why=str(error), fix=_AGAIN
        ) from error
    return tuple(words)


def save(words: Sequence[str], where: Path | None = None) -> Path:
    """Write the list of known words beside the weights and return its file."""
    path = (where or weights.folder()) / FILE
    write_json_atomic(path, {"format": 1, "words": list(words)})
    return path


def encode(texts: Sequence[str], words: Sequence[str], length: int) -> NDArray[np.int64]:
    """Numbers of the words of each text.

    Args:
        texts: any strings; one without words becomes a single unknown word, so it has features.
        words: the vocabulary; word k has the number k + 2.
        length: columns of the result; longer texts are cut, shorter ones padded with 0.

    Returns:
        int64 [N, length], 0 for padding, 1 for an unknown word.
    """
    number = {word: k + 2 for k, word in enumerate(words)}
    result = np.full((len(texts), length), PAD, np.int64)
    for row, text in enumerate(texts):
        found = [number.get(word, UNKNOWN) for word in split(text)[:length]] or [UNKNOWN]
        result[row, : len(found)] = found
    return result


def check(words: Sequence[str], kept: int) -> None:
    """Refuse a word list that is not the one a network was trained with.

    Raises:
        PrerequisiteError: the checksums differ.
    """
    if checksum(words) != kept:
        raise PrerequisiteError(
            f"the word list {FILE} does not belong to the weights of the text judges", fix=_AGAIN
        )

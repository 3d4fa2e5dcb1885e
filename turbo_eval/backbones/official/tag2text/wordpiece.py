"""BERT's word pieces, read from a vocabulary file: text to numbers and back.

Source: Devlin et al. 2018 (arXiv 1810.04805). Decoding tidies up white space before punctuation
and English contractions as the transformers library does by default up to its version 4.44.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from turbo_eval.core.errors import PrerequisiteError, from_os_error

PAD: Final = 0
UNKNOWN: Final = 100
START: Final = 101
END: Final = 102
MASK: Final = 103
SPECIAL: Final = (PAD, UNKNOWN, START, END, MASK)
WORDS: Final = 30522
"""Lines of the vocabulary `bert-base-uncased`."""
_AT = {PAD: "[PAD]", UNKNOWN: "[UNK]", START: "[CLS]", END: "[SEP]", MASK: "[MASK]"}
_TIDY = (
    (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"),
    (" n't", "n't"), (" 'm", "'m"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
)  # fmt: skip


class WordPieces:
    """The vocabulary of an uncased BERT.

    Args:
        words: One piece per number; pieces inside a word begin with "##".
    """

    def __init__(self, words: Sequence[str]) -> None:
        self.words = tuple(words)

    @cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer, normalizers, pre_tokenizers
        from tokenizers.models import WordPiece

        vocabulary = {word: number for number, word in enumerate(self.words)}
        tokenizer = Tokenizer(WordPiece(vocabulary, unk_token=_AT[UNKNOWN]))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        return tokenizer

    def encode(self, text: str, *, most: int | None = None) -> list[int]:
        """Numbers of a text between START and END.

        Args:
            text: Any text; it is lower-cased and stripped of accents.
            most: Cut the text so that no more numbers than this come out, both ends included.
        """
        pieces: list[int] = self._tokenizer.encode(text).ids
        return [START, *(pieces if most is None else pieces[: most - 2]), END]

    def decode(self, numbers: Sequence[int], *, special: Sequence[int] = SPECIAL) -> str:
        """The text of numbers.

        Args:
            numbers: Below the length of the vocabulary, but for those in `special`.
            special: Numbers to leave out.
        """
        pieces = [self.words[number] for number in numbers if number not in special]
        text = " ".join(pieces).replace(" ##", "").strip()
        for loose, tight in _TIDY:
            text = text.replace(loose, tight)
        return text


def read_words(path: Path) -> WordPieces:
    """Read `vocab.txt` of bert-base-uncased.

    Args:
        path: The file, one piece a line.

    Raises:
        PrerequisiteError: It is missing, unreadable, or another vocabulary.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise _wrong(path, "it is not text in UTF-8") from error
    except OSError as error:
        raise from_os_error(error, path) from error
    if len(lines) != WORDS:
        raise _wrong(path, f"it has {len(lines)} lines instead of {WORDS}")
    for number, word in _AT.items():
        if lines[number] != word:
            raise _wrong(path, f"line {number + 1} is {lines[number][:20]!r} instead of {word!r}")
    return WordPieces(lines)


def _wrong(path: Path, why: str) -> PrerequisiteError:
    return PrerequisiteError(
        f"{path} is not the vocabulary of bert-base-uncased",
        why=why,
        fix="copy vocab.txt of bert-base-uncased there",
    )

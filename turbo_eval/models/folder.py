"""Videos that somebody else made: a folder with VBench's file names, or a CSV list.

VBench names a file `{prompt}-{i}.mp4`, i counting a prompt's videos from 0 (its README, "Evaluate
your own videos"). A list has the columns path, prompt and optionally index. Nothing is dropped in
silence: what matches no prompt, and what is missing, is reported.
"""

import csv
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from turbo_eval.core.errors import InputError
from turbo_eval.core.records import Prompt
from turbo_eval.models.protocol import ModelInfo

PREFIX = "folder:"
SUFFIXES = frozenset({".mp4", ".gif", ".mov", ".webm"})
_INDEXED = re.compile(r"^(?P<text>.*)-(?P<index>\d+)$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Found:
    """An existing video that belongs to a prompt; `path` is absolute."""

    prompt: Prompt
    index: int
    path: Path


@dataclass(frozen=True, slots=True)
class Match:
    """How the files of a folder and the prompts of a suite fit together.

    Attributes:
        found: Videos in the order of the prompts, then of their index.
        missing: (prompt, index) without a file.
        stray: Files that belong to no prompt of the suite, in order of their names.
        surplus: Files of a known prompt that are not needed: an index beyond the wanted number, or
            a second file for the same index.
    """

    found: tuple[Found, ...]
    missing: tuple[tuple[Prompt, int], ...]
    stray: tuple[Path, ...]
    surplus: tuple[Path, ...]

    def notes(self) -> list[str]:
        """Say what does not fit, a line each; empty when everything does."""
        lines = []
        without = list(dict.fromkeys(prompt.text for prompt, _ in self.missing))
        if self.missing:
            lines.append(
                f"{len(self.missing)} videos are missing ({len(without)} prompts): "
                + _shorten(map(repr, without))
            )
        if self.stray:
            lines.append(
                f"{len(self.stray)} files match no prompt of the suite: "
                + _shorten(path.name for path in self.stray)
            )
        if self.surplus:
            lines.append(
                f"{len(self.surplus)} files are more than the run asks for: "
                + _shorten(path.name for path in self.surplus)
            )
        return lines


@dataclass(frozen=True, slots=True)
class FolderVideos:
    """Existing videos; use `open`.

    Attributes:
        name: What the user typed, with `folder:`.
        entries: (file, prompt text or file stem, index or None) for every file.
        listed: Whether the entries come from a list, whose texts are exact.
    """

    name: str
    entries: tuple[tuple[Path, str, int | None], ...]
    listed: bool

    @classmethod
    def open(cls, name: str) -> "FolderVideos":
        """Read the folder or list behind `folder:PATH`.

        Raises:
            InputError: It does not exist, cannot be read, holds no video, or the list has no
                columns path and prompt.
        """
        path = Path(name.removeprefix(PREFIX)).expanduser()
        try:
            if path.is_dir():
                files = sorted(_files(path))
                if not any(file.suffix.lower() in SUFFIXES for file in files):
                    raise InputError(
                        f"folder {path} holds no video",
                        why=f"none of its {len(files)} files ends in {', '.join(sorted(SUFFIXES))}",
                        fix="name the folder that the clips lie in",
                    )
                return cls(name, tuple((file.resolve(), file.stem, None) for file in files), False)
            if path.is_file():
                return cls(name, tuple(_read_list(path)), True)
        except UnicodeDecodeError as error:
            raise InputError(
                f"list {path} cannot be read",
                why=f"byte 0x{error.object[error.start]:02x} is not UTF-8",
                fix="save it as UTF-8",
            ) from error
        except (OSError, csv.Error) as error:
            raise InputError(
                f"{path} cannot be read", why=str(error), fix="check the path and its permissions"
            ) from error
        raise InputError(
            f"{path} does not exist", fix="name a folder of videos, or a CSV with path,prompt"
        )

    @property
    def info(self) -> ModelInfo:
        """Facts; sizes are 0 because they differ from file to file."""
        return ModelInfo(
            name=self.name, width=0, height=0, frames=0, fps=0, steps=0, guidance=0, kind="folder"
        )

    def match(self, prompts: Sequence[Prompt], seeds: int) -> Match:
        """Join files and prompts.

        A text is compared exactly first, then without case, repeated blanks and the characters
        that file systems refuse, unless two prompts would then look alike.

        Args:
            prompts: The prompts of the run.
            seeds: Videos wanted per prompt, 1 or more.
        """
        exact = {prompt.text: prompt for prompt in prompts}
        loose: dict[str, Prompt | None] = {}
        for prompt in prompts:
            key = _loose(prompt.text)
            loose[key] = None if key in loose else prompt
        taken: dict[tuple[str, int], Found] = {}
        stray: list[Path] = []
        surplus: list[Path] = []
        counters: dict[str, int] = {}
        for path, text, index in self.entries:
            hit = self._assign(path, text, index, exact, loose)
            if hit is None:
                stray.append(path)
                continue
            prompt, number = hit
            if number is None:
                number = counters.get(prompt.id, 0)
                counters[prompt.id] = number + 1
            if number >= seeds or (prompt.id, number) in taken:
                surplus.append(path)
            else:
                taken[prompt.id, number] = Found(prompt, number, path)
        wanted = [(prompt, index) for prompt in prompts for index in range(seeds)]
        return Match(
            tuple(taken[p.id, i] for p, i in wanted if (p.id, i) in taken),
            tuple((p, i) for p, i in wanted if (p.id, i) not in taken),
            tuple(stray),
            tuple(surplus),
        )

    def _assign(
        self,
        path: Path,
        text: str,
        index: int | None,
        exact: dict[str, Prompt],
        loose: dict[str, Prompt | None],
    ) -> tuple[Prompt, int | None] | None:
        if not self.listed and path.suffix.lower() not in SUFFIXES:
            return None
        candidates: list[tuple[str, int | None]] = [(text, index)]
        if not self.listed:
            parts = _INDEXED.match(text)
            # `a cat-3` is the prompt "a cat" with index 3 before it is a prompt ending in "-3".
            whole = (text, 0)
            split = [(parts["text"], int(parts["index"]))] if parts else []
            candidates = [*split, whole]
        for candidate, number in candidates:
            prompt = exact.get(candidate) or loose.get(_loose(candidate))
            if prompt is not None:
                return prompt, number
        return None


def _files(folder: Path) -> Iterator[Path]:
    # One level of subfolders as well: VBench users keep a folder per dimension.
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from (p for p in path.iterdir() if p.is_file() and not p.name.startswith("."))
        else:
            yield path


def _read_list(path: Path) -> Iterator[tuple[Path, str, int | None]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        columns = reader.fieldnames or []
        if not {"path", "prompt"} <= set(columns):
            raise InputError(
                f"list {path} lacks a column",
                why=f"it has {', '.join(columns) or 'none'}",
                fix="give it the header path,prompt or path,prompt,index",
            )
        for line, row in enumerate(reader, start=2):
            where, text, index = row["path"], row["prompt"], row.get("index")
            if not where or text is None:
                raise InputError(
                    f"line {line} of {path} is incomplete",
                    why="path or prompt is empty",
                    fix="fill both columns",
                )
            if index and not index.strip().isdecimal():
                raise InputError(
                    f"line {line} of {path} has the index {index!r}",
                    why="an index counts a prompt's videos: 0, 1, 2, ...",
                    fix="correct it, or leave the column empty",
                )
            if "\0" in where:
                raise InputError(
                    f"line {line} of {path} names no file",
                    why="its path holds the character U+0000",
                    fix="correct it",
                )
            # Joining keeps an absolute path as it is.
            yield (path.parent / where).resolve(), text, int(index) if index else None


def _loose(text: str) -> str:
    plain = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(re.sub(r"[\x00-\x1f/\\:*?\"<>|_]", " ", plain).split()).rstrip(". ")


def _shorten(names: Iterable[str], most: int = 5) -> str:
    shown = list(names)
    rest = len(shown) - most
    return ", ".join(shown[:most]) + (f" and {rest} more" if rest > 0 else "")

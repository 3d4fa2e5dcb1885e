"""Videos that somebody else made: a folder with VBench's file names, or a CSV list.

VBench names a file `{prompt}-{i}.mp4`, i counting a prompt's videos from 0 (its README, "Evaluate
your own videos"). A list has the columns path, prompt and optionally index. Nothing is dropped in
silence: what matches no prompt, what is there twice, and what is missing, is reported.
"""

import csv
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from turbo_eval.core.errors import InputError
from turbo_eval.core.records import Prompt
from turbo_eval.models.folder_match import Found, Match, clashes
from turbo_eval.models.protocol import ModelInfo
from turbo_eval.prompts.text import VIDEO_SUFFIXES as SUFFIXES

__all__ = ["PREFIX", "SUFFIXES", "FolderVideos", "Found", "Match"]

PREFIX = "folder:"
_INDEXED = re.compile(r"^(?P<text>.*)-(?P<index>\d+)$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class FolderVideos:
    """Existing videos; use `open`.

    Attributes:
        name: What the user typed, with `folder:`.
        entries: (file, prompt text or file stem, index or None) for every file.
        listed: Whether the entries come from a list, whose texts are exact.
        texts: How many entries, from the first on, have the text of a list (see `named`).
        others: Texts of prompts that the suite has and the run does not ask for (see `beside`).
    """

    name: str
    entries: tuple[tuple[Path, str, int | None], ...]
    listed: bool
    texts: int = 0
    others: frozenset[str] = frozenset()

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
                return cls(name, tuple((_whole(file), file.stem, None) for file in files), False)
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

    def named(self, files: Mapping[str, str]) -> "FolderVideos":
        """These videos with the prompts that a list gives them, whatever their names say.

        Args:
            files: File name, or path below the folder -> prompt text. Files that it does not
                name keep what their name says.
        """
        keys = {_file_key(name): text for name, text in files.items()}
        root = _whole(Path(self.name.removeprefix(PREFIX)).expanduser())
        given: list[tuple[Path, str, int | None]] = []
        others: list[tuple[Path, str, int | None]] = []
        for entry in self.entries:
            path = entry[0]
            below = path.relative_to(root) if path.is_relative_to(root) else path
            text = keys.get(_file_key(str(below))) or keys.get(_file_key(path.name))
            # The index counts the files of a text, in the order of their names.
            others.append(entry) if text is None else given.append((path, text, None))
        return replace(self, entries=(*given, *others), texts=len(given))

    def beside(self, texts: Iterable[str]) -> "FolderVideos":
        """These videos, some of which may be of prompts that a run does not ask for.

        Args:
            texts: The suite's other prompts: their files are no strays, and none of them is taken
                for a prompt that merely looks like theirs.
        """
        return replace(self, others=frozenset(texts))

    def match(
        self, prompts: Sequence[Prompt], seeds: int | Mapping[str, int], *, fewer: bool = False
    ) -> Match:
        """Join files and prompts.

        A text is compared exactly first, then without case, repeated blanks and the characters
        that file systems refuse, unless two prompts would then look alike. A file whose name is
        exact goes before one that is merely like it.

        Args:
            prompts: The prompts of the run.
            seeds: Videos wanted per prompt, 1 or more; or prompt id -> number.
            fewer: Whether a prompt may have fewer; then only one without any is missing one.
        """
        exact = {prompt.text: prompt for prompt in prompts}
        loose: dict[str, Prompt | None] = {}
        for prompt in prompts:
            key = _loose(prompt.text)
            loose[key] = None if key in loose else prompt
        most = dict.fromkeys((p.id for p in prompts), seeds) if isinstance(seeds, int) else seeds
        stray: list[Path] = []
        elsewhere: list[Path] = []
        others = {_loose(text) for text in self.others}
        surplus: list[Path] = []
        duplicates: list[tuple[Path, Path]] = []
        taken: dict[tuple[str, int], Found] = {}
        counters: dict[str, int] = {}
        hits: list[tuple[bool, Path, Prompt, int | None]] = []
        for position, (path, text, index) in enumerate(self.entries):
            hit = self._assign(position, path, text, index, exact, loose)
            if hit is None:
                names = [name for name, _, _ in self._candidates(position, path, text, index)]
                known = any(_loose(name) in others for name in names)
                (elsewhere if known else stray).append(path)
            else:
                hits.append((hit[2], path, hit[0], hit[1]))
        for _, path, prompt, index in sorted(hits, key=self._rank):
            number = index
            if number is None:
                number = counters.get(prompt.id, 0)
                counters[prompt.id] = number + 1
            before = taken.get((prompt.id, number))
            if number >= most.get(prompt.id, 0):
                surplus.append(path)
            elif before is not None:
                duplicates.append((before.path, path))
            else:
                taken[prompt.id, number] = Found(prompt, number, path)
        counts = Counter(key for key, _ in taken)
        wanted = [
            (p, i)
            for p in prompts
            for i in range(1 if fewer and not counts[p.id] else 0 if fewer else most.get(p.id, 0))
        ]
        fullest = max(counts.values(), default=0)
        order = {prompt.id: position for position, prompt in enumerate(prompts)}
        return Match(
            tuple(sorted(taken.values(), key=lambda found: (order[found.prompt.id], found.index))),
            tuple((p, i) for p, i in wanted if (p.id, i) not in taken),
            tuple(stray),
            tuple(sorted(surplus)),
            tuple(duplicates),
            clashes(prompts, set(counts)),
            tuple(p.text for p in prompts if fewer and 0 < counts[p.id] < fullest),
            tuple(elsewhere),
        )

    def _rank(self, hit: tuple[bool, Path, Prompt, int | None]) -> tuple[bool, int, bool]:
        """What is taken first where two files stand for one video; without an index, the order."""
        exact, path, _, index = hit
        if index is None or self.listed:
            return not exact, 0, False
        # VBench reads MP4 files in the folder itself.
        return not exact, len(path.parts), path.suffix.lower() != ".mp4"

    def _assign(
        self,
        position: int,
        path: Path,
        text: str,
        index: int | None,
        exact: dict[str, Prompt],
        loose: dict[str, Prompt | None],
    ) -> tuple[Prompt, int | None, bool] | None:
        """The prompt of a file, its index if the name says one, and whether the text is exact."""
        for candidate, given, plain in self._candidates(position, path, text, index):
            if (prompt := exact.get(candidate)) is not None:
                return prompt, given, plain
            if candidate in self.others:
                return None
            if (prompt := loose.get(_loose(candidate))) is not None:
                return prompt, given, False
        return None

    def _candidates(
        self, position: int, path: Path, text: str, index: int | None
    ) -> list[tuple[str, int | None, bool]]:
        """What a file may be: text, index, and whether the name says both as VBench writes them."""
        if not self.listed and path.suffix.lower() not in SUFFIXES:
            return []
        if self.listed or position < self.texts:
            return [(text, index, True)]
        candidates: list[tuple[str, int | None, bool]] = [(text, 0, True)]
        if parts := _INDEXED.match(text):
            number = int(parts["index"])
            # `a cat-3` is the prompt "a cat" with index 3 before it is a prompt ending in "-3", and
            # `a cat-01` is merely like `a cat-1`.
            candidates.insert(0, (parts["text"], number, parts["index"] == str(number)))
        return candidates


def _files(folder: Path) -> Iterator[Path]:
    # One level of subfolders as well: VBench users keep a folder per dimension.
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if path.is_dir():
            # Folders below are named among the strays, since nothing looks into them.
            yield from (p for p in path.iterdir() if not p.name.startswith("."))
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
            yield _whole(path.parent / where), text, int(index) if index else None


def _whole(path: Path) -> Path:
    """The absolute path; a link keeps its own name, which says what the video is."""
    return path.absolute()


def _file_key(name: str) -> str:
    return unicodedata.normalize("NFC", name.replace("\\", "/").removeprefix("./"))


def _loose(text: str) -> str:
    plain = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(re.sub(r"[\x00-\x1f/\\:*?\"<>|_]", " ", plain).split()).rstrip(". ")

"""How the files of a folder and the prompts of a suite fit together, and what to say of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from turbo_eval.core.records import Prompt


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
        surplus: Files of a known prompt whose index lies beyond the wanted number.
        duplicates: (file that is taken, another file for the same prompt and index).
        clashes: Prompts that differ in capitals only and of which just some have a file.
        uneven: Texts of prompts with fewer videos than others, where that is allowed.
        elsewhere: Files of prompts that the suite has and the run does not ask for.
    """

    found: tuple[Found, ...]
    missing: tuple[tuple[Prompt, int], ...]
    stray: tuple[Path, ...]
    surplus: tuple[Path, ...]
    duplicates: tuple[tuple[Path, Path], ...] = ()
    clashes: tuple[tuple[str, ...], ...] = ()
    uneven: tuple[str, ...] = ()
    elsewhere: tuple[Path, ...] = ()

    def notes(self) -> list[str]:
        """Say what does not fit, a line each; empty when everything does."""
        lines = []
        texts = list(dict.fromkeys(prompt.text for prompt, _ in self.missing))
        if self.missing:
            lines.append(
                f"{len(self.missing)} videos are missing ({len(texts)} prompts): "
                + _shorten(map(repr, texts))
            )
        if self.uneven:
            lines.append(
                f"{len(self.uneven)} prompts have fewer videos than others: "
                + _shorten(map(repr, self.uneven))
            )
        if self.stray:
            lines.append(
                f"{len(self.stray)} files match none of the prompts: "
                + _shorten(path.name for path in self.stray)
            )
        if self.elsewhere:
            lines.append(
                f"{len(self.elsewhere)} files are of prompts of the suite that are not asked for: "
                + _shorten(path.name for path in self.elsewhere)
            )
        if self.surplus:
            lines.append(
                f"{len(self.surplus)} files are more than the run asks for: "
                + _shorten(path.name for path in self.surplus)
            )
        if self.duplicates:
            lines.append(
                f"{len(self.duplicates)} files stand for a video that another file gives: "
                + _shorten(told_apart(kept, extra) for kept, extra in self.duplicates)
            )
        lines += [
            f"the prompts {' and '.join(map(repr, texts))} differ in capitals only, and not all "
            "of them have files: where file names ignore case, one overwrote the other"
            for texts in self.clashes
        ]
        return lines


def told_apart(kept: Path, extra: Path) -> str:
    """Two files for one video, with their folders where the names alone do not differ."""
    if kept.parent == extra.parent:
        return f"{extra.name} (taken: {kept.name})"
    return f"{extra.parent.name}/{extra.name} (taken: {kept.parent.name}/{kept.name})"


def clashes(prompts: Iterable[Prompt], served: set[str]) -> tuple[tuple[str, ...], ...]:
    """Texts that differ in capitals only and of which just some have a file.

    Args:
        prompts: Of a suite.
        served: Ids of the prompts that have a file.
    """
    groups: dict[str, list[Prompt]] = {}
    for prompt in prompts:
        groups.setdefault(prompt.text.casefold(), []).append(prompt)
    return tuple(
        tuple(prompt.text for prompt in group)
        for group in groups.values()
        if len(group) > 1 and 0 < len({p.id for p in group} & served) < len(group)
    )


def _shorten(names: Iterable[str], most: int = 5) -> str:
    shown = list(names)
    rest = len(shown) - most
    return ", ".join(shown[:most]) + (f" and {rest} more" if rest > 0 else "")

"""The suite: an ordered set of prompts with its source."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from turbo_eval.core.errors import UsageError, unknown
from turbo_eval.core.records import Prompt
from turbo_eval.prompts.dimensions import dimension, from_user, ordered
from turbo_eval.prompts.sample import stratified
from turbo_eval.prompts.text import shown


@dataclass(frozen=True, slots=True)
class Suite:
    """An ordered set of prompts with distinct ids.

    Attributes:
        name: What a user types to get it.
        prompts: In the order of the source; `Prompt.index` is the position in the whole suite.
        source: Where the texts come from.
        licence: Their licence, or what is known of it.
        checksum: SHA-256 of the file that holds the texts.
        notes: What a user should be told, a line each: joined duplicates, missing facts, ...
        info: Further facts that can be written as JSON: title, file, selection, ...
    """

    name: str
    prompts: tuple[Prompt, ...]
    source: str
    licence: str
    checksum: str
    notes: tuple[str, ...] = ()
    info: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.prompts)

    def __iter__(self) -> Iterator[Prompt]:
        return iter(self.prompts)

    @property
    def dimensions(self) -> tuple[str, ...]:
        """Ids of the dimensions that the prompts serve, in VBench's order."""
        return ordered(name for prompt in self.prompts for name in prompt.dimensions)

    def counts(self) -> dict[str, int]:
        """Return how many prompts serve each dimension."""
        return {
            name: sum(name in prompt.dimensions for prompt in self.prompts)
            for name in self.dimensions
        }

    def select(
        self,
        dimensions: Sequence[str] | str | None = None,
        ids: Sequence[str] | str | None = None,
        limit: int | None = None,
        seed: int = 0,
    ) -> "Suite":
        """Return a smaller suite; the prompts themselves, with their ids, stay as they are.

        A prompt keeps all its dimensions, also those not selected: a row about it must not depend
        on the selection. `info["selection"]` of the result says what was asked for.

        Args:
            dimensions: Keep prompts that serve at least one of these. `None` keeps all.
            ids: Keep prompts that match at least one of these: a prompt id, EvalCrafter's number
                (``0042``), or a pattern with ``*`` or ``?`` compared with id and text.
            limit: Most prompts to keep: a stratified sample in which every selected dimension stays
                served. When `limit` is too small for that, a note names what is not served.
            seed: Chooses the sample. The sample for a limit is part of the one for a larger limit.

        Raises:
            UsageError: For an unknown dimension or id, a limit below 1, or when nothing is left.
        """
        prompts = self.prompts
        wanted = self.dimensions
        notes: tuple[str, ...] = ()
        if dimensions is not None:
            asked = [dimensions] if isinstance(dimensions, str) else dimensions
            wanted = ordered(dimension(name) for name in asked)
            prompts = tuple(p for p in prompts if not set(wanted).isdisjoint(p.dimensions))
            absent = [name for name in wanted if name not in self.dimensions]
            if absent:
                needed = "; ".join(map(from_user, absent))
                if not prompts:
                    raise UsageError(
                        f"no prompt of suite {self.name} is left",
                        why=f"it serves {', '.join(self.dimensions) or 'no dimension'}",
                        fix=f"choose other --dimensions; among prompts of your own, {needed}",
                    )
                notes += (f"suite {self.name} has no prompt for {', '.join(absent)}: {needed}",)
        if ids is not None:
            prompts = _matching(prompts, [ids] if isinstance(ids, str) else ids)
        if not prompts:
            raise UsageError(
                f"no prompt of suite {self.name} is left",
                why=f"it serves {', '.join(self.dimensions) or 'no dimension'}",
                fix=f"see `turbo-eval prompts show {self.name}`",
            )
        if limit is not None:
            if limit < 1:
                raise UsageError(f"limit {limit}", why="it must be at least 1", fix="--limit 16")
            before = {name for prompt in prompts for name in prompt.dimensions}
            chosen = stratified(prompts, limit, dimensions=wanted, seed=seed)
            prompts = tuple(prompts[i] for i in chosen)
            after = {name for prompt in prompts for name in prompt.dimensions}
            lost = [name for name in wanted if name in before - after]
            if lost:
                notes += (f"limit {limit} is too small to serve {', '.join(lost)}",)
        selection = {
            "dimensions": list(wanted) if dimensions is not None else None,
            "ids": None if ids is None else [ids] if isinstance(ids, str) else list(ids),
            "limit": limit,
            "seed": seed,
            "of": len(self.prompts),
        }
        return replace(
            self,
            prompts=prompts,
            notes=(*self.notes, *notes),
            info={**self.info, "selection": selection},
        )


def _matching(prompts: Sequence[Prompt], patterns: Sequence[str]) -> tuple[Prompt, ...]:
    keep: set[str] = set()
    for pattern in patterns:
        hits = {prompt.id for prompt in prompts if _matches(prompt, pattern)}
        if not hits:
            raise unknown("prompt id or pattern", shown(pattern), [p.id for p in prompts])
        keep |= hits
    return tuple(prompt for prompt in prompts if prompt.id in keep)


def _matches(prompt: Prompt, pattern: str) -> bool:
    if pattern in (prompt.id, prompt.text):
        return True
    number = prompt.auxiliary.get("evalcrafter", {})
    if isinstance(number, Mapping) and number.get("id") == pattern:
        return True
    globbed = "*" in pattern or "?" in pattern
    return globbed and (fnmatchcase(prompt.id, pattern) or fnmatchcase(prompt.text, pattern))

"""From the entries of a file to the prompts of a suite; one prompt for each distinct text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from turbo_eval.core.errors import InputError
from turbo_eval.core.records import Prompt, prompt_id
from turbo_eval.prompts.text import shown

_SHOWN_MERGES = 3


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a prompt file, checked.

    Attributes:
        text: The prompt.
        dimensions: Ids of the dimensions it serves.
        auxiliary: Facts keyed by dimension, VBench's form.
        where: File and line, for messages.
    """

    text: str
    dimensions: tuple[str, ...]
    auxiliary: Mapping[str, Any]
    where: str


def merge(entries: Sequence[Entry]) -> tuple[list[Entry], list[str]]:
    """Join entries with the same text: dimensions and facts are united.

    Texts are compared exactly, so two that differ in case stay two prompts.

    Args:
        entries: In file order.

    Returns:
        The distinct entries in the order of their first appearance, and one line for each join.

    Raises:
        InputError: When two entries give one text different facts for one dimension.
    """
    found: dict[str, Entry] = {}
    joins = []
    for entry in entries:
        first = found.get(entry.text)
        if first is None:
            found[entry.text] = entry
            continue
        for key in first.auxiliary.keys() & entry.auxiliary.keys():
            if first.auxiliary[key] != entry.auxiliary[key]:
                raise InputError(
                    entry.where,
                    why=f"the prompt stands already at {first.where} with other facts "
                    f"for {shown(key)}",
                    fix="keep one of the two, or change a text",
                )
        found[entry.text] = Entry(
            text=entry.text,
            dimensions=tuple(dict.fromkeys((*first.dimensions, *entry.dimensions))),
            auxiliary={**first.auxiliary, **entry.auxiliary},
            where=first.where,
        )
        joins.append(f"{entry.where} repeats {first.where}")
    return list(found.values()), joins


def prompts_from(entries: Sequence[Entry], suite: str) -> tuple[Prompt, ...]:
    """Number the entries and give each its content id.

    Args:
        entries: Distinct entries, in order.
        suite: Name space of the ids.
    """
    return tuple(
        Prompt(
            id=prompt_id(suite, entry.text, entry.auxiliary),
            text=entry.text,
            dimensions=entry.dimensions,
            auxiliary=entry.auxiliary,
            suite=suite,
            index=index,
        )
        for index, entry in enumerate(entries)
    )


def merge_note(joins: Sequence[str]) -> tuple[str, ...]:
    """Say in one line which entries were joined; nothing when none were."""
    if not joins:
        return ()
    listed = "; ".join(joins[:_SHOWN_MERGES])
    more = f"; and {len(joins) - _SHOWN_MERGES} more" if len(joins) > _SHOWN_MERGES else ""
    word = "entry repeats" if len(joins) == 1 else "entries repeat"
    return (f"{len(joins)} {word} an earlier text and joined it ({listed}{more})",)

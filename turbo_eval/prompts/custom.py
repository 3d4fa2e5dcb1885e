"""Suites from a user's own file or folder of videos: `custom:FILE`, `custom:FOLDER`."""

import re
from pathlib import Path
from typing import Any

from turbo_eval.core.errors import InputError
from turbo_eval.core.records import Prompt
from turbo_eval.prompts.dimensions import FREE_DIMENSIONS, from_user, missing_facts
from turbo_eval.prompts.entries import Entry, merge, merge_note, prompts_from
from turbo_eval.prompts.formats import Parsed, parse
from turbo_eval.prompts.manifest import checksum
from turbo_eval.prompts.suite import Suite
from turbo_eval.prompts.text import MAX_CHARACTERS, VIDEO_SUFFIXES, clean, shown


def load_custom(path: Path, *, allow_long: bool = False) -> Suite:
    """Read a suite from a txt, csv, json or jsonl file (`formats.parse` has the forms).

    Duplicate texts are joined; `notes` says which. Prompt ids depend on texts and facts alone, not
    on the file's name, so a renamed or reordered file reuses finished videos.

    Args:
        path: The file; or a folder of videos, whose names are then the prompts.
        allow_long: Accept prompts above `text.MAX_CHARACTERS` characters.

    Returns:
        Suite ``custom``. For the form ``{video file: prompt}``, ``info["files"]`` maps each file
        name to its prompt id.

    Raises:
        InputError: Names file and line of what cannot be read or is no prompt.
    """
    if path.is_dir():
        return load_names(path, allow_long=allow_long)
    parsed = parse(path, allow_long=allow_long)
    entries, joins = merge(parsed.entries)
    prompts = prompts_from(entries, "custom")
    info: dict[str, Any] = {"title": f"Prompts of {shown(path.name)}", "file": shown(path, 300)}
    if parsed.files:
        ids = {prompt.text: prompt.id for prompt in prompts}
        info["files"] = {file: ids[text] for file, text in parsed.files.items()}
    return Suite(
        name="custom",
        prompts=prompts,
        source=f"the user's file {shown(path.name)}",
        licence="the user's own",
        checksum=checksum(parsed.data),
        notes=(*merge_note(joins), *entry_notes(parsed, entries), *case_notes(prompts)),
        info=info,
    )


def load_names(folder: Path, *, allow_long: bool = False) -> Suite:
    """Take the prompts from the names of videos, as VBench does with videos of one's own.

    `a cat-0.mp4` and `a cat.mp4` are of the prompt "a cat". The prompts serve the dimensions that
    need nothing but the video and its text; the others need a file (`dimensions.from_user`).

    Args:
        folder: Holds the videos, itself or one folder down.
        allow_long: As in `load_custom`.

    Returns:
        Suite ``custom``.

    Raises:
        InputError: There is no video, or a name is no prompt.
    """
    try:
        # Where videos are looked for, too: here and one folder down.
        inside = [p for p in folder.iterdir() if not p.name.startswith(".")]
        inside += [p for below in inside if below.is_dir() for p in below.iterdir()]
        names = sorted(p.name for p in inside if p.is_file() and not p.name.startswith("."))
    except OSError as error:
        raise InputError(
            f"cannot read {shown(folder, 300)}", why=str(error), fix="check its permissions"
        ) from error
    texts: dict[str, Entry] = {}
    for name in names:
        if Path(name).suffix.lower() in VIDEO_SUFFIXES:
            stem = re.sub(r"-\d+$", "", Path(name).stem)
            text = clean(stem, shown(name), allow_long=allow_long)
            texts.setdefault(text, Entry(text, FREE_DIMENSIONS, {}, shown(name)))
    if not texts:
        raise InputError(
            f"folder {shown(folder, 300)} holds no video to take prompts from",
            why=f"none of its {len(names)} files ends in {', '.join(sorted(VIDEO_SUFFIXES))}",
            fix="name the folder that the clips lie in, or a file of prompts",
        )
    prompts = prompts_from(list(texts.values()), "custom")
    return Suite(
        name="custom",
        prompts=prompts,
        source=f"the names of the videos in {shown(folder.name)}",
        licence="the user's own",
        checksum=checksum("\n".join(texts).encode("utf-8", "surrogatepass")),
        notes=case_notes(prompts),
        info={"title": f"Names of the videos in {shown(folder.name)}", "file": shown(folder, 300)},
    )


def entry_notes(parsed: Parsed, entries: list[Entry]) -> tuple[str, ...]:
    """Say what in a file is allowed but deserves a look: long prompts, missing facts, keys."""
    notes = []
    long = [entry for entry in entries if len(entry.text) > MAX_CHARACTERS]
    if long:
        longest = max(long, key=lambda entry: len(entry.text))
        notes.append(
            f"{len(long)} prompts have more than {MAX_CHARACTERS} characters, the longest "
            f"{len(longest.text)} ({longest.where}); models cut them"
        )
    lacking: dict[str, list[str]] = {}
    for entry in entries:
        for name in entry.dimensions:
            if missing_facts(name, entry.auxiliary):
                lacking.setdefault(name, []).append(entry.where)
    for name, wheres in lacking.items():
        facts = ", ".join(missing_facts(name, {}))
        notes.append(
            f"{len(wheres)} prompts name {name} without the fact {facts} (first: {wheres[0]}); "
            f"they will be skipped there. {from_user(name)}"
        )
    if parsed.ignored:
        notes.append(f"columns or keys not used: {', '.join(parsed.ignored[:10])}")
    return tuple(notes)


def case_notes(prompts: tuple[Prompt, ...]) -> tuple[str, ...]:
    """Name prompts that differ in capitals only; they stay apart, but people should know."""
    groups: dict[str, list[Prompt]] = {}
    for prompt in prompts:
        groups.setdefault(prompt.text.casefold(), []).append(prompt)
    return tuple(
        f"{len(group)} prompts differ in capitals only and stay apart: {shown(group[0].text)}"
        for group in groups.values()
        if len({prompt.text for prompt in group}) > 1
    )

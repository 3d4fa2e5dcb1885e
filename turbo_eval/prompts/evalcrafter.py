"""The 700 prompts of EvalCrafter (arXiv 2310.11440).

They state no licence, so this project ships only counts and checksums; `prompts sync` copies the
user's own files. Four texts occur twice. EvalCrafter names its videos by number, so these stay
separate prompts: each carries its number as a fact, which makes the ids differ. Intervals over
prompts should group them by text.
"""

import json
from pathlib import Path
from typing import Any

from turbo_eval.core.errors import InputError, PrerequisiteError
from turbo_eval.prompts.dimensions import FREE_DIMENSIONS
from turbo_eval.prompts.entries import Entry, prompts_from
from turbo_eval.prompts.manifest import read_manifest, synced_folder, verify
from turbo_eval.prompts.suite import Suite
from turbo_eval.prompts.text import clean, decode, read_bytes

PROMPTS = "prompts700.txt"
METADATA = "metadata.json"
HOW = "clone github.com/evalcrafter/EvalCrafter, then `turbo-eval prompts sync --from THAT_FOLDER`"


def load_evalcrafter(folder: Path | None = None) -> Suite:
    """Read and verify the EvalCrafter prompts.

    Line i of the list (from 0) is prompt ``f"{i:04d}"`` and must equal the text in metadata.json
    after stripping; the repository's damaged ``prompts/`` folder is never read.

    Args:
        folder: Holds ``prompts700.txt`` (or ``prompt700.txt``) and ``metadata.json``; the synced
            copy by default.

    Returns:
        700 prompts. ``auxiliary["evalcrafter"]`` is ``{"id": "0000", "attributes": {...}}``.

    Raises:
        PrerequisiteError: When nothing was synced yet.
        InputError: When a given folder lacks a file, or a file is not the published one.
    """
    place = folder or synced_folder("evalcrafter")
    manifest = read_manifest("evalcrafter")
    fix = "copy it again; an edited list can be used as custom:FILE"
    data = {
        name: read_bytes(_find(place, manifest.file(name).found_as, given=folder is not None))
        for name in (PROMPTS, METADATA)
    }
    for name, content in data.items():
        verify(content, manifest.file(name).sha256, f"EvalCrafter's {name}", fix=fix)
    lines = decode(data[PROMPTS], PROMPTS).split("\n")
    metadata: dict[str, Any] = json.loads(decode(data[METADATA], METADATA))
    entries = []
    for index, line in enumerate(lines):
        number, where = f"{index:04d}", f"{PROMPTS}, line {index + 1}"
        facts = metadata.get(number, {})
        text = clean(line, where)
        if text != str(facts.get("prompt", "")).strip():
            raise InputError(where, why=f"it differs from {number} in {METADATA}", fix=fix)
        auxiliary = {"evalcrafter": {"id": number, "attributes": facts.get("attributes", {})}}
        entries.append(Entry(text, FREE_DIMENSIONS, auxiliary, where))
    if len(entries) != manifest.count or len(metadata) != manifest.count:
        raise InputError(
            "EvalCrafter's list is incomplete",
            why=f"{len(entries)} prompts and {len(metadata)} records, not {manifest.count}",
            fix=fix,
        )
    twice = len(entries) - len({entry.text for entry in entries})
    return Suite(
        name="evalcrafter",
        prompts=prompts_from(entries, "evalcrafter"),
        source=manifest.source,
        licence=manifest.licence,
        checksum=manifest.sha256,
        notes=(f"{twice} texts occur twice and stay apart, because EvalCrafter numbers them",),
        info={"title": manifest.title, "file": str(place), "entries": len(entries)},
    )


def _find(folder: Path, names: tuple[str, ...], *, given: bool) -> Path:
    for name in names:
        if (folder / name).is_file():
            return folder / name
    listed = " or ".join(names)
    if given:
        raise InputError(
            f"{folder} does not hold EvalCrafter", why=f"{listed} is not in it", fix=HOW
        )
    raise PrerequisiteError(
        "suite evalcrafter is not on this machine",
        why="its prompts have no licence to ship them",
        fix=HOW,
    )

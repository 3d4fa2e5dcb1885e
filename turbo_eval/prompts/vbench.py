"""The standard suite of VBench, its dimensions and its eight category lists.

The files are read from an installed `vbench` package without importing it (its import pulls in
video decoders and networks), from a file that the user names, or from the copy that `prompts sync`
made.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from turbo_eval.core.errors import InputError, PrerequisiteError, unknown
from turbo_eval.prompts.custom import case_notes, entry_notes
from turbo_eval.prompts.dimensions import FREE_DIMENSIONS
from turbo_eval.prompts.entries import Entry, merge, merge_note, prompts_from
from turbo_eval.prompts.formats import parse
from turbo_eval.prompts.manifest import checksum, read_manifest, synced_folder, verify
from turbo_eval.prompts.suite import Suite
from turbo_eval.prompts.text import read_bytes, shown

INFO = "VBench_full_info.json"
INFO_VARIABLE = "TURBO_EVAL_VBENCH_INFO"
CATEGORIES: tuple[str, ...] = (
    "animal",
    "architecture",
    "food",
    "human",
    "lifestyle",
    "plant",
    "scenery",
    "vehicles",
)
PER_CATEGORY = 100
HOW = (
    "`pip install --no-deps vbench`, or clone github.com/Vchitect/VBench and "
    "`turbo-eval prompts sync --from THAT_FOLDER`"
)
HOW_CATEGORIES = (
    "the vbench package does not hold them: clone github.com/Vchitect/VBench and "
    "`turbo-eval prompts sync --from THAT_FOLDER`"
)


def load_vbench(file: Path | None = None, *, allow_long: bool = False) -> Suite:
    """Read VBench's suite, or another list in its schema.

    946 entries give 944 prompts: two texts stand in two blocks and are joined, with the dimensions
    of both. "A fantasy landscape" and "a fantasy landscape" stay two prompts.

    Args:
        file: A file in the schema of VBench_full_info.json. By default the standard file:
            ``$TURBO_EVAL_VBENCH_INFO``, an installed `vbench` package, the synced copy, in this
            order; count and checksum are then verified.
        allow_long: Accept prompts above `text.MAX_CHARACTERS` characters in `file`.

    Returns:
        Suite ``vbench``, or ``vbench:NAME`` when `file` is not the standard file; equal texts and
        facts have equal ids in both.

    Raises:
        PrerequisiteError: When there is no standard file on this machine.
        InputError: When the file cannot be read, is not of the schema, or should be the standard
            file and is not.
    """
    manifest = read_manifest("vbench")
    path = file or find_info()
    parsed = parse(path, allow_long=allow_long)
    digest = checksum(parsed.data)
    standard = digest == manifest.sha256
    if file is None:
        verify(
            parsed.data,
            manifest.sha256,
            shown(path, 300),
            fix=f"restore it, or pass it as vbench:{shown(path, 300)} to use it as it is",
        )
    if standard and len(parsed.entries) != manifest.count:
        raise InputError(
            f"{shown(path, 300)} is incomplete",
            why=f"{len(parsed.entries)} entries, not {manifest.count}",
            fix=HOW,
        )
    entries, joins = merge(parsed.entries)
    prompts = prompts_from(entries, "vbench")
    notes = (*merge_note(joins), *entry_notes(parsed, entries), *case_notes(prompts))
    if not standard:
        notes = ("not the standard list: its scores are not VBench scores", *notes)
    return Suite(
        name="vbench" if standard else f"vbench:{shown(path.name)}",
        prompts=prompts,
        source=manifest.source if standard else f"the user's file {shown(path.name)}",
        licence=manifest.licence if standard else "the user's own",
        checksum=digest,
        notes=notes,
        info={
            "title": manifest.title if standard else f"Prompts of {shown(path.name)}",
            "file": shown(path, 300),
            "entries": len(parsed.entries),
            "standard": standard,
        },
    )


def load_category(name: str) -> Suite:
    """Read one of the eight category lists (100 prompts each), or ``all`` of them.

    The prompts serve the dimensions that need neither a fact nor an action's name. Ids do not
    depend on the category; in ``all``, the two texts that stand in two lists are joined.

    Args:
        name: A category, or ``all``.

    Raises:
        UsageError: For another name.
        PrerequisiteError: When the lists are not on this machine.
        InputError: When a list is not the published one.
    """
    if name not in (*CATEGORIES, "all"):
        raise unknown("VBench category", name, (*CATEGORIES, "all"))
    manifest = read_manifest("vbench")
    entries, digests = [], []
    categories: dict[str, list[str]] = {}
    for category in CATEGORIES if name == "all" else (name,):
        path = find_category(category)
        data = read_bytes(path)
        expected = manifest.file(f"prompts_per_category/{category}.txt").sha256
        fix = "copy it again; an edited list can be used as custom:FILE"
        digests.append(verify(data, expected, shown(path, 300), fix=fix))
        listed = parse(path).entries
        if len(listed) != PER_CATEGORY:
            raise InputError(
                shown(path, 300), why=f"{len(listed)} prompts, not {PER_CATEGORY}", fix=fix
            )
        for entry in listed:
            categories.setdefault(entry.text, []).append(category)
            entries.append(Entry(entry.text, FREE_DIMENSIONS, {}, entry.where))
    distinct, joins = merge(entries)
    prompts = prompts_from(distinct, "vbench:category")
    return Suite(
        name=f"vbench:category:{name}",
        prompts=prompts,
        source=manifest.source,
        licence=manifest.licence,
        checksum=digests[0] if len(digests) == 1 else checksum("".join(digests).encode()),
        notes=merge_note(joins),
        info={
            "title": f"VBench prompts by content: {name}",
            "entries": len(entries),
            "categories": {prompt.id: categories[prompt.text] for prompt in prompts},
        },
    )


def find_info() -> Path:
    """Return where VBench's standard file lies.

    Raises:
        InputError: When ``$TURBO_EVAL_VBENCH_INFO`` names no file.
        PrerequisiteError: When it is nowhere.
    """
    named = os.environ.get(INFO_VARIABLE, "").strip()
    if named:
        path = Path(named).expanduser()
        if not path.is_file():
            raise InputError(
                f"cannot read {shown(path, 300)}",
                why=f"${INFO_VARIABLE} names it, and it is not there",
                fix="correct or unset the variable",
            )
        return path
    for folder in (*_package_folders(), synced_folder("vbench")):
        if (folder / INFO).is_file():
            return folder / INFO
    raise PrerequisiteError(
        "suite vbench is not on this machine",
        why=f"no installed package, synced copy or ${INFO_VARIABLE} has {INFO}",
        fix=HOW,
    )


def find_category(name: str) -> Path:
    """Return where the list of a category lies.

    Raises:
        PrerequisiteError: When it is nowhere.
    """
    for folder in (*_package_folders(), synced_folder("vbench")):
        # A checkout installed in place keeps its lists beside the package.
        for base in (folder, folder / "prompts", folder.parent / "prompts"):
            path = base / "prompts_per_category" / f"{name}.txt"
            if path.is_file():
                return path
    raise PrerequisiteError(
        f"the VBench category list {name} is not on this machine",
        why="it lies only in VBench's repository",
        fix=HOW_CATEGORIES,
    )


def _package_folders() -> Iterator[Path]:
    # For a top-level name this imports nothing. It fails only on a half-imported module.
    spec = None
    with suppress(ImportError, ValueError):
        spec = find_spec("vbench")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        yield Path(folder)

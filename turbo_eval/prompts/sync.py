"""Copying outside suites from a folder that the user has into the user's data folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from turbo_eval.core.errors import InputError, UsageError, unknown
from turbo_eval.prompts.manifest import (
    Manifest,
    SuiteFile,
    checksum,
    read_manifest,
    synced_folder,
    verify,
)
from turbo_eval.prompts.text import read_bytes, shown

SYNCED: tuple[str, ...] = ("vbench", "evalcrafter")
# The names that clones of the two repositories have when several lie in one folder.
_CLONES = {"vbench": "VBench", "evalcrafter": "EvalCrafter"}


@dataclass(frozen=True, slots=True)
class Synced:
    """What became of one suite.

    Attributes:
        suite: Its name.
        folder: Where its files lie now.
        licence: Licence of the copied files.
        copied: Names of files that were written.
        unchanged: Names of files that were there already, byte for byte.
        missing: Names of files that the folder does not hold.
    """

    suite: str
    folder: Path
    licence: str
    copied: tuple[str, ...]
    unchanged: tuple[str, ...]
    missing: tuple[str, ...]


def sync(source: Path, suites: Sequence[str] = ()) -> list[Synced]:
    """Copy the known files of outside suites from a folder; nothing is downloaded.

    Every file is compared with its published checksum before anything is written, so a damaged
    source changes nothing. Running it again copies only what differs.

    Args:
        source: A clone of VBench or EvalCrafter, a folder that holds both, or a flat folder with
            their files.
        suites: Which suites; all that are found by default.

    Returns:
        One record for each suite of which a file was found.

    Raises:
        UsageError: For a suite that cannot be synced.
        InputError: When the folder is missing, holds nothing known, or holds a changed file.
        PrerequisiteError: When the user's data folder cannot be written.
    """
    for name in suites:
        if name not in SYNCED:
            if name == "mini":
                raise UsageError("suite mini cannot be synced", why="it ships with turbo-eval")
            raise unknown("outside suite", name, SYNCED)
    if not source.is_dir():
        why = "it is a file" if source.exists() else "there is no such folder"
        raise InputError(
            f"cannot read {shown(source, 300)}", why=why, fix="name a folder: --from DIR"
        )
    manifests = [read_manifest(name) for name in suites or SYNCED]
    found = {manifest.name: _verified(source, manifest) for manifest in manifests}
    for name, contents in found.items():
        if suites and not contents:
            raise _nothing(source, [name])
    if not any(found.values()):
        raise _nothing(source, list(found))
    return [_copy(manifest, found[manifest.name]) for manifest in manifests if found[manifest.name]]


def _verified(source: Path, manifest: Manifest) -> dict[str, bytes]:
    contents = {}
    for file in manifest.files:
        path = _find(source, manifest.name, file)
        if path is None:
            continue
        data = read_bytes(path)
        verify(
            data,
            file.sha256,
            shown(path, 300),
            fix="take it from the commit that `turbo-eval prompts list --json` names; nothing was "
            "copied, and an edited list can be used as custom:FILE",
        )
        contents[file.name] = data
    required = [file.name for file in manifest.files if not file.optional]
    lacking = [name for name in required if name not in contents]
    # EvalCrafter's two files are useless apart; VBench's info and its category lists are not.
    if contents and lacking and len(required) > 1:
        raise InputError(
            f"{shown(source, 300)} holds only a part of {manifest.name}",
            why=f"{', '.join(lacking)} is not in it",
            fix="name the whole clone",
        )
    return contents


def _find(source: Path, suite: str, file: SuiteFile) -> Path | None:
    for base in (source, source / suite, source / _CLONES[suite]):
        for name in file.found_as:
            if (base / name).is_file():
                return base / name
    return None


def _copy(manifest: Manifest, contents: dict[str, bytes]) -> Synced:
    # The store brings Arrow with it; the other prompt commands do without.
    from turbo_eval.core.store import write_bytes_atomic

    folder = synced_folder(manifest.name)
    copied, unchanged = [], []
    for name, data in contents.items():
        target = folder / name
        if target.is_file() and checksum(target.read_bytes()) == checksum(data):
            unchanged.append(name)
            continue
        write_bytes_atomic(target, data)
        copied.append(name)
    missing = tuple(file.name for file in manifest.files if file.name not in contents)
    return Synced(manifest.name, folder, manifest.licence, tuple(copied), tuple(unchanged), missing)


def _nothing(source: Path, suites: Sequence[str]) -> InputError:
    names = [file.found_as[0] for suite in suites for file in read_manifest(suite).files[:2]]
    return InputError(
        f"{shown(source, 300)} holds nothing of {' or '.join(suites)}",
        why=f"looked for {', '.join(names)} and others there",
        fix="name a clone of github.com/Vchitect/VBench or github.com/evalcrafter/EvalCrafter",
    )

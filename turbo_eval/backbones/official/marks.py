"""Checksums of weights without reading gigabytes twice, and the mark of random weights.

The checksum of a file is kept in the user's cache beside its size and time of change, so that a
plan costs one look at the folder. Random weights carry a mark inside the file (an extra record of
its zip archive, which no loader reads), so that a copy elsewhere is still known for what it is.
"""

import json
import logging
import zipfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turbo_eval.core.errors import TurboError, from_os_error
from turbo_eval.core.hashing import content_key, file_sha256
from turbo_eval.core.store import write_json_atomic
from turbo_eval.prompts.manifest import home

logger = logging.getLogger(__name__)

RECORD = "turbo-eval-random.json"
"""Last part of the name of the record that marks random weights."""
MARKER = "RANDOM-WEIGHTS.json"
"""The file beside them that tells people the same."""


@dataclass(frozen=True, slots=True)
class RandomMark:
    """What a file of random weights says about itself.

    Attributes:
        file: The published name of the file it stands for.
        seed: The seed of its numbers.
    """

    file: str
    seed: int


_known: dict[str, tuple[int, int, str]] = {}


def checksum(path: Path) -> str:
    """The SHA-256 of a file, from the cache if its size and time of change are the same.

    Raises:
        PrerequisiteError: The file cannot be read.
    """
    path = path.resolve()
    try:
        status = path.stat()
        facts = (status.st_size, status.st_mtime_ns)
        found = _known.get(str(path)) or _recall(path)
        if found is None or found[:2] != facts:
            logger.info("computing the checksum of %s (once)", path)
            found = (*facts, file_sha256(path))
            _remember(path, found)
    except OSError as error:
        raise from_os_error(error, path) from error
    _known[str(path)] = found
    return found[2]


def _note(path: Path) -> Path:
    return home() / "checksums" / f"{content_key('checksum', str(path))}.json"


def _recall(path: Path) -> tuple[int, int, str] | None:
    try:
        note = json.loads(_note(path).read_text(encoding="utf-8"))
        return int(note["bytes"]), int(note["changed"]), str(note["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _remember(path: Path, facts: tuple[int, int, str]) -> None:
    # A cache that cannot be written costs time, nothing else.
    with suppress(TurboError):
        write_json_atomic(
            _note(path),
            {"path": str(path), "bytes": facts[0], "changed": facts[1], "sha256": facts[2]},
        )


def random_mark(path: Path) -> RandomMark | None:
    """The mark inside a file of random weights; None for every other file, also a damaged one."""
    try:
        with zipfile.ZipFile(path) as archive:
            name = next((n for n in archive.namelist() if n.endswith(f"/{RECORD}")), None)
            if name is None:
                return None
            found: Any = json.loads(archive.read(name))
            return RandomMark(str(found["file"]), int(found["seed"]))
    except (OSError, zipfile.BadZipFile, ValueError, KeyError, TypeError):
        return None


def mark_random(path: Path, mark: RandomMark) -> None:
    """Add the mark to a checkpoint that is a zip archive.

    Raises:
        PrerequisiteError: The file cannot be written.
    """
    try:
        with zipfile.ZipFile(path, "a") as archive:
            base = archive.namelist()[0].split("/", 1)[0]
            text = json.dumps({"file": mark.file, "seed": mark.seed, "weights": "random"})
            # A fixed date, so that the same weights give the same bytes.
            entry = zipfile.ZipInfo(f"{base}/extra/{RECORD}", (1980, 1, 1, 0, 0, 0))
            archive.writestr(entry, text)
    except OSError as error:
        raise from_os_error(error, path) from error

"""Tar shards: names written with braces, and where in a shard each sample lies."""

import itertools
import json
import os
import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from turbo_eval.core.errors import InputError
from turbo_eval.core.hashing import content_key
from turbo_eval.core.store import write_json_atomic
from turbo_train.data.frames import VIDEOS

CUT = "is a shard whose rest is cut off or damaged"
_VERSION = 1
_BLOCK = 512
_MOST = 10_000_000
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(-?\d+)\.\.(-?\d+)(?:\.\.(-?\d+))?")
_REMOTE = ("http://", "https://")


def is_remote(name: str) -> bool:
    """Whether a shard or a list of shards has to be fetched first."""
    return name.startswith(_REMOTE)


def expand(pattern: str) -> list[str]:
    """Names that a pattern stands for, as a shell would expand its braces.

    `{000..031}` counts, with leading zeros where an end has them, and with a step as in
    `{0..9..3}`; `{a,b}` lists. Several groups combine, the last one fastest. Braces of another
    form stay as they are.

    Raises:
        InputError: The pattern stands for more than ten million names.
    """
    # Every other piece is what stood between braces.
    pieces = _BRACES.split(pattern)
    options = [[piece] if at % 2 == 0 else _inside(piece) for at, piece in enumerate(pieces)]
    total = 1
    for option in options:
        total *= len(option)
    if total > _MOST:
        raise InputError(f"{pattern} stands for {total} shards", fix="check its braces")
    return ["".join(chosen) for chosen in itertools.product(*options)]


def _inside(text: str) -> list[str]:
    span = _RANGE.fullmatch(text)
    if span is None:
        return text.split(",") if "," in text else ["{" + text + "}"]
    first, last = int(span[1]), int(span[2])
    step = abs(int(span[3] or 1)) or 1
    padded = any(re.match(r"-?0\d", end) for end in (span[1], span[2]))
    width = max(len(span[1]), len(span[2])) if padded else 0
    if abs(last - first) // step >= _MOST:
        raise InputError(f"{{{text}}} counts to more than {_MOST} names", fix="check its braces")
    numbers = range(first, last + 1, step) if first <= last else range(first, last - 1, -step)
    return [f"{number:0{width}d}" for number in numbers]


def resolve(paths: list[str], fetch: Callable[[str], Path]) -> list[tuple[str, Path]]:
    """Local shards behind what a configuration names.

    Args:
        paths: Shards, brace patterns, folders of .tar files, and lists (.txt) with one of these a
            line; each a local path or an http(s) address. Lines of a list are relative to it.
        fetch: Brings an address to this machine and says where it lies.

    Returns:
        (name as given, local path) in order.

    Raises:
        InputError: A shard or list is missing, a folder holds no shard, or a list is no text.
    """
    found: list[tuple[str, Path]] = []
    for name in (name for pattern in paths for name in expand(pattern)):
        if name.lower().endswith(".txt"):
            lines = _lines(name, fetch(name) if is_remote(name) else Path(name))
            found += resolve(lines, fetch)
        elif is_remote(name):
            found.append((name, fetch(name)))
        elif os.path.isdir(name):
            shards = sorted(path for path in Path(name).iterdir() if path.suffix == ".tar")
            if not shards:
                raise InputError(f"no .tar shard in the folder {name}", fix="check data.path")
            found += [(str(path), path) for path in shards]
        elif os.path.isfile(name):
            found.append((name, Path(name)))
        else:
            raise InputError(f"there is no shard {name}", fix="check data.path and its braces")
    return found


def _lines(name: str, path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"the list of shards {name} is no UTF-8 text") from None
    except OSError as error:
        why = error.strerror or str(error)
        raise InputError(f"cannot read the list of shards {name}", why=why) from error
    base = name.rpartition("/")[0]
    wanted = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if any(line.lower().endswith(".txt") for line in wanted):
        raise InputError(f"the list of shards {name} names another list", fix="name shards only")
    return [
        line if is_remote(line) or line.startswith("/") or not base else f"{base}/{line}"
        for line in wanted
    ]


@dataclass(frozen=True, slots=True)
class Entry:
    """Where one sample lies in its shard: offsets and sizes in bytes, None for a missing part.

    `video` and `text` are (offset, size); `ending` is that of the video's name; `fault` tells why
    the sample cannot be used.
    """

    key: str
    video: tuple[int, int] | None = None
    ending: str = ""
    text: tuple[int, int] | None = None
    fault: str = ""


def index_shard(path: Path) -> list[Entry]:
    """List the samples of a shard: files whose names agree up to the first dot of the last part.

    Args:
        path: An uncompressed tar file.

    Returns:
        Samples in the order of their first file. A shard that ends early or is damaged in the
        middle has one more entry at the end with a fault.

    Raises:
        InputError: It is missing, compressed, or no tar file.
    """
    parts: dict[str, dict[str, tuple[int, int]]] = {}
    try:
        size = path.stat().st_size
        with tarfile.open(path, "r:") as tar:
            cut = False
            for member in _members(tar):
                if member is None or member.offset_data + member.size > size:
                    cut = True
                elif member.isreg() and not member.issparse():
                    folder, _, name = member.name.rpartition("/")
                    stem, _, ending = name.partition(".")
                    if stem:
                        found = parts.setdefault(f"{folder}/{stem}".lstrip("/"), {})
                        found[ending.lower()] = (member.offset_data, member.size)
            cut = cut or not _ends_well(path, tar.offset)
    except tarfile.ReadError as error:
        raise InputError(
            f"{path} is no uncompressed tar file", why=str(error), fix="unpack it, or copy it again"
        ) from error
    except OSError as error:
        why = error.strerror or str(error)
        raise InputError(f"cannot read the shard {path}", why=why) from error
    entries = [_entry(key, found) for key, found in parts.items()]
    return [*entries, Entry(f"after {len(entries)} samples", fault=CUT)] if cut else entries


def _members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo | None]:
    """The members; None where one cannot be read and the rest is lost."""
    first = True
    while True:
        try:
            member = tar.next()
        except (tarfile.TarError, ValueError, OverflowError) as error:
            if first:
                raise tarfile.ReadError(str(error)) from error
            member = None
            yield None
        if member is None:
            return
        first = False
        yield member


def _ends_well(path: Path, offset: int) -> bool:
    """Whether a tar file has its end mark where its last member ended.

    The library takes a damaged header for the end; a whole shard has a block of zeros there.
    """
    with path.open("rb") as file:
        file.seek(offset)
        block = file.read(_BLOCK)
    return len(block) == _BLOCK and not any(block)


def _entry(key: str, found: dict[str, tuple[int, int]]) -> Entry:
    text = found.get("txt")
    # Names in a tar file may hold any bytes.
    key = key.encode("utf-8", "replace").decode("utf-8")
    for ending, place in found.items():
        suffix = PurePosixPath(f"x.{ending}").suffix
        if suffix in VIDEOS:
            return Entry(key, place, suffix, text)
    return Entry(key, None, "", text, fault="has no video")


def cached_index(path: Path, folder: Path) -> list[Entry]:
    """`index_shard`, remembered in `folder` until the shard's size or time of change differs.

    Raises:
        InputError: See `index_shard`.
        PrerequisiteError: The cache cannot be written.
    """
    try:
        what = path.stat()
    except OSError as error:
        why = error.strerror or str(error)
        raise InputError(f"cannot read the shard {path}", why=why) from error
    key = content_key(_VERSION, str(path.absolute()), what.st_size, what.st_mtime_ns)
    cache = folder / f"{key}.json"
    try:
        return [_from_plain(plain) for plain in json.loads(cache.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError, KeyError):
        # Not there yet, or not written by this program: made anew.
        entries = index_shard(path)
    write_json_atomic(cache, [asdict(entry) for entry in entries])
    return entries


def _from_plain(plain: dict[str, Any]) -> Entry:
    def place(name: str) -> tuple[int, int] | None:
        if plain[name] is None:
            return None
        offset, size = plain[name]
        return int(offset), int(size)

    return Entry(
        key=str(plain["key"]),
        video=place("video"),
        ending=str(plain["ending"]),
        text=place("text"),
        fault=str(plain["fault"]),
    )

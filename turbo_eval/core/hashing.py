"""Content keys and checksums."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_CHUNK = 1 << 20


def blake(data: str | bytes | bytearray | memoryview) -> str:
    """A 16-digit hexadecimal BLAKE2b content key.

    Args:
        data: Text (hashed as UTF-8; lone surrogates survive) or C-contiguous bytes.
    """
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    return hashlib.blake2b(raw, digest_size=8).hexdigest()


def content_key(*parts: Any) -> str:
    """One key for several JSON-able parts; no two different lists share a spelling.

    Mappings count as equal whatever their order. Tuples count as lists.

    Raises:
        TypeError: A part is not JSON-able.
        ValueError: A part holds a number that is not finite.
    """
    spelling = json.dumps(
        parts, sort_keys=True, ensure_ascii=True, separators=(",", ":"), allow_nan=False
    )
    return blake(spelling)


def blake_file(path: Path) -> str:
    """The `blake` key of a file's bytes, read in pieces.

    Raises:
        OSError: The file cannot be read.
    """
    digest = hashlib.blake2b(digest_size=8)
    for chunk in _chunks(path):
        digest.update(chunk)
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, 64 hexadecimal digits, read in pieces.

    Raises:
        OSError: The file cannot be read.
    """
    digest = hashlib.sha256()
    for chunk in _chunks(path):
        digest.update(chunk)
    return digest.hexdigest()


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk

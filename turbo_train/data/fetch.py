"""Bring a remote shard to this machine once: resumable, checked for length, all or nothing."""

import http.client
import json
import os
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from turbo_eval.core.errors import InputError, PrerequisiteError, from_os_error
from turbo_eval.core.hashing import blake
from turbo_eval.core.runs import exclusive
from turbo_eval.core.store import write_json_atomic

_CHUNK = 1 << 20
_TIMEOUT = 60.0
_GONE = {400, 401, 403, 404, 405, 410, 451}


class _Unfinished(Exception):  # noqa: N818 (names the condition)
    """The transfer ended early or was refused for now; what has arrived is kept."""


def fetch(url: str, folder: Path, *, attempts: int = 5, wait: float = 1.0) -> Path:
    """The local copy of an http(s) address; downloaded if it is not in the folder yet.

    What has arrived lies beside it as `.part`, and the next attempt or the next run goes on from
    there if the server says that the file has not changed.

    Args:
        url: The address.
        folder: Where copies lie; names hold a key of the address and its last part.
        attempts: Tries before giving up.
        wait: Seconds before the second try; doubled for each further one.

    Returns:
        The complete file.

    Raises:
        InputError: The server has no such file or refuses it.
        PrerequisiteError: The server cannot be reached or breaks off, or the disk is full.
    """
    last = url.partition("?")[0].partition("#")[0].rstrip("/").rpartition("/")[2]
    plain = "".join(c if c.isalnum() or c in "-_." else "_" for c in last)[-100:]
    path = folder / f"{blake(url)}-{plain}"
    if path.is_file():
        return path
    with exclusive(folder / f".{path.name}.lock"):
        for attempt in range(attempts):
            # Another process may have fetched it while this one waited for the lock.
            if path.is_file():
                return path
            try:
                _attempt(url, path)
            except _Unfinished as error:
                if attempt + 1 == attempts:
                    raise PrerequisiteError(
                        f"cannot download {url}",
                        why=f"{error}, {attempts} times",
                        fix="check the network, then type the same command again: it goes on",
                    ) from error
                time.sleep(wait * 2**attempt)
    return path


def _attempt(url: str, path: Path) -> None:
    part, note = path.with_name(path.name + ".part"), path.with_name(path.name + ".part.json")
    have, mark = _begun(part, note)
    # An encoded answer would have another length than the file.
    headers = {"Accept-Encoding": "identity", "User-Agent": "turbo-train"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": mark}
    try:
        request = urllib.request.Request(url, headers=headers)
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
            start, total = _extent(answer, have)
            if start == 0:
                mark = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
                write_json_atomic(note, {"mark": mark})
            _receive(answer, part, start)
    except urllib.error.HTTPError as error:
        if error.code == 416:
            # The file shrank, or all of it had arrived: begin anew.
            part.unlink(missing_ok=True)
        if error.code in _GONE:
            raise InputError(
                f"cannot download {url}", why=f"the server answers {error.code} {error.reason}"
            ) from None
        raise _Unfinished(f"the server answers {error.code} {error.reason}") from error
    except (http.client.HTTPException, OSError) as error:
        raise _Unfinished(str(error) or type(error).__name__) from error
    size = part.stat().st_size
    if total is not None and size != total:
        if size > total:
            part.unlink()
        raise _Unfinished(f"{size} of {total} bytes arrived")
    try:
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
        note.unlink(missing_ok=True)
    except OSError as error:
        raise from_os_error(error, path) from error


def _begun(part: Path, note: Path) -> tuple[int, str]:
    """Bytes that have arrived and the server's mark of that version; 0 without a strong mark."""
    try:
        mark = json.loads(note.read_text(encoding="utf-8"))["mark"]
        size = part.stat().st_size
    except (OSError, ValueError, KeyError, TypeError):
        return 0, ""
    usable = isinstance(mark, str) and mark and not mark.startswith("W/")
    return (size, mark) if usable else (0, "")


def _extent(answer: Any, have: int) -> tuple[int, int | None]:
    """First byte of the answer's body, and the length of the whole file where it is told."""
    length = answer.headers.get("Content-Length")
    if answer.status == 206:
        span, _, total = answer.headers.get("Content-Range", "").partition("/")
        start = span.removeprefix("bytes ").partition("-")[0]
        if start != str(have):
            raise _Unfinished("the server sent another part than asked for")
        return have, int(total) if total.isdigit() else None
    return 0, int(length) if length and length.isdigit() else None


def _receive(answer: Any, part: Path, start: int) -> None:
    try:
        file = part.open("r+b" if start else "wb")
    except OSError as error:
        raise from_os_error(error, part) from error
    with file:
        file.seek(start)
        file.truncate()
        while chunk := answer.read(_CHUNK):
            try:
                file.write(chunk)
            except OSError as error:
                raise from_os_error(error, part) from error

"""Official files over HTTPS: broken downloads go on, and nothing is opened before it is checked.

A download grows as `NAME.part` beside its final name and is renamed when it is whole: its length
is the one the server named, and its checksum the published one where there is one. Bytes are
compared, never unpickled.
"""

import http.client
import json
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from turbo_eval.backbones.official.files import WeightsFile
from turbo_eval.core.errors import (
    InputError,
    PrerequisiteError,
    UsageError,
    from_os_error,
)
from turbo_eval.core.hashing import file_sha256
from turbo_eval.core.store import atomic_path, write_json_atomic

CHUNK: Final = 1 << 20
SECONDS: Final = 60.0
"""How long a silent connection is waited for."""
UNPROVEN: Final = "nothing to compare with: no checksum is public"
_HERE = ("localhost", "127.0.0.1", "::1")

Told = Callable[[int, int | None], None]
"""Is told the bytes there are and, if known, all there will be."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one download.

    Attributes:
        path: The file.
        state: `there` (whole before), `pulled`.
        sha256: Its checksum.
        proof: What the checksum was compared with.
    """

    path: Path
    state: str
    sha256: str
    proof: str


def pull(
    file: WeightsFile,
    path: Path,
    *,
    base: str = "",
    again: bool = False,
    retries: int = 5,
    told: Told | None = None,
) -> Answer:
    """Get one official file.

    Args:
        file: Which.
        path: Where it shall lie.
        base: Address of a folder with the files, instead of their own sources.
        again: Get it even if a file of that name is there.
        retries: How often a broken connection is taken up again without progress.
        told: Progress.

    Raises:
        UsageError: The address is not HTTPS.
        PrerequisiteError: The source cannot be reached or needs a person, or the disk is full.
        InputError: What came is not the published file.
    """
    if path.is_file() and not again:
        return Answer(path, "there", *check_published(path, file))
    if not (base or file.url):
        raise PrerequisiteError(
            f"{file.file} has no address that a program may read",
            why="its page asks for consent first, or it is a folder of many files",
            fix=f"get it from {file.page} and put it at {path}",
        )
    address = f"{base.rstrip('/')}/{urllib.parse.quote(file.file)}" if base else file.url
    _check_address(address)
    inside = file.member if not base else ""
    part = path.with_name((Path(inside).name + ".zip" if inside else path.name) + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise from_os_error(error, path) from error
    _download(address, part, retries, told)
    try:
        if inside:
            whole = part
            part = path.with_name(f"{path.name}.part")
            _unpack(whole, inside, part)
            whole.unlink()
        sha256, proof = check_published(part, file)
    except InputError as error:
        part.unlink(missing_ok=True)
        raise InputError(
            f"what came from {address} is not the published {file.file}",
            why=error.why or error.what,
            fix="name another mirror, or leave out --from"
            if base
            else f"type the same command again, or get it from {file.page}",
        ) from error
    part.replace(path)
    # The server has named at least the length.
    proof = f"its length; {proof}" if proof == UNPROVEN else proof
    return Answer(path, "pulled", sha256, proof)


def check_published(path: Path, file: WeightsFile) -> tuple[str, str]:
    """Compare a file with what is public about it.

    Returns:
        Its checksum, and what was compared.

    Raises:
        InputError: It is another file, or damaged.
    """
    found = file_sha256(path)
    again = f"turbo-eval weights pull {file.id} --again"
    if file.sha256:
        if not found.startswith(file.sha256):
            raise InputError(
                f"{path} is not the published {file.file}",
                why=f"sha256 {found[:16]}... instead of {file.sha256[:16]}...",
                fix=again,
            )
        digits = len(file.sha256)
        return found, "published sha256" if digits == 64 else f"published sha256, {digits} digits"
    with path.open("rb") as opened:
        head = opened.read(64).lstrip()
    if not head or head.startswith(b"<"):
        what = "it is a web page" if head else "it is empty"
        raise InputError(f"{path} is no file of weights", why=what, fix=again)
    if not zipfile.is_zipfile(path):
        if head.startswith(b"PK"):
            # What wget leaves behind when a connection breaks looks like this.
            why = "it was downloaded only in part: the end of the archive is missing"
            raise InputError(f"{path} is damaged", why=why, fix=again)
        return found, UNPROVEN
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
    except (OSError, zipfile.BadZipFile, EOFError) as error:
        broken = str(error)
    if broken:
        raise InputError(
            f"{path} is damaged",
            why=f"the archive's own checksums disagree ({broken})",
            fix=again,
        )
    return found, "the archive's own checksums: none is public"


def _check_address(address: str) -> None:
    parts = urllib.parse.urlsplit(address)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _HERE):
        return
    raise UsageError(
        f"weights are not pulled from {address or 'nowhere'}",
        why="only https addresses are",
        fix="give --from https://...",
    )


def _download(address: str, part: Path, retries: int, told: Told | None) -> None:
    """Fetch until the file is whole; a connection that breaks after some bytes costs no retry."""
    left = retries
    while True:
        before = _size(part)
        try:
            if _fetch(address, part, told):
                part.with_name(part.name + ".json").unlink(missing_ok=True)
                return
            reason = "the connection ended too early"
        except urllib.error.HTTPError as error:
            if error.code < 500 and error.code not in (408, 429):
                raise PrerequisiteError(
                    f"cannot pull {address}",
                    why=f"the server answers {error.code} {error.reason}",
                    fix="get the file elsewhere and put it into the folder of weights",
                ) from error
            reason = f"the server answers {error.code} {error.reason}"
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError) as error:
            reason = str(getattr(error, "reason", error))
        except ConnectionError as error:
            reason = error.strerror or str(error)
        except OSError as error:
            raise from_os_error(error, part) from error
        left = retries if _size(part) > before else left - 1
        if left < 0:
            raise PrerequisiteError(
                f"cannot pull {address}",
                why=reason,
                fix="type the same command again, it goes on where it stopped; a machine without "
                "network is given a folder that another one has pulled",
            )
        time.sleep(min(2.0 ** (retries - left) / 4, 10.0))


def _fetch(address: str, part: Path, told: Told | None) -> bool:
    """One connection; returns whether the file is whole now."""
    known = _note(part, address)
    have = _size(part) if known else 0
    request = urllib.request.Request(address, headers={"User-Agent": "turbo-eval"})
    if have:
        request.add_header("Range", f"bytes={have}-")
        if known and known.get("tag"):
            # A file that was replaced meanwhile must not be glued to half of the old one.
            request.add_header("If-Range", str(known["tag"]))
    try:
        response = urllib.request.urlopen(request, timeout=SECONDS)
    except urllib.error.HTTPError as error:
        if error.code == 416 and known and have == known.get("total"):
            return True
        if error.code == 416:
            part.unlink(missing_ok=True)
            return False
        raise
    with response:
        _check_address(response.geturl())
        on = response.status == 206 and _starts(response.headers, have)
        total = _total(response.headers, have if on else 0)
        tag = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
        # A weak tag may not be used to go on.
        tag = "" if tag.startswith("W/") else tag
        write_json_atomic(_note_path(part), {"address": address, "tag": tag, "total": total})
        count = have if on else 0
        with part.open("ab" if on else "wb") as file:
            while chunk := response.read(CHUNK):
                file.write(chunk)
                count += len(chunk)
                if told:
                    told(count, total)
    return total is None or count >= total


def _starts(headers: Mapping[str, str], have: int) -> bool:
    return str(headers.get("Content-Range", "")).startswith(f"bytes {have}-")


def _total(headers: Mapping[str, str], have: int) -> int | None:
    after = str(headers.get("Content-Range", "")).rpartition("/")[2]
    if after.isdecimal():
        return int(after)
    length = str(headers.get("Content-Length") or "")
    return have + int(length) if length.isdecimal() else None


def _note_path(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _note(part: Path, address: str) -> dict[str, object] | None:
    with suppress(OSError, ValueError, AttributeError):
        found = json.loads(_note_path(part).read_text(encoding="utf-8"))
        if found.get("address") == address:
            return dict(found)
    return None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _unpack(archive: Path, member: str, path: Path) -> None:
    try:
        with (
            zipfile.ZipFile(archive) as whole,
            atomic_path(path) as temporary,
            whole.open(member) as source,
            temporary.open("wb") as target,
        ):
            shutil.copyfileobj(source, target, CHUNK)
    except (zipfile.BadZipFile, KeyError, EOFError) as error:
        archive.unlink(missing_ok=True)
        raise InputError(
            f"the archive of {Path(member).name} is damaged",
            why=str(error),
            fix="type the same command again",
        ) from error

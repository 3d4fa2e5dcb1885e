"""Downloads: whole or not at all, taken up again where they broke, checked before they count."""

import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from turbo_eval.backbones.official import pull as module
from turbo_eval.backbones.official.files import BY_ID, WeightsFile
from turbo_eval.backbones.official.pull import pull
from turbo_eval.core.errors import InputError, PrerequisiteError, UsageError

DATA = bytes(range(256)) * 4096


@dataclass
class Site:
    """What the server has, how it misbehaves, and what it was asked."""

    base: str = ""
    data: bytes = DATA
    tag: str = '"one"'
    ranges: bool = True
    breaks: list[int] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    asked: list[str | None] = field(default_factory=list)


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    state = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # noqa: N802 (http.server's name)
            wanted = self.headers.get("Range")
            state.asked.append(wanted)
            if state.codes:
                self.send_error(state.codes.pop(0))
                return
            start = 0
            same = self.headers.get("If-Range") in (None, state.tag)
            if wanted and state.ranges and same:
                start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start > len(state.data) or (start and start == len(state.data)):
                self.send_response(416)
                self.end_headers()
                return
            self.send_response(206 if start else 200)
            if start:
                total = len(state.data)
                self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
            self.send_header("Content-Length", str(len(state.data) - start))
            self.send_header("ETag", state.tag)
            self.end_headers()
            end = len(state.data)
            if state.breaks:
                end = min(end, start + state.breaks.pop(0))
            self.wfile.write(state.data[start:end])

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    state.base = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr(module, "CHUNK", 1 << 16)
    yield state
    server.shutdown()
    server.server_close()


def official(data: bytes = DATA) -> WeightsFile:
    return replace(BY_ID["dino"], sha256=hashlib.sha256(data).hexdigest())


def test_a_file_is_pulled_once(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.pth"
    told: list[tuple[int, int | None]] = []
    answer = pull(official(), path, base=site.base, told=lambda *now: told.append(now))
    assert path.read_bytes() == DATA
    assert (answer.state, answer.proof) == ("pulled", "published sha256")
    assert told[-1] == (len(DATA), len(DATA))
    assert [p.name for p in path.parent.iterdir()] == ["a.pth"]
    assert pull(official(), path, base=site.base).state == "there"
    assert len(site.asked) == 1
    assert pull(official(), path, base=site.base, again=True).state == "pulled"
    assert len(site.asked) == 2


def test_a_broken_connection_goes_on_where_it_stopped(site: Site, tmp_path: Path) -> None:
    site.breaks = [300_000, 300_000, 300_000]
    pull(official(), tmp_path / "a", base=site.base, retries=0)
    assert (tmp_path / "a").read_bytes() == DATA
    assert site.asked == [None, "bytes=300000-", "bytes=600000-", "bytes=900000-"]


def test_a_later_command_goes_on_too(site: Site, tmp_path: Path) -> None:
    site.breaks = [500_000, 0]
    with pytest.raises(PrerequisiteError, match="type the same command again"):
        pull(official(), tmp_path / "a", base=site.base, retries=0)
    assert (tmp_path / "a.part").stat().st_size == 500_000
    assert not (tmp_path / "a").exists()
    pull(official(), tmp_path / "a", base=site.base)
    assert (tmp_path / "a").read_bytes() == DATA
    assert site.asked[-1] == "bytes=500000-"


def test_half_of_an_older_file_is_not_glued_to_a_newer_one(site: Site, tmp_path: Path) -> None:
    site.breaks = [500_000, 0]
    with pytest.raises(PrerequisiteError):
        pull(official(), tmp_path / "a", base=site.base, retries=0)
    site.data, site.tag = DATA[::-1], '"two"'
    pull(official(site.data), tmp_path / "a", base=site.base)
    assert (tmp_path / "a").read_bytes() == DATA[::-1]


def test_a_server_that_knows_no_ranges_starts_over(site: Site, tmp_path: Path) -> None:
    site.ranges, site.breaks = False, [400_000]
    pull(official(), tmp_path / "a", base=site.base)
    assert (tmp_path / "a").read_bytes() == DATA


def test_a_finished_part_is_only_checked(site: Site, tmp_path: Path) -> None:
    site.breaks = [len(DATA) - 1, 0]
    with pytest.raises(PrerequisiteError):
        pull(official(), tmp_path / "a", base=site.base, retries=0)
    with (tmp_path / "a.part").open("ab") as part:
        part.write(DATA[-1:])
    pull(official(), tmp_path / "a", base=site.base)
    assert (tmp_path / "a").read_bytes() == DATA


def test_other_bytes_are_refused_and_removed(site: Site, tmp_path: Path) -> None:
    site.data = DATA[:-1] + b"!"
    with pytest.raises(InputError, match="not the published"):
        pull(official(), tmp_path / "a", base=site.base)
    assert list(tmp_path.iterdir()) == []


def test_an_archive_without_public_checksum_is_checked_by_its_own(
    site: Site, tmp_path: Path
) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", DATA)
    file = replace(official(), sha256="")
    site.data = buffer.getvalue()
    answer = pull(file, tmp_path / "a", base=site.base)
    assert "own checksums" in answer.proof
    broken = bytearray(site.data)
    broken[5000] ^= 1
    site.data, site.tag = bytes(broken), '"two"'
    with pytest.raises(InputError, match="own checksums disagree"):
        pull(file, tmp_path / "b", base=site.base)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\x03\x04" + DATA, "downloaded only in part"),
        (b"\n<!doctype html><p>Sign in", "a web page"),
        (b"", "empty"),
    ],
)
def test_what_is_plainly_no_file_of_weights_is_refused_without_a_checksum(
    site: Site, tmp_path: Path, content: bytes, said: str
) -> None:
    file = replace(official(), sha256="")
    # As the official program's wget leaves it: under its final name.
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(InputError, match=said):
        pull(file, tmp_path / "a", base=site.base)
    site.data = content
    with pytest.raises(InputError, match=said):
        pull(file, tmp_path / "b", base=site.base)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_proof_says_what_was_compared(site: Site, tmp_path: Path) -> None:
    file = replace(official(), sha256="")
    assert pull(file, tmp_path / "a", base=site.base).proof.startswith("its length; ")
    assert pull(file, tmp_path / "a", base=site.base).proof.startswith("nothing to compare with")


def test_a_file_inside_an_archive_is_taken_out(site: Site, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("models/raft-things.pth", DATA)
        archive.writestr("models/raft-small.pth", b"other")
    site.data = buffer.getvalue()
    file = replace(BY_ID["raft"], url=f"{site.base}/models.zip")
    pull(file, tmp_path / file.file)
    assert (tmp_path / file.file).read_bytes() == DATA
    assert [p.name for p in tmp_path.iterdir()] == [file.file]


def test_the_servers_answer_is_told(site: Site, tmp_path: Path) -> None:
    site.codes = [404]
    with pytest.raises(PrerequisiteError, match="404"):
        pull(official(), tmp_path / "a", base=site.base)
    site.codes = [503, 503]
    pull(official(), tmp_path / "a", base=site.base)
    assert (tmp_path / "a").exists()


def test_only_https_is_pulled_from(tmp_path: Path) -> None:
    for base in ("http://example.org/x", "file:///etc", "ftp://example.org"):
        with pytest.raises(UsageError, match="only https"):
            pull(official(), tmp_path / "a", base=base)

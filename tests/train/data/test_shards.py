"""Tar shards: braces, lists, the index, and shards that are not whole."""

import io
import json
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.train.data.builders import shard
from turbo_eval.core.errors import InputError
from turbo_train.data.shards import CUT, Entry, cached_index, expand, index_shard, resolve


def _no_fetch(url: str) -> Path:
    raise AssertionError(url)


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("a.tar", ["a.tar"]),
        ("s-{00000..00002}.tar", ["s-00000.tar", "s-00001.tar", "s-00002.tar"]),
        ("{8..11}", ["8", "9", "10", "11"]),
        ("{08..11}", ["08", "09", "10", "11"]),
        ("{2..0}", ["2", "1", "0"]),
        ("{0..9..4}", ["0", "4", "8"]),
        ("{9..0..4}", ["9", "5", "1"]),
        ("{a,b}-{0..1}", ["a-0", "a-1", "b-0", "b-1"]),
        ("{train,}/x", ["train/x", "/x"]),
        ("{x}/{1..2", ["{x}/{1..2"]),
        ("{7..7}", ["7"]),
    ],
)
def test_braces(pattern: str, names: list[str]) -> None:
    assert expand(pattern) == names


@given(st.integers(0, 200), st.integers(0, 40), st.integers(1, 6))
def test_a_range_counts_as_it_says(first: int, more: int, width: int) -> None:
    last = first + more
    names = expand(f"x{{{first:0{width}d}..{last:0{width}d}}}y")
    assert [int(name[1:-1]) for name in names] == list(range(first, last + 1))
    if len(str(first)) < width:
        assert {len(name) for name in names} == {max(width, len(str(last))) + 2}


@pytest.mark.parametrize("pattern", ["{0..99999999}", "{0..9999}{0..9999}"])
def test_too_many_names(pattern: str) -> None:
    with pytest.raises(InputError, match="braces"):
        expand(pattern)


def test_resolve_patterns_folders_lists_and_addresses(tmp_path: Path) -> None:
    for name in ("a-0.tar", "a-1.tar", "more/b.tar", "more/a.tar", "more/x.txt"):
        shard(tmp_path / name, [])
    (tmp_path / "list.txt").write_text("# ours\na-1.tar\n\nmore\nhttps://host/c.tar\n", "utf-8")
    fetched: list[str] = []

    def fetch(url: str) -> Path:
        fetched.append(url)
        return tmp_path / "a-0.tar"

    base = str(tmp_path)
    found = resolve([f"{base}/a-{{0..1}}.tar", f"{base}/list.txt"], fetch)
    assert [name.removeprefix(f"{base}/") for name, _ in found] == [
        "a-0.tar",
        "a-1.tar",
        "a-1.tar",
        "more/a.tar",
        "more/b.tar",
        "https://host/c.tar",
    ]
    assert fetched == ["https://host/c.tar"]
    assert found[-1][1] == tmp_path / "a-0.tar"


def test_a_remote_list_names_shards_beside_it(tmp_path: Path) -> None:
    (tmp_path / "l").write_text("s-{0..1}.tar\n", encoding="utf-8")
    fetched: list[str] = []

    def fetch(url: str) -> Path:
        fetched.append(url)
        return tmp_path / "l"

    resolve(["http://host/data/list.txt"], fetch)
    assert fetched == [f"http://host/data/{name}" for name in ("list.txt", "s-0.tar", "s-1.tar")]


def test_places_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "l.txt").write_text("other.txt\n", encoding="utf-8")
    (tmp_path / "n.txt").write_bytes(b"\xff\xfe\x80")
    for name, told in (
        ("gone.tar", "there is no shard"),
        ("empty", "no .tar shard in the folder"),
        ("l.txt", "names another list"),
        ("n.txt", "is no UTF-8 text"),
        ("m.txt", "cannot read the list"),
    ):
        with pytest.raises(InputError, match=told):
            resolve([str(tmp_path / name)], _no_fetch)


MEMBERS = [
    ("./000.mp4", b"video 0" * 100),
    ("./000.txt", b"text 0"),
    ("./000.json", b"{}"),
    ("001.txt", b"text 1"),
    ("001.MP4", b"video one"),
    ("deep/001.webm", b"w"),
    ("002.mp4", b"no caption"),
    ("003.txt", b"no video"),
    ("004.480p.mp4", b"4"),
    (".hidden", b"x"),
]


def test_index_finds_every_part(tmp_path: Path) -> None:
    path = shard(tmp_path / "s.tar", MEMBERS)
    entries = {entry.key: entry for entry in index_shard(path)}
    assert list(entries) == ["./000", "001", "deep/001", "002", "003", "004"]
    raw = path.read_bytes()

    def part(place: tuple[int, int] | None) -> bytes | None:
        return None if place is None else raw[place[0] : place[0] + place[1]]

    found = {key: (part(e.video), part(e.text), e.ending, e.fault) for key, e in entries.items()}
    assert found == {
        "./000": (b"video 0" * 100, b"text 0", ".mp4", ""),
        "001": (b"video one", b"text 1", ".mp4", ""),
        "deep/001": (b"w", None, ".webm", ""),
        "002": (b"no caption", None, ".mp4", ""),
        "003": (None, b"no video", "", "has no video"),
        "004": (b"4", None, ".mp4", ""),
    }


@given(st.data())
def test_a_shard_that_ends_early_keeps_what_is_whole(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    members = [(f"{k}.{kind}", bytes([k]) * 700) for k in range(3) for kind in ("mp4", "txt")]
    raw = shard(folder / "s.tar", members).read_bytes()
    # Each member is one block of header and two of contents.
    end = len(members) * 3 * 512
    length = data.draw(st.integers(512 + 700, end - 1) | st.sampled_from([end]))
    (folder / "s.tar").write_bytes(raw[:length])
    entries = index_shard(folder / "s.tar")
    assert entries[-1].fault == CUT
    for entry in entries[:-1]:
        for place in (entry.video, entry.text):
            if place is not None:
                assert raw[place[0] : place[0] + place[1]] == bytes([int(entry.key)]) * 700
                assert place[0] + place[1] <= length
    whole = sum((e.video is not None) + (e.text is not None) for e in entries)
    assert whole == sum(length >= 1536 * k + 512 + 700 for k in range(6))


def test_a_damaged_header_in_the_middle_is_told(tmp_path: Path) -> None:
    path = shard(tmp_path / "s.tar", [(f"{k}.mp4", b"x") for k in range(4)])
    raw = bytearray(path.read_bytes())
    raw[2 * 1024 : 2 * 1024 + 300] = b"\x7f" * 300
    path.write_bytes(raw)
    entries = index_shard(path)
    assert [entry.key for entry in entries] == ["0", "1", "after 2 samples"]
    assert entries[-1].fault == CUT


def test_shards_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "s.tar"
    for data in (b"", b"no tar file" * 100):
        path.write_bytes(data)
        with pytest.raises(InputError, match="is no uncompressed tar file"):
            index_shard(path)
    with tarfile.open(path, "w:gz") as tar:
        info = tarfile.TarInfo("a.mp4")
        info.size = 1
        tar.addfile(info, io.BytesIO(b"x"))
    with pytest.raises(InputError, match="is no uncompressed tar file"):
        index_shard(path)
    with pytest.raises(InputError, match="cannot read the shard"):
        index_shard(tmp_path / "gone.tar")
    shard(path, [])
    assert index_shard(path) == []


def test_names_that_are_no_text_stay_readable(tmp_path: Path) -> None:
    path = tmp_path / "s.tar"
    with tarfile.open(path, "w", encoding="latin-1", format=tarfile.GNU_FORMAT) as tar:
        info = tarfile.TarInfo("schön.mp4")
        tar.addfile(info)
    (entry,) = cached_index(path, tmp_path / "index")
    assert entry.key == "sch?n"
    assert cached_index(path, tmp_path / "index") == [entry]


def test_the_index_is_made_once_and_again_when_the_shard_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, folder = shard(tmp_path / "s.tar", MEMBERS), tmp_path / "index"
    first = cached_index(path, folder)
    made: list[Path] = []

    def watched(path: Path) -> list[Entry]:
        made.append(path)
        return index_shard(path)

    monkeypatch.setattr("turbo_train.data.shards.index_shard", watched)
    assert cached_index(path, folder) == first
    assert made == []
    shard(path, MEMBERS[:2])
    os.utime(path, ns=(1, 1))
    assert [entry.key for entry in cached_index(path, folder)] == ["./000"]
    assert made == [path]
    for file in folder.iterdir():
        file.write_text(json.dumps([{"key": 3}]), encoding="utf-8")
    assert [entry.key for entry in cached_index(path, folder)] == ["./000"]
    assert made == [path, path]

"""Tables and atomic files: nothing half-written is ever seen, nothing finished is lost."""

import errno
import json
import logging
import os
import resource
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turbo_eval.core import store
from turbo_eval.core.errors import ConfigError, PrerequisiteError
from turbo_eval.core.records import FeatureRow, ScoreRow, schema
from turbo_eval.core.store import Table

_SCHEMA = schema(FeatureRow)
_KEY = ("video_id", "feature_key")


def _row(name: str, status: str = "ok", seconds: float = 1.0) -> dict[str, Any]:
    facts = {"feature_key": name, "video_id": "v", "content_hash": "c", "backbone": "b"}
    return {**facts, "version": 1, "path": "", "seconds": seconds, "status": status, "reason": ""}


def _shards(table: Table) -> list[Path]:
    return sorted(table.folder.glob("*.parquet"))


def test_rows_come_back_in_order(tmp_path: Path) -> None:
    table = Table(tmp_path / "t", _SCHEMA)
    assert table.read() == []
    assert table.count() == 0
    table.append([_row("a"), _row("b")])
    table.append([])
    table.append([FeatureRow("c", "v", "c", "b", 1, "", 1.0, "ok")])
    assert table.read() == [_row("a"), _row("b"), _row("c")]
    assert Table(tmp_path / "t", _SCHEMA).read() == table.read()
    assert len(_shards(table)) == 2
    assert table.frame()["feature_key"].tolist() == ["a", "b", "c"]


_BATCHES = st.lists(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["ok", "failed"]), st.floats(0, 9)),
        max_size=4,
    ),
    max_size=5,
)


@settings(max_examples=15)
@given(batches=_BATCHES)
def test_latest_good_row_of_a_key_wins(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[tuple[str, str, float]]]
) -> None:
    folder = tmp_path_factory.mktemp("table")
    expected: dict[str, dict[str, Any]] = {}
    for batch in batches:
        rows = [_row(*facts) for facts in batch]
        # A writer of its own for every batch, as if each were another process.
        Table(folder, _SCHEMA, _KEY).append(rows)
        for row in rows:
            before = expected.get(row["feature_key"])
            if before is None or row["status"] == "ok" or before["status"] != "ok":
                expected[row["feature_key"]] = row
    table = Table(folder, _SCHEMA, _KEY)
    assert {row["feature_key"]: row for row in table.read()} == expected
    assert table.count() == len(expected)


def test_absent_is_null_and_never_zero(tmp_path: Path) -> None:
    table = Table(tmp_path, schema(ScoreRow))
    table.append([ScoreRow("v", "p", "m", "x", 1, "mini", None, None, None, "skipped", "no text")])
    row = Table(tmp_path, schema(ScoreRow)).read()[0]
    assert row["value"] is None
    assert row["denominator"] is None


def test_a_row_without_a_column_is_refused(tmp_path: Path) -> None:
    table = Table(tmp_path / "t", _SCHEMA)
    with pytest.raises(ValueError, match="no status"):
        table.append([{k: v for k, v in _row("a").items() if k != "status"}])
    with pytest.raises(ValueError, match="no path"):
        table.append([{**_row("a"), "path": None}])
    assert not table.folder.exists()


@settings(max_examples=15)
@given(share=st.floats(0, 0.999))
def test_truncated_shard_is_set_aside(
    tmp_path_factory: pytest.TempPathFactory, share: float
) -> None:
    folder = tmp_path_factory.mktemp("table")
    table = Table(folder, _SCHEMA)
    table.append([_row("a")])
    table.append([_row("b")])
    first = _shards(table)[0]
    data = first.read_bytes()
    first.write_bytes(data[: int(len(data) * share)])
    assert Table(folder, _SCHEMA).read() == [_row("b")]
    assert [p.name for p in folder.glob("*.broken")] == [first.name + ".broken"]
    assert Table(folder, _SCHEMA).read() == [_row("b")]


@pytest.mark.parametrize("share", [0.02, 0.2, 0.5, 0.9])
def test_a_flipped_bit_is_noticed_or_harmless(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, share: float
) -> None:
    table = Table(tmp_path, _SCHEMA)
    rows = [_row(f"{i * i}") for i in range(50)]
    table.append(rows)
    shard = _shards(table)[0]
    data = bytearray(shard.read_bytes())
    data[int(len(data) * share)] ^= 0x10
    shard.write_bytes(bytes(data))
    with caplog.at_level(logging.WARNING):
        read = Table(tmp_path, _SCHEMA).read()
    assert read == rows or (read == [] and "set aside" in caplog.text)


def test_temporary_and_vanished_files_are_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = Table(tmp_path, _SCHEMA)
    table.append([_row("a")])
    (tmp_path / ".1-x.tmp").write_bytes(b"half")
    (tmp_path / "notes.txt").write_text("x")
    assert Table(tmp_path, _SCHEMA).read() == [_row("a")]

    def gone(_: Path) -> bytes:
        raise FileNotFoundError(errno.ENOENT, "gone")

    monkeypatch.setattr(Path, "read_bytes", gone)
    assert Table(tmp_path, _SCHEMA).read() == []


def test_rows_of_another_process_are_seen(tmp_path: Path) -> None:
    mine, theirs = Table(tmp_path, _SCHEMA), Table(tmp_path, _SCHEMA)
    mine.append([_row("a")])
    assert theirs.read() == [_row("a")]
    mine.append([_row("b")])
    assert theirs.read() == [_row("a"), _row("b")]
    _shards(mine)[0].unlink()
    assert theirs.read() == [_row("b")]


def test_an_older_version_lacks_columns_and_a_stranger_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"video_id": ["v"], "extra": [1]}), tmp_path / "1.parquet")
    row = Table(tmp_path, _SCHEMA).read()[0]
    assert row["video_id"] == "v"
    assert row["reason"] is None
    pq.write_table(pa.table({"version": ["not a number"]}), tmp_path / "2.parquet")
    with pytest.raises(ConfigError, match="does not fit"):
        Table(tmp_path, _SCHEMA).read()


def test_a_shard_is_read_from_disk_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table(tmp_path, _SCHEMA, _KEY)
    table.append([_row("a")])
    table.append([_row("b")])
    read, opened = Path.read_bytes, []

    def count(path: Path) -> bytes:
        opened.append(path)
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", count)
    fresh = Table(tmp_path, _SCHEMA, _KEY)
    assert fresh.count() == len(fresh.read()) == 2
    assert len(opened) == 2
    assert table.count() == 2
    assert len(opened) == 2


@pytest.mark.parametrize(("code", "word"), [(errno.ENOSPC, "no space"), (errno.EROFS, "read-only")])
def test_failed_write_keeps_the_old_file_and_names_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, word: str
) -> None:
    path = tmp_path / "summary.json"
    store.write_json_atomic(path, {"old": 1})

    def fail(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "write" if code == errno.ENOSPC else "open", fail)
    with pytest.raises(PrerequisiteError, match=word) as caught:
        store.write_json_atomic(path, {"new": 1})
    assert str(tmp_path) in str(caught.value)
    monkeypatch.undo()
    assert json.loads(path.read_text()) == {"old": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, bytes(data[:3])))
    store.write_text_atomic(tmp_path / "t", "more than three bytes")
    assert (tmp_path / "t").read_text() == "more than three bytes"


def test_a_real_limit_on_file_size_is_reported(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(PrerequisiteError, match="no space"):
            store.write_bytes_atomic(tmp_path / "big", bytes(10_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_place_of_the_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("in the way")
    table = Table(tmp_path / "t", _SCHEMA)
    with pytest.raises(PrerequisiteError, match="in the way"):
        table.append([_row("a")])
    with pytest.raises(PrerequisiteError, match="cannot read"):
        table.read()


def test_failure_inside_atomic_path_leaves_nothing(tmp_path: Path) -> None:
    def write_half() -> None:
        with store.atomic_path(tmp_path / "deep" / "file") as temporary:
            temporary.write_bytes(b"half")
            raise RuntimeError("library failed")

    with pytest.raises(RuntimeError):
        write_half()
    assert list((tmp_path / "deep").iterdir()) == []


def test_numbers_that_are_not_finite_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        store.write_json_atomic(tmp_path / "x.json", {"value": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_old_temporary_files_are_swept_and_young_ones_kept(tmp_path: Path) -> None:
    old, young = tmp_path / "videos" / ".1-a.tmp", tmp_path / ".2-b.tmp"
    for path in (old, young):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    os.utime(old, (1, 1))
    assert store.sweep_temporary(tmp_path) == 1
    assert young.exists()
    assert not old.exists()

"""The only writer of results: atomic files, and tables made of immutable Parquet shards.

A file appears under its name only when it is complete and synced, so a kill at any moment leaves
either the old state or the new one. A table is a folder; each append adds one shard under a name
of its own, so any number of processes may append without a lock.
"""

import contextlib
import dataclasses
import io
import json
import logging
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from turbo_eval.core.errors import ConfigError, PrerequisiteError, from_os_error

if TYPE_CHECKING:
    import pandas as pd
    from _typeshed import DataclassInstance as Row

logger = logging.getLogger(__name__)

_TEMPORARY = ".tmp"
_BROKEN = ".broken"


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`; on success synced and renamed to it, else removed.

    For libraries that insist on writing a file by name. Missing folders are made.

    Raises:
        PrerequisiteError: The disk is full, or the folder cannot be written.
    """
    # The temporary name does not grow with the final one, which may be at the system's limit.
    temporary = path.parent / f".{os.getpid()}-{secrets.token_hex(6)}{_TEMPORARY}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _sync(temporary)
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise from_os_error(error, path) from error
    finally:
        # Still there only after a failure; then nothing more can be done about it.
        with contextlib.suppress(OSError):
            temporary.unlink()


def write_bytes_atomic(path: Path, data: bytes | memoryview) -> None:
    """Write a whole file or nothing, synced to disk.

    Raises:
        PrerequisiteError: The disk is full, or the folder cannot be written.
    """
    with atomic_path(path) as temporary:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(handle, left) :]
        finally:
            os.close(handle)


def write_text_atomic(path: Path, text: str) -> None:
    """`write_bytes_atomic` for text, as UTF-8."""
    write_bytes_atomic(path, text.encode("utf-8"))


def write_json_atomic(path: Path, value: Any) -> None:
    """`write_bytes_atomic` for a JSON-able value, indented, with a final line break.

    Raises:
        ValueError: The value holds a number that is not finite: absent is null, never NaN.
    """
    write_text_atomic(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_rows_atomic(
    path: Path, rows: Iterable["Row | Mapping[str, Any]"], schema: pa.Schema
) -> None:
    """`write_bytes_atomic` for rows as one Parquet file, also for none (see `Table.append`)."""
    write_bytes_atomic(path, _parquet([_as_dict(row) for row in rows], schema, path.name)[1])


def sweep_temporary(folder: Path, older_than: float = 3600.0) -> int:
    """Remove temporary files that killed processes left, at least `older_than` seconds old.

    Returns:
        How many were removed.
    """
    removed = 0
    for left in folder.rglob(f".*{_TEMPORARY}"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime >= older_than:
                left.unlink()
                removed += 1
    return removed


class Table:
    """Rows in a folder of immutable Parquet shards.

    Args:
        folder: The folder; made by the first append.
        schema: Columns, see `turbo_eval.core.records.schema`.
        key: Columns that identify a row. Of rows with the same key, `read` returns the latest one
            with status ok, or the latest if none is ok. Without a key, every row.
    """

    def __init__(self, folder: Path, schema: pa.Schema, key: Sequence[str] = ()) -> None:
        self.folder = Path(folder)
        self.schema = schema
        self.key = tuple(key)
        self._shards: dict[str, pa.Table] = {}
        self._last_stamp = 0

    def append(self, rows: Iterable["Row | Mapping[str, Any]"]) -> None:
        """Add rows as one shard, all or none; no rows, no shard.

        Raises:
            PrerequisiteError: The disk is full, or the folder cannot be written.
            ValueError: A row lacks a column, or a value does not fit its column.
        """
        values = [_as_dict(row) for row in rows]
        if not values:
            return
        shard, data = _parquet(values, self.schema, self.folder.name)
        # Names sort by time, also within one tick of the clock, so the latest row is known.
        self._last_stamp = max(self._last_stamp + 1, time.time_ns())
        name = f"{self._last_stamp:020d}-{os.getpid()}-{secrets.token_hex(4)}.parquet"
        write_bytes_atomic(self.folder / name, data)
        self._shards[name] = shard

    def read(self) -> list[dict[str, Any]]:
        """Every row in the order of writing, duplicates by key resolved (see the class).

        Temporary files are ignored, shards that vanish meanwhile are left out, and a damaged
        shard is renamed to *.broken with a warning.

        Raises:
            PrerequisiteError: The folder exists and cannot be read.
            ConfigError: A shard was written by another version and does not fit the columns.
        """
        rows: list[dict[str, Any]] = self._table().to_pylist()
        return rows

    def frame(self) -> "pd.DataFrame":
        """The rows of `read` as a pandas data frame."""
        return self._table().to_pandas()

    def count(self) -> int:
        """The number of rows that `read` returns."""
        return int(self._table().num_rows)

    def _table(self) -> pa.Table:
        loaded = [self._shards[n] for n in self._refresh()]
        if not loaded:
            return self.schema.empty_table()
        return self._latest(pa.concat_tables(loaded))

    def _refresh(self) -> list[str]:
        """Read the shards not read before; the names of all that are there, in order."""
        try:
            with os.scandir(self.folder) as entries:
                found = sorted(e.name for e in entries if e.name.endswith(".parquet"))
        except FileNotFoundError:
            found = []
        except OSError as error:
            raise _unreadable(self.folder, error) from error
        known: dict[str, pa.Table] = {}
        for name in found:
            if name.startswith("."):
                continue
            shard = self._shards.get(name)
            shard = self._load(self.folder / name) if shard is None else shard
            if shard is not None:
                known[name] = shard
        self._shards = known
        return list(known)

    def _load(self, path: Path) -> pa.Table | None:
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreadable(path, error) from error
        try:
            # pq.read_table would go through the data set layer: ten times slower on small files.
            file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
            shard = file.read(use_threads=False)
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, MemoryError):
                raise
            _set_aside(path, error)
            return None
        return self._conform(shard, path)

    def _conform(self, shard: pa.Table, path: Path) -> pa.Table:
        """The shard with exactly this table's columns; columns it lacks become null."""
        if shard.schema.equals(self.schema):
            return shard
        try:
            columns = [
                shard.column(field.name).cast(field.type)
                if field.name in shard.column_names
                else pa.nulls(shard.num_rows, field.type)
                for field in self.schema
            ]
            return pa.table(columns, schema=self.schema)
        except (pa.ArrowException, ValueError) as error:
            raise ConfigError(
                f"{path} does not fit this version's columns",
                why=str(error),
                fix="use the version that wrote the run, or another run folder",
            ) from error

    def _latest(self, table: pa.Table) -> pa.Table:
        if not self.key:
            return table
        columns = [table.column(name).to_pylist() for name in self.key]
        has_status = "status" in table.column_names
        good = [s == "ok" for s in table.column("status").to_pylist()] if has_status else []
        chosen: dict[tuple[Any, ...], int] = {}
        for row, key in enumerate(zip(*columns, strict=True)):
            before = chosen.get(key)
            if before is None or not has_status or good[row] or not good[before]:
                chosen[key] = row
        if len(chosen) == table.num_rows:
            return table
        return table.take(pa.array(sorted(chosen.values()), pa.int64()))


def _parquet(
    values: list[dict[str, Any]], schema: pa.Schema, name: str
) -> tuple[pa.Table, memoryview]:
    """Rows as a table of the schema and as the bytes of a Parquet file."""
    for column in schema.names:
        nullable = schema.field(column).nullable
        if any(column not in v or (v[column] is None and not nullable) for v in values):
            raise ValueError(f"a row for {name} has no {column}")
    table = pa.Table.from_pylist(values, schema=schema)
    buffer = io.BytesIO()
    pq.write_table(
        table, buffer, compression="zstd", write_statistics=False, write_page_checksum=True
    )
    return table, buffer.getbuffer()


def _as_dict(row: "Row | Mapping[str, Any]") -> dict[str, Any]:
    if isinstance(row, Mapping):
        return dict(row)
    return {field.name: getattr(row, field.name) for field in dataclasses.fields(row)}


def _set_aside(path: Path, error: Exception) -> None:
    logger.warning("%s is damaged and is set aside: %s", path, str(error).partition("\n")[0])
    # Another process may have done it already, or the folder may be read-only.
    with contextlib.suppress(OSError):
        path.rename(path.with_name(path.name + _BROKEN))


def _unreadable(path: Path, error: OSError) -> PrerequisiteError:
    return PrerequisiteError(
        f"cannot read {path}",
        why=error.strerror or str(error),
        fix="check its permissions and its disk",
    )


def _sync(path: Path) -> None:
    _with_handle(path, os.fsync)


def _sync_folder(folder: Path) -> None:
    # Some network file systems refuse to sync a folder; the file itself is safe by then.
    with contextlib.suppress(OSError):
        _with_handle(folder, os.fsync)


def _with_handle(path: Path, act: Callable[[int], None]) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        act(handle)
    finally:
        os.close(handle)

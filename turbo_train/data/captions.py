"""Captions of videos: tables (csv, jsonl) and text files."""

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turbo_eval.core.errors import InputError, nearest
from turbo_train.data.samples import BrokenSample

PATH_COLUMNS = ("path", "relpath")
TEXT_COLUMNS = ("text", "caption")
NO_CAPTION = "has no caption"
NOT_UTF8 = "has a caption that is not UTF-8"
NO_OBJECT = "is a line that is no JSON object"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table.

    Attributes:
        where: File name and line, e.g. "captions.csv:3".
        path: The video it is about; None where the row tells none.
        caption: Its text as found; None where the row tells none.
        fault: Why the whole row cannot be used, or empty.
    """

    where: str
    path: str | None = None
    caption: str | None = None
    fault: str = ""


def checked(text: str | bytes | None) -> str:
    """A caption without white space around it.

    Raises:
        BrokenSample: There is none, or it is not UTF-8.
    """
    try:
        # Bytes that were no UTF-8 in a table are lone surrogates by now.
        whole = text.decode("utf-8-sig") if isinstance(text, bytes) else text or ""
        whole.encode("utf-8")
    except UnicodeError:
        raise BrokenSample(NOT_UTF8) from None
    if not whole.strip():
        raise BrokenSample(NO_CAPTION)
    return whole.strip()


def read_table(path: Path) -> list[Row]:
    """Read a table with one video a row: its path (`path` or `relpath`) and `text` or `caption`.

    A faulty row stays in the list and says so, because one row in millions is no reason to stop.

    Args:
        path: A csv file with a header, or a jsonl file with one object a line; UTF-8.

    Returns:
        The rows in their order.

    Raises:
        InputError: The file is missing, unreadable, of another kind, empty, or lacks a column.
    """
    kind = path.suffix.lower()
    if kind not in (".csv", ".jsonl"):
        raise InputError(f"{path} is no table of captions", fix="give a .csv or a .jsonl file")
    try:
        with path.open("rb") as file:
            if file.read(2) in _UTF16:
                raise InputError(f"{path} is in UTF-16", fix="save it as UTF-8")
        found = list(_csv(path) if kind == ".csv" else _jsonl(path))
    except OSError as error:
        why = error.strerror or str(error)
        raise InputError(f"cannot read {path}", why=why, fix="check data.captions") from error
    if not found:
        raise InputError(f"{path} has no rows", fix="give a row for each video")
    return _rows(path, found)


_Found = tuple[int, dict[str, Any] | str]
"""Line number, and the row's columns or the fault of the whole line."""


def _csv(path: Path) -> Iterator[_Found]:
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.DictReader(file, restkey="", restval=None)
        try:
            for row in reader:
                yield reader.line_num, row
        except csv.Error as error:
            raise InputError(
                f"{path} is damaged after line {reader.line_num}", why=str(error), fix="repair it"
            ) from error


def _jsonl(path: Path) -> Iterator[_Found]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line.decode("utf-8-sig", "surrogateescape"))
            except (ValueError, RecursionError):
                row = None
            yield number, row if isinstance(row, dict) else NO_OBJECT


def _rows(path: Path, found: Sequence[_Found]) -> list[Row]:
    columns: dict[str, None] = {}
    for _, row in found:
        if isinstance(row, dict):
            columns.update(dict.fromkeys(key for key in row if key))
    place = _column(path, PATH_COLUMNS, list(columns), "the videos' paths")
    text = _column(path, TEXT_COLUMNS, list(columns), "captions")
    rows = []
    for number, row in found:
        where = f"{path.name}:{number}"
        if isinstance(row, str):
            rows.append(Row(where, fault=row))
        else:
            rows.append(Row(where, _text(row.get(place)), _text(row.get(text))))
    return rows


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _column(path: Path, wanted: tuple[str, ...], columns: list[str], what: str) -> str:
    for name in wanted:
        for column in columns:
            if column.strip().lower() == name:
                return column
    near = list(dict.fromkeys(c for name in wanted for c in nearest(name, columns)))
    # The header itself may hold bytes that are not UTF-8.
    shown = [c.encode("utf-8", "replace").decode() for c in near or columns]
    has = "nearest: " if near else "it has "
    raise InputError(
        f"{path} has no column for {what} ({' or '.join(wanted)})",
        why=(has + ", ".join(shown[:10])) if shown else "no row has columns",
        fix=f"name that column {wanted[0]!r}",
    )

"""The forms in which people write prompts: txt, csv, json, jsonl; each becomes checked entries."""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from turbo_eval.core.errors import InputError, UsageError
from turbo_eval.prompts.dimensions import default_dimensions, dimension, ordered
from turbo_eval.prompts.entries import Entry
from turbo_eval.prompts.text import clean, clean_facts, decode, kind, read_bytes, shown

SUFFIXES: tuple[str, ...] = (".txt", ".csv", ".json", ".jsonl")
_TEXT_KEYS = ("prompt_en", "prompt", "text")
_DIMENSION_KEYS = ("dimension", "dimensions")
_FACT_KEYS = ("auxiliary_info", "auxiliary")
_KNOWN = frozenset((*_TEXT_KEYS, *_DIMENSION_KEYS, *_FACT_KEYS))


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a prompt file holds.

    Attributes:
        entries: One for each entry of the file, in its order; not merged.
        files: Video file name -> prompt, for the form ``{file: prompt}``; else empty.
        ignored: Names of columns or keys that mean nothing here.
        data: The bytes that were read, so that a checksum is of the same bytes.
    """

    entries: list[Entry]
    files: Mapping[str, str]
    ignored: tuple[str, ...]
    data: bytes


def parse(path: Path, *, allow_long: bool = False) -> Parsed:
    """Read a prompt file; its suffix says the form.

    Args:
        path: ``.txt`` a prompt a line; ``.csv`` with a header; ``.json`` a list of texts or
            objects, or an object ``{video file: prompt}``; ``.jsonl`` a text or object a line.
        allow_long: Accept prompts above `text.MAX_CHARACTERS`.

    Returns:
        At least one entry. An entry without dimensions gets the free ones and those whose facts it
        brings (`dimensions.default_dimensions`).

    Raises:
        InputError: When the file cannot be read, is not UTF-8, has another form, or holds an entry
            that is no prompt. The message names the line or the entry.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(
            f"cannot tell the form of {shown(path, 300)}",
            why=f"the file name ends in {shown(suffix)}" if suffix else "its name has no suffix",
            fix=f"use one of {', '.join(SUFFIXES)}",
        )
    data = read_bytes(path)
    name = shown(path.name)
    text = decode(data, path.name)
    files: dict[str, str] = {}
    rows: Iterator[tuple[str, Any]]
    if suffix == ".txt":
        rows = _txt(text, name)
    elif suffix == ".csv":
        rows = _csv(text, name)
    elif suffix == ".jsonl":
        rows = _jsonl(text, name)
    else:
        rows, files = _json(text, name, allow_long=allow_long)
    ignored: dict[str, None] = {}
    entries = []
    for where, row in rows:
        if isinstance(row, Mapping):
            ignored.update(dict.fromkeys(shown(key) for key in row if str(key) not in _KNOWN))
        entries.append(_entry(row, where, allow_long=allow_long))
    if not entries:
        raise InputError(f"{name} holds no prompt", why="the list is empty", fix="add prompts")
    return Parsed(entries, files, tuple(ignored), data)


def _lines(text: str) -> list[str]:
    # Not str.splitlines: it also splits at U+2028 and others that may stand inside a prompt.
    lines = re.split(r"\r\n|\n|\r", text)
    while lines and not lines[-1].strip():
        lines.pop()
    return lines


def _txt(text: str, name: str) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(_lines(text), start=1):
        yield f"{name}, line {number}", line


def _jsonl(text: str, name: str) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(_lines(text), start=1):
        where = f"{name}, line {number}"
        if not line.strip():
            raise InputError(where, why="the line is empty", fix="remove it")
        yield where, _loads(line, where, several_lines=False)


def _csv(text: str, name: str) -> Iterator[tuple[str, Any]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        header = [cell.strip().lower() for cell in next(reader)]
        _check_header(header, name)
        blank = ""
        for cells in reader:
            # A quoted cell may hold line breaks: a row starts after the line where the last ended.
            where, line = f"{name}, line {line + 1}", reader.line_num
            if not any(cell.strip() for cell in cells):
                blank = blank or where
                continue
            if blank:
                raise InputError(blank, why="the line is empty", fix="remove it")
            if len(cells) > len(header):
                raise InputError(
                    where,
                    why=f"{len(cells)} cells under a header of {len(header)}",
                    fix='put a prompt that holds a comma in quotes: "a cat, asleep"',
                )
            yield where, _csv_row(dict(zip(header, cells, strict=False)), where)
    except csv.Error as error:
        raise InputError(
            f"{name}, line {reader.line_num}",
            why=f"not a CSV row ({error})",
            fix='double the quotes inside a quoted cell: "a ""red"" cat"',
        ) from error


def _check_header(header: Sequence[str], name: str) -> None:
    twice = next((cell for cell in header if cell and header.count(cell) > 1), None)
    if twice is not None:
        raise InputError(f"{name}, line 1", why=f"two columns {shown(twice)}", fix="rename one")
    if not set(header) & set(_TEXT_KEYS):
        raise InputError(
            f"{name}, line 1",
            why=f"no column is called {', '.join(_TEXT_KEYS)}",
            fix="start the file with a header such as prompt,dimension",
        )


def _csv_row(row: dict[str, Any], where: str) -> dict[str, Any]:
    for key in _DIMENSION_KEYS:
        if key in row:
            row[key] = [part for part in re.split(r"[;,|]", row[key]) if part.strip()] or None
    for key in _FACT_KEYS:
        if key in row:
            row[key] = _loads(row[key], where) if row[key].strip() else None
    row.pop("", None)
    return row


def _json(
    text: str, name: str, *, allow_long: bool
) -> tuple[Iterator[tuple[str, Any]], dict[str, str]]:
    value = _loads(text, name, several_lines=True)
    if isinstance(value, list):
        return ((f"{name}, entry {i}", row) for i, row in enumerate(value, start=1)), {}
    if isinstance(value, Mapping) and value and set(value).isdisjoint(_KNOWN):
        wheres = {file: f"{name}, entry {i}" for i, file in enumerate(value, start=1)}
        files = {
            clean(file, wheres[file], allow_long=True): clean(
                prompt, wheres[file], allow_long=allow_long
            )
            for file, prompt in value.items()
        }
        return ((wheres[file], prompt) for file, prompt in value.items()), files
    raise InputError(
        f"{name} holds no list of prompts",
        why=f"it holds {kind(value) if value else 'nothing'}",
        fix='write ["a cat", ...], [{"prompt_en": "a cat", "dimension": ["color"]}, ...] '
        'or {"clip.mp4": "a cat", ...}',
    )


def _loads(text: str, where: str, *, several_lines: bool = False) -> Any:
    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not JSON")

    def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise ValueError(f"the key {shown(twice)} stands twice")
        return found

    try:
        return json.loads(text, object_pairs_hook=distinct, parse_constant=refuse)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise InputError(
            f"{where}, {place}" if several_lines else where,
            why=f"not JSON ({error.msg})",
            fix="check commas, quotes and brackets",
        ) from error
    except (ValueError, RecursionError) as error:
        why = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InputError(where, why=why, fix="correct the JSON") from error


def _entry(row: Any, where: str, *, allow_long: bool) -> Entry:
    if isinstance(row, str):
        row = {"prompt": row}
    if not isinstance(row, Mapping):
        raise InputError(
            where, why=f"the entry is {kind(row)}, not a prompt", fix="write text or an object"
        )
    key = _only(row, _TEXT_KEYS, where)
    if key is None:
        raise InputError(
            where,
            why=f"the entry has no key {', '.join(_TEXT_KEYS)}",
            fix='write {"prompt": "a cat"}',
        )
    text = clean(row[key], where, allow_long=allow_long)
    fact_key = _only(row, _FACT_KEYS, where)
    facts = clean_facts(row[fact_key] if fact_key else None, where)
    dimension_key = _only(row, _DIMENSION_KEYS, where)
    named = row[dimension_key] if dimension_key else None
    dimensions = default_dimensions(facts) if named is None else _dimensions(named, where)
    return Entry(text=text, dimensions=dimensions, auxiliary=facts, where=where)


def _only(row: Mapping[str, Any], keys: Sequence[str], where: str) -> str | None:
    present = [key for key in keys if key in row]
    if len(present) > 1:
        raise InputError(
            where, why=f"both {present[0]} and {present[1]} are given", fix="keep one of them"
        )
    return present[0] if present else None


def _dimensions(value: Any, where: str) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        raise InputError(
            where,
            why=f"the dimension is {kind(value) if names else 'an empty list'}, not names",
            fix='write ["color"], or leave it out',
        )
    try:
        return ordered(dimension(name) for name in names)
    except UsageError as error:
        raise InputError(where, why=error.what, fix=error.fix) from error

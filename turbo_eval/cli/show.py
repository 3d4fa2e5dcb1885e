"""How commands print data: JSON on stdout, or a plain table that fits the terminal."""

import dataclasses
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

DASH = "-"


def print_json(data: object) -> None:
    """Print data as indented JSON on stdout; absent and not-a-number become null."""
    print(json.dumps(plain(data), indent=2, ensure_ascii=False, allow_nan=False))


def plain(data: object) -> Any:
    """Turn records, paths and tuples into what JSON knows.

    Args:
        data: dataclasses, mappings, sequences, paths and scalars in any nesting.

    Returns:
        The same content in dicts, lists, strings, numbers, booleans and None.
    """
    if dataclasses.is_dataclass(data) and not isinstance(data, type):
        fields = dataclasses.fields(data)
        return {field.name: plain(getattr(data, field.name)) for field in fields}
    if isinstance(data, Mapping):
        return {str(key): plain(value) for key, value in data.items()}
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if data is None or isinstance(data, str | int):
        return data
    if isinstance(data, Path):
        return str(data)
    if isinstance(data, Sequence | set | frozenset):
        return [plain(value) for value in data]
    return str(data)


def print_table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table on stdout: bordered and wrapped on a terminal, tab-separated in a pipe.

    Args:
        headers: column names.
        rows: cells in the same order; None and empty text print as a dash.
    """
    cells = [[_cell(value) for value in row] for row in rows]
    if not sys.stdout.isatty():
        for line in ([*headers], *cells):
            print("\t".join(line))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(*headers, box=box.SIMPLE_HEAD, safe_box=True)
    for line in cells:
        table.add_row(*line)
    # Text of users and plug-ins must not be read as markup.
    Console(markup=False, highlight=False).print(table)


def _cell(value: object) -> str:
    if value is None or value == "":
        return DASH
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or DASH
    # A tab or line break inside a cell would shift the columns of a piped table.
    return " ".join(str(value).split())

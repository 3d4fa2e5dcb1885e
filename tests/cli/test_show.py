"""Data on stdout: JSON that any reader takes, tables that survive a pipe."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turbo_eval.cli.show import plain, print_json, print_table

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
nested = st.recursive(
    scalars,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
)


@dataclass(frozen=True)
class Record:
    name: str
    where: Path


@given(nested)
def test_plain_is_strict_json(data: Any) -> None:
    text = json.dumps(plain(data), allow_nan=False)
    assert json.loads(text) == plain(data)


def test_records_paths_and_absent_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": Record("x", Path("p/q")), "b": float("nan"), "c": ("ä", None)})
    assert json.loads(capsys.readouterr().out) == {
        "a": {"name": "x", "where": "p/q"},
        "b": None,
        "c": ["ä", None],
    }


@given(st.lists(st.lists(st.text(), min_size=2, max_size=2), max_size=4))
def test_piped_table_keeps_rows_and_columns(rows: list[list[str]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        lines: list[str] = []
        patch.setattr("builtins.print", lines.append)
        print_table(["one", "two"], rows)
    assert lines[0] == "one\ttwo"
    assert len(lines) == 1 + len(rows)
    assert all(line.count("\t") == 1 and "\n" not in line for line in lines)


def test_absent_is_a_dash(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["a", "b", "c"], [[None, "", []]])
    assert capsys.readouterr().out.splitlines()[1] == "-\t-\t-"

"""Rewritten prompts: beside the originals, never in their place."""

import json
from pathlib import Path

import pytest

from turbo_eval.core.errors import InputError
from turbo_eval.prompts import load
from turbo_eval.prompts.rewritten import spoken, with_rewritten


@pytest.fixture
def list_of_two(tmp_path: Path) -> Path:
    path = tmp_path / "list.txt"
    path.write_text("a cat\na dog\n", encoding="utf-8")
    return path


def test_line_by_line(list_of_two: Path, tmp_path: Path) -> None:
    suite = load(list_of_two)
    (tmp_path / "long.txt").write_text("a very long cat\na very long dog\n", encoding="utf-8")
    found = with_rewritten(suite, tmp_path / "long.txt")
    assert [spoken(prompt) for prompt in found] == ["a very long cat", "a very long dog"]
    assert [prompt.text for prompt in found] == ["a cat", "a dog"]
    assert [prompt.dimensions for prompt in found] == [prompt.dimensions for prompt in suite]
    assert {p.id for p in found}.isdisjoint(p.id for p in suite)
    assert found.checksum != suite.checksum
    assert [spoken(prompt) for prompt in suite] == ["a cat", "a dog"]


def test_originals_that_stand_twice_keep_the_lines_together(
    list_of_two: Path, tmp_path: Path
) -> None:
    (tmp_path / "long.txt").write_text("cat one\ndog one\ncat two\n", encoding="utf-8")
    originals = ["a cat", "a dog", "a cat"]
    found = with_rewritten(load(list_of_two), tmp_path / "long.txt", originals)
    assert [spoken(prompt) for prompt in found] == ["cat one", "dog one"]


def test_by_name(list_of_two: Path, tmp_path: Path) -> None:
    path = tmp_path / "long.json"
    path.write_text(json.dumps({"a dog": "dogs", "a cat": "cats", "a cow": "cows"}))
    assert [spoken(prompt) for prompt in with_rewritten(load(list_of_two), path)] == [
        "cats",
        "dogs",
    ]
    path.write_text(json.dumps({"a dog": "dogs"}))
    with pytest.raises(InputError, match="no text for a cat"):
        with_rewritten(load(list_of_two), path)


def test_another_number_of_lines_is_refused(list_of_two: Path, tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text("only one\n", encoding="utf-8")
    with pytest.raises(InputError, match="holds 1 texts"):
        with_rewritten(load(list_of_two), tmp_path / "long.txt")

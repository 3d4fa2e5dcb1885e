"""VBench's suite: found without importing the package, verified, joined, cut by dimension."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from turbo_eval.core.errors import InputError, PrerequisiteError, UsageError
from turbo_eval.prompts import FREE_DIMENSIONS, load
from turbo_eval.prompts.sync import sync

Write = Callable[[str, Any], Path]


def test_equal_texts_are_joined_and_capitals_count(clone: Path) -> None:
    suite = load("vbench", file=clone / "vbench" / "VBench_full_info.json")
    assert [p.text for p in suite] == ["The harbour", "A fantasy landscape", "a fantasy landscape"]
    assert set(suite.prompts[0].dimensions) == {"color", "overall_consistency", "imaging_quality"}
    assert suite.prompts[0].auxiliary == {"color": {"color": "red"}}
    assert [p.index for p in suite] == [0, 1, 2]
    assert len({p.id for p in suite}) == 3
    assert suite.info["standard"] is True
    assert (suite.name, suite.info["entries"]) == ("vbench", 4)


def test_absent_says_how_to_get_it() -> None:
    for name in ("vbench", "vbench:dimension:color", "vbench:category:animal"):
        with pytest.raises(PrerequisiteError, match=r"pip install|clone .* prompts sync --from"):
            load(name)


def test_the_package_that_set_up_installs_holds_the_published_suite(tmp_path: Path) -> None:
    code = "from turbo_eval.prompts import load; print(len(load('vbench')))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "TURBO_EVAL_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("944\n", "")


def test_package_is_read_without_being_imported(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (clone / "vbench" / "__init__.py").write_text("raise ImportError('needs a decoder')")
    monkeypatch.syspath_prepend(str(clone))
    suite = load("vbench")
    assert suite.info["file"] == str(clone / "vbench" / "VBench_full_info.json")
    assert len(load("vbench:category:animal")) == 100
    assert "vbench" not in sys.modules


def test_synced_copy_and_variable_are_found(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sync(clone)
    assert len(load("vbench")) == 3
    named = clone / "vbench" / "VBench_full_info.json"
    monkeypatch.setenv("TURBO_EVAL_VBENCH_INFO", str(named))
    assert load("vbench").info["file"] == str(named)
    monkeypatch.setenv("TURBO_EVAL_VBENCH_INFO", str(clone / "absent.json"))
    with pytest.raises(InputError, match="TURBO_EVAL_VBENCH_INFO names it"):
        load("vbench")


def test_changed_standard_file_is_refused_but_usable_by_name(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = clone / "vbench" / "VBench_full_info.json"
    whole = {p.text: p.id for p in load("vbench", file=path)}
    path.write_text(json.dumps(json.loads(path.read_text())[:3]))
    monkeypatch.setenv("TURBO_EVAL_VBENCH_INFO", str(path))
    with pytest.raises(InputError, match="is not the published file: its SHA-256 starts with"):
        load("vbench")
    suite = load(f"vbench:{path}")
    assert suite.name == "vbench:VBench_full_info.json"
    assert suite.notes[0].startswith("not the standard list")
    # Videos of an equal prompt can be used again, whichever list it was read from.
    assert suite.prompts[1].id == whole["A fantasy landscape"]


def test_a_list_in_another_schema_is_refused(write: Write) -> None:
    with pytest.raises(InputError, match="entry 1: the entry has no key"):
        load(f"vbench:{write('info.json', [{'caption': 'x'}])}")
    with pytest.raises(InputError, match="there is no such file"):
        load("vbench:absent.json")


def test_parts_by_dimension(clone: Path) -> None:
    sync(clone)
    suite = load("vbench:dimension:color")
    assert [p.text for p in suite] == ["The harbour"]
    assert suite.prompts == load("vbench", subset="color").prompts
    assert suite.prompts == load("vbench", subset="dimension:color").prompts
    assert suite.prompts[0].id == load("vbench").prompts[0].id
    with pytest.raises(UsageError, match="did you mean color"):
        load("vbench:dimension:colour")
    with pytest.raises(UsageError, match="did you mean .*animal"):
        load("vbench", subset="animals")


def test_categories(clone: Path) -> None:
    sync(clone)
    suite = load("vbench:category:food")
    assert (len(suite), suite.dimensions) == (100, FREE_DIMENSIONS)
    assert suite == load("vbench", subset="food") == load("vbench", subset="category:food")
    everything = load("vbench:category:all")
    assert len(everything) == 8 * 99 + 1
    assert {p.id for p in suite} <= {p.id for p in everything}
    shared = next(p.id for p in everything if p.text == "a road through fields")
    assert len(everything.info["categories"][shared]) == 8
    with pytest.raises(UsageError, match="did you mean human"):
        load("vbench:category:humans")


def test_changed_category_list_is_refused(clone: Path, tmp_path: Path) -> None:
    sync(clone)
    path = tmp_path / "home/prompts/vbench/prompts_per_category/food.txt"
    path.write_text(path.read_text() + "\nmore")
    with pytest.raises(InputError, match="is not the published file"):
        load("vbench:category:food")

"""EvalCrafter's prompts: numbered, so that equal texts stay apart."""

from pathlib import Path

import pytest

from turbo_eval.core.errors import InputError, PrerequisiteError
from turbo_eval.prompts import load
from turbo_eval.prompts.sync import sync


def test_equal_texts_stay_apart(clone: Path) -> None:
    sync(clone)
    suite = load("evalcrafter")
    assert [p.text for p in suite] == ["a cow", "2 dogs", "a cow"]
    assert len({p.id for p in suite}) == 3
    assert suite.prompts[1].auxiliary["evalcrafter"] == {
        "id": "0001",
        "attributes": {"count": "2 dog"},
    }
    assert suite.notes == ("1 texts occur twice and stay apart, because EvalCrafter numbers them",)
    assert [p.text for p in suite.select(ids=["0002"])] == ["a cow"]


def test_folder_may_be_given_and_upstream_file_name_is_known(clone: Path) -> None:
    folder = clone / "evalcrafter"
    assert load(f"evalcrafter:{folder}") == load("evalcrafter", file=folder)
    with pytest.raises(InputError, match=r"does not hold EvalCrafter"):
        load(f"evalcrafter:{clone}")


def test_absent_says_how_to_get_it() -> None:
    with pytest.raises(PrerequisiteError, match="prompts sync --from"):
        load("evalcrafter")


def test_changed_files_are_refused(clone: Path) -> None:
    for name in ("prompts700.txt", "metadata.json"):
        path = clone / "evalcrafter" / name
        whole = path.read_bytes()
        path.write_bytes(whole + b" ")
        with pytest.raises(InputError, match=f"EvalCrafter's {name} is not the published file"):
            load(f"evalcrafter:{path.parent}")
        path.write_bytes(whole)

"""Errors: one line, a documented exit code, the nearest names."""

import errno
import pickle
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turbo_eval.core import errors
from turbo_eval.core.errors import Interrupted, TurboError, from_os_error, nearest, unknown


def test_line_holds_what_why_and_fix() -> None:
    error = TurboError("cannot read\nx.mp4", why="it is empty.", fix="make it again")
    assert str(error) == "cannot read x.mp4: it is empty. Fix: make it again"


@given(st.text(), st.text(), st.text())
def test_line_is_always_one_printable_line(what: str, why: str, fix: str) -> None:
    line = str(TurboError(what, why=why, fix=fix))
    assert len(line.splitlines()) <= 1
    assert line == "" or line.isprintable()


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("TurboError", 1),
        ("UsageError", 2),
        ("ConfigError", 3),
        ("PrerequisiteError", 4),
        ("MemoryShortage", 4),
        ("InputError", 5),
        ("PartialFailure", 6),
        ("ThresholdError", 7),
        ("BudgetError", 8),
    ],
)
def test_exit_codes(name: str, code: int) -> None:
    assert getattr(errors, name)("x").exit_code == code


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupt_survives_pickling_with_its_code(signum: int, code: int) -> None:
    back = pickle.loads(pickle.dumps(Interrupted(signum, 3, 9)))
    assert back.exit_code == code
    assert "3 of 9" in str(back)


def test_error_survives_pickling() -> None:
    error = errors.InputError("a", why="b", fix="c")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_nearest_finds_a_typo_whatever_the_case() -> None:
    names = ["mini-teacher", "mini-vcm", "modelscope"]
    assert nearest("Mini-Techer", names)[0] == "mini-teacher"
    assert nearest("teacher", names) == ["mini-teacher"]
    assert nearest("qqqq", names) == []


def test_unknown_name_suggests_or_lists() -> None:
    assert "did you mean color?" in str(unknown("dimension", "colour", ["color", "scene"]))
    assert "choose one of color, scene" in str(unknown("dimension", "zzz", ["scene", "color"]))
    assert len(str(unknown("model", "x" * 10_000, ["a"]))) < 200


@pytest.mark.parametrize(
    ("code", "word"),
    [(errno.ENOSPC, "no space"), (errno.EROFS, "read-only"), (errno.ENOTDIR, "in the way")],
)
def test_operating_system_errors_name_the_place(tmp_path: Path, code: int, word: str) -> None:
    error = from_os_error(OSError(code, "said"), tmp_path / "file")
    assert error.exit_code == 4
    assert str(tmp_path) in str(error)
    assert word in str(error)
    assert error.fix

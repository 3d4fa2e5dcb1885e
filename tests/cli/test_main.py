"""Outcomes become exit codes and one line; signals and closed pipes end tidily."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from turbo_eval.cli import main as main_module
from turbo_eval.core import entry, errors

ERRORS: list[tuple[BaseException, int]] = [
    (errors.TurboError("a"), 1),
    (errors.UsageError("a"), 2),
    (errors.ConfigError("a"), 3),
    (errors.PrerequisiteError("a"), 4),
    (errors.InputError("a"), 5),
    (errors.PartialFailure("a"), 6),
    (errors.ThresholdError("a"), 7),
    (errors.BudgetError("a"), 8),
]


def _raise(error: BaseException) -> Callable[..., int]:
    def invoke(*_args: object) -> int:
        raise error

    return invoke


@pytest.mark.parametrize(("error", "code"), ERRORS)
def test_user_errors_are_one_line_and_their_code(
    error: BaseException,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(entry, "_invoke", _raise(error))
    assert main_module.run(["run", "mini"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == ["turbo-eval: a"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (KeyboardInterrupt(), 130),
        (entry.Terminated(), 143),
        (errors.Interrupted(signal.SIGINT, 1, 2), 130),
        (errors.Interrupted(signal.SIGTERM, 1, 2), 143),
    ],
)
def test_line_to_resume_is_the_last_one(
    error: BaseException,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(entry, "_invoke", _raise(error))
    assert main_module.run(["run", "mini", "--run", "a folder"]) == code
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.endswith("turbo-eval run mini --run 'a folder'")


@pytest.mark.parametrize("place", ["--run", "--run=", "environment", "missing", "none"])
def test_unexpected_error_leaves_a_log_and_three_lines(
    place: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(entry, "_invoke", _raise(ValueError("two\nlines")))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.delenv("TURBO_EVAL_RUN", raising=False)
    folder = tmp_path / "run"
    if place != "missing":
        folder.mkdir()
    args = {
        "--run": ["run", "--run", str(folder)],
        "--run=": ["run", f"--run={folder}"],
        "missing": ["run", "--run", str(folder)],
    }.get(place, ["run"])
    if place == "environment":
        monkeypatch.setenv("TURBO_EVAL_RUN", str(folder))

    assert main_module.run(args) == 1

    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert "ValueError: two lines" in lines[0]
    log = Path(lines[1].rpartition(" ")[2])
    inside = folder if place not in {"missing", "none"} else tmp_path / "temporary"
    assert log.is_relative_to(inside)
    assert "Traceback" in log.read_text(encoding="utf-8")
    assert "Traceback" not in "".join(lines)


@pytest.mark.parametrize(
    ("args", "parts"),
    [
        (["reprot"], ["reprot", "'report'"]),
        (["config", "shw"], ["shw", "'show'"]),
        (["--vesion"], ["--vesion", "--version"]),
        (["config", "show", "--orign"], ["--orign", "--origin", "turbo-eval config show --help"]),
        (["config"], ["turbo-eval config --help"]),
    ],
)
def test_typing_errors_suggest_the_nearest(
    args: list[str], parts: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main_module.run(args) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    for part in parts:
        assert part in err


@pytest.mark.parametrize("args", [[], ["--help"], ["-h"], ["--version"], ["config", "--help"]])
def test_help_and_version_succeed_on_stdout(
    args: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main_module.run(args) == 0
    out, err = capsys.readouterr()
    assert out
    assert err == ""


def _start(code: str) -> subprocess.Popen[str]:
    imports = "from turbo_eval.core import entry\nfrom turbo_eval.cli import main as m"
    program = f"{imports}\n{code}\nm.main(['run', 'mini'])"
    return subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_real_signals_end_with_their_code(number: signal.Signals, code: int) -> None:
    child = _start(
        "import time\n"
        "def wait(*args):\n"
        "    print('waiting', flush=True)\n"
        "    time.sleep(60)\n"
        "entry._invoke = wait\n"
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "waiting\n"
    child.send_signal(number)
    # Below the child's own sleep, far above what a busy machine needs.
    _, err = child.communicate(timeout=50)
    assert child.returncode == code
    assert err.splitlines()[-1].endswith("To go on: turbo-eval run mini")


def test_reader_that_leaves_is_no_crash() -> None:
    child = _start("entry._invoke = lambda *args: print('x' * 10_000_000) or 0\n")
    assert child.stdout is not None
    child.stdout.read(1)
    child.stdout.close()
    assert child.stderr is not None
    err = child.stderr.read()
    child.stderr.close()
    assert child.wait(timeout=50) == 141
    assert err == ""


def test_colour_is_left_out_when_asked() -> None:
    env = {**os.environ, "NO_COLOR": "1", "FORCE_COLOR": "", "TERM": "xterm-256color"}
    done = subprocess.run(
        [sys.executable, "-m", "turbo_eval.cli.main", "--help"],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    # 3x and 9x are the colours; NO_COLOR leaves bold and the like to the terminal.
    assert "\x1b[3" not in done.stdout
    assert "turbo-eval" in done.stdout

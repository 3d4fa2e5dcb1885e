"""Child processes: arguments untouched, exit codes and signals passed on."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from turbo_eval.core.errors import Interrupted, PrerequisiteError
from turbo_eval.launch import run_command


def test_arguments_reach_the_program_untouched(tmp_path: Path) -> None:
    odd = ["two words", "'quotes\"", "$HOME; ls", "*", "\U0001f600"]
    code = "import sys, os; print(sys.argv[1:], os.environ['EXTRA'], os.getcwd())"
    with (tmp_path / "out").open("w") as out:
        argv = [sys.executable, "-c", code, *odd]
        assert run_command(argv, {"EXTRA": "x y"}, cwd=tmp_path, stdout=out) == 0
    assert (tmp_path / "out").read_text() == f"{odd} x y {tmp_path}\n"


def test_output_of_the_child_goes_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command([sys.executable, "-c", "print('from the child')"]) == 0
    said = capfd.readouterr()
    assert said.out == ""
    assert "from the child" in said.err


def test_exit_codes_come_back() -> None:
    assert run_command([sys.executable, "-c", "raise SystemExit(7)"]) == 7
    kill = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert run_command([sys.executable, "-c", kill]) == 137


@pytest.mark.parametrize("program", ["/no/such/program", "nul\0byte"])
def test_missing_program_is_told(program: str) -> None:
    with pytest.raises(PrerequisiteError, match="cannot start"):
        run_command([program])


def test_signal_is_passed_on_and_the_child_may_finish(tmp_path: Path) -> None:
    code = (
        "import signal, sys, time; from pathlib import Path\n"
        "def end(*_):\n    Path(sys.argv[1], 'saved').touch(); raise SystemExit(3)\n"
        "signal.signal(signal.SIGTERM, end); Path(sys.argv[1], 'ready').touch(); time.sleep(60)"
    )

    def tell() -> None:
        while not (tmp_path / "ready").exists():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=tell)
    thread.start()
    with pytest.raises(Interrupted) as caught:
        run_command([sys.executable, "-c", code, str(tmp_path)])
    thread.join()
    assert caught.value.exit_code == 143
    assert (tmp_path / "saved").exists()

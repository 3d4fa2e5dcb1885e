"""Child processes, without a shell."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from turbo_eval.core.errors import PrerequisiteError
from turbo_eval.launch.stop import Stop, graceful_stop

_LOOK_EVERY = 0.2
_PATIENCE = 30.0
_STDERR = 2


def run_command(
    argv: Sequence[str],
    env: Mapping[str, str] | None = None,
    *,
    cwd: Path | None = None,
    stdout: IO[str] | int | None = None,
) -> int:
    """Run a program to its end; SIGINT and SIGTERM sent to us are passed on to it.

    Args:
        argv: The program and its arguments; never a shell string, so blanks and quotes are safe.
        env: Variables added to our own environment.
        cwd: Where to run it.
        stdout: Where its output goes; our stderr when None, because our stdout holds data only.

    Returns:
        Its exit code; 128 + signal when a signal ended it.

    Raises:
        PrerequisiteError: The program does not exist or cannot be started.
        Interrupted: We were told to stop; the child has ended.
    """
    with graceful_stop() as stop:
        try:
            # Its own group, so that a Ctrl-C on the terminal reaches it once, through us.
            child = subprocess.Popen(
                list(argv),
                env={**os.environ, **(env or {})},
                cwd=cwd,
                stdout=_STDERR if stdout is None else stdout,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise PrerequisiteError(
                f"cannot start {argv[0]!r}",
                why=getattr(error, "strerror", None) or str(error),
                fix="check that it is installed and on PATH",
            ) from error
        code = _wait(child, stop)
        stop.check()
    return code if code >= 0 else 128 - code


def _wait(child: "subprocess.Popen[bytes]", stop: Stop) -> int:
    passed_on = False
    try:
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return child.wait(_LOOK_EVERY)
            if stop.signum and not passed_on:
                child.send_signal(stop.signum)
                passed_on = True
    except BaseException:
        # A second signal: end the child's whole group, politely first.
        _end(child)
        raise


def _end(child: "subprocess.Popen[bytes]") -> None:
    for signum in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signum)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_PATIENCE)
            return

"""A helper process of ours that answers through pipes: bytes in, bytes out."""

import contextlib
import io
import os
import subprocess
from collections.abc import Mapping, Sequence
from typing import cast

from turbo_eval.core.errors import PrerequisiteError


class Piped:
    """A running helper; its standard error is ours.

    Args:
        argv: The program and its arguments; no shell is involved.
        env: Variables added to our own environment.
        task: What it is for, told when it cannot be started.

    Raises:
        PrerequisiteError: It cannot be started.
    """

    def __init__(
        self, argv: Sequence[str], env: Mapping[str, str] | None = None, *, task: str
    ) -> None:
        try:
            self._child = subprocess.Popen(
                list(argv),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, **(env or {})},
                # Ctrl-C on the terminal is for us: the item at hand is finished first.
                start_new_session=True,
            )
        except OSError as error:
            raise PrerequisiteError(
                f"cannot start a process to {task} in",
                why=error.strerror or str(error),
                fix="allow more processes or memory",
            ) from error
        self._owner = os.getpid()

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._child.pid

    @property
    def ours(self) -> bool:
        """Whether this process started it; a fork shares the pipes of a helper not its own."""
        return self._owner == os.getpid()

    @property
    def running(self) -> bool:
        """Whether it can be asked: started by this process and not ended."""
        return self.ours and self._child.poll() is None

    def send(self, line: bytes) -> None:
        """Write bytes and flush; a helper that has ended is noticed when its answer is read."""
        assert self._child.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._child.stdin.write(line)
            self._child.stdin.flush()

    def line(self) -> bytes:
        """The next line with its end; cut or empty when the helper has ended."""
        assert self._child.stdout is not None
        return self._child.stdout.readline()

    def fill(self, buffer: memoryview) -> bool:
        """Fill a buffer of bytes; False when the helper ended before it was full."""
        # Popen's pipes are buffered readers, which fill what they are given.
        pipe = cast("io.BufferedReader", self._child.stdout)
        return pipe.readinto(buffer) == len(buffer)

    def code(self, seconds: float | None = None) -> int | None:
        """Its exit code, negative for a signal; None when it still runs after `seconds`."""
        try:
            return self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def close(self) -> None:
        """End it, if it is ours."""
        if not self.ours:
            return
        self._child.kill()
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()

"""Read files of others in a process of their own.

A damaged or hostile file can crash the decoder itself, and then the whole process dies, whatever
Python catches. Here only a helper process dies: the file is named as one that kills the decoder,
and the next file gets a new helper. The helper starts with the first file and serves all later
ones; frames come through a pipe, which costs a copy, not a second decoding.
"""

import atexit
import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt

from turbo_eval.core.errors import InputError, PrerequisiteError
from turbo_eval.video.clip import Clip
from turbo_eval.video.read import VideoInfo
from turbo_eval.video.worker import READY

COMMAND: list[str] = [sys.executable, "-P", "-m", "turbo_eval.video.worker"]
"""How the helper is started; -P keeps files of the current folder from being taken for modules."""
_PATIENCE: Final = 10.0


def probe_apart(path: Path) -> VideoInfo:
    """As `turbo_eval.video.read.probe`.

    Raises:
        InputError: As there, or the file kills the decoder.
        PrerequisiteError: The helper process cannot be started.
    """
    return VideoInfo(**_HELPER.ask("probe", path)[0])


def shape_apart(path: Path) -> tuple[int, int, int, int]:
    """Decode all of a video for its shape [T, H, W, 3] alone.

    Raises:
        InputError: As `turbo_eval.video.read.decode`, or the file kills the decoder.
        PrerequisiteError: The helper process cannot be started.
    """
    frames, height, width, channels = _HELPER.ask("shape", path)[0]["shape"]
    return frames, height, width, channels


def decode_apart(path: Path) -> Clip:
    """As `turbo_eval.video.read.decode`.

    Raises:
        InputError: As there, or the file kills the decoder.
        PrerequisiteError: The helper process cannot be started.
    """
    path = Path(path)
    facts, frames = _HELPER.ask("frames", path)
    return Clip(frames, facts["fps"], facts["content_hash"], path)


class _Helper:
    """The helper process, started when it is first asked and again after it has died."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def ask(self, what: str, path: Path) -> tuple[dict[str, Any], npt.NDArray[np.uint8]]:
        """Send a request and wait for its answer; frames are empty unless they were asked for."""
        # The helper has the folder in which it was started; relative paths would break on chdir.
        request = {"do": what, "path": os.path.abspath(path)}
        with self._lock:
            child = self._start()
            assert child.stdin is not None
            assert child.stdout is not None
            whole = False
            try:
                with contextlib.suppress(BrokenPipeError):
                    child.stdin.write(json.dumps(request).encode() + b"\n")
                    child.stdin.flush()
                line = child.stdout.readline()
                if not line.endswith(b"\n"):
                    raise self._died(path)
                facts: dict[str, Any] = json.loads(line)
                frames = np.empty((0, 0, 0, 3), np.uint8)
                if what == "frames" and "error" not in facts:
                    frames = np.empty(facts["shape"], np.uint8)
                    # Popen's pipes are buffered readers, which fill what they are given.
                    pipe = cast("io.BufferedReader", child.stdout)
                    if pipe.readinto(frames.reshape(-1).data) < frames.size:
                        raise self._died(path)
                whole = True
            finally:
                # After an interrupt an answer may be half read, and the next one would be garbled.
                if not whole:
                    self.close()
        if "error" in facts:
            told, why, fix = facts["error"]
            # The user's own way to write the path.
            raise InputError(told.replace(request["path"], str(path)), why=why, fix=fix)
        return facts, frames

    def close(self) -> None:
        """End the process, if there is one of ours."""
        child, self._child = self._child, None
        # A fork of this process shares the pipes of a helper that is not its own.
        if child is None or self._owner != os.getpid():
            return
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()

    def _start(self) -> "subprocess.Popen[bytes]":
        if self._child is not None and self._owner == os.getpid() and self._child.poll() is None:
            return self._child
        self.close()
        try:
            self._child = subprocess.Popen(
                COMMAND,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
                # Ctrl-C on the terminal is for us: the file at hand is finished first.
                start_new_session=True,
            )
        except OSError as error:
            raise PrerequisiteError(
                "cannot start a process to decode videos in",
                why=error.strerror or str(error),
                fix="allow more processes or memory",
            ) from error
        self._owner = os.getpid()
        assert self._child.stdout is not None
        if self._child.stdout.readline() != READY:
            code = self._child.wait()
            self.close()
            raise PrerequisiteError(
                "the process to decode videos in does not start",
                why=f"it ended with exit code {code}",
                fix="see its message above, and `turbo-eval doctor`",
            )
        return self._child

    def _died(self, path: Path) -> InputError:
        """The error for the file that the helper died of."""
        assert self._child is not None
        try:
            code = self._child.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            code = 0
        how = f"exit code {code}"
        if code < 0:
            with contextlib.suppress(ValueError):
                how = signal.Signals(-code).name
        return InputError(
            f"{path} kills the decoder",
            why=f"the process that decoded it ended with {how}"
            + (", perhaps for want of memory" if code == -signal.SIGKILL else ""),
            fix="make the video again, or write it with another program",
        )


_HELPER: Final = _Helper()
atexit.register(_HELPER.close)

"""Read files of others in a process of their own.

A damaged or hostile file can crash the decoder itself, and then the whole process dies, whatever
Python catches. Here only a helper process dies: the file is named as one that kills the decoder,
and the next file gets a new helper. The helper starts with the first file and serves all later
ones; frames come through a pipe, which costs a copy, not a second decoding.
"""

import atexit
import contextlib
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from turbo_eval.core.errors import InputError, PrerequisiteError
from turbo_eval.launch.piped import Piped
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
        self._child: Piped | None = None

    def ask(self, what: str, path: Path) -> tuple[dict[str, Any], npt.NDArray[np.uint8]]:
        """Send a request and wait for its answer; frames are empty unless they were asked for."""
        # The helper has the folder in which it was started; relative paths would break on chdir.
        request = {"do": what, "path": os.path.abspath(path)}
        with self._lock:
            child = self._start()
            whole = False
            try:
                child.send(json.dumps(request).encode() + b"\n")
                line = child.line()
                if not line.endswith(b"\n"):
                    raise _died(child, path)
                facts: dict[str, Any] = json.loads(line)
                frames = np.empty((0, 0, 0, 3), np.uint8)
                if what == "frames" and "error" not in facts:
                    frames = np.empty(facts["shape"], np.uint8)
                    if not child.fill(frames.reshape(-1).data):
                        raise _died(child, path)
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
        if child is not None:
            child.close()

    def _start(self) -> Piped:
        if self._child is not None and self._child.running:
            return self._child
        self.close()
        places = os.pathsep.join(p for p in sys.path if p)
        self._child = Piped(COMMAND, {"PYTHONPATH": places}, task="decode videos")
        if self._child.line() != READY:
            code = self._child.code()
            self.close()
            raise PrerequisiteError(
                "the process to decode videos in does not start",
                why=f"it ended with exit code {code}",
                fix="see its message above, and `turbo-eval doctor`",
            )
        return self._child


def _died(child: Piped, path: Path) -> InputError:
    """The error for the file that the helper died of."""
    code = child.code(_PATIENCE) or 0
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

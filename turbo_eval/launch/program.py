"""A program that is kept running and asked line by line; what it prints on stderr is logged."""

import contextlib
import json
import logging
import os
import queue
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Final

from turbo_eval.core.errors import InputError, PrerequisiteError, one_line

logger = logging.getLogger(__name__)

_GRACE: Final = 5.0


class Program:
    """The running program: lines in, lines out, and the last words of its standard error.

    Args:
        words: The program and its arguments; no shell is involved.
        weights_dir: Told to it as TURBO_EVAL_WEIGHTS_DIR.

    Raises:
        PrerequisiteError: It cannot be started.
    """

    def __init__(self, words: Sequence[str], weights_dir: Path | None) -> None:
        self._name = words[0]
        environment = dict(os.environ)
        if weights_dir is not None:
            environment["TURBO_EVAL_WEIGHTS_DIR"] = str(weights_dir)
        try:
            self._process = subprocess.Popen(
                list(words),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                errors="replace",
                env=environment,
                # A group of its own, so that what it starts ends with it.
                start_new_session=True,
            )
        except OSError as error:
            raise PrerequisiteError(
                f"program {self._name} cannot be run",
                why=error.strerror or str(error),
                fix="try it in a terminal",
            ) from None
        self._answers: queue.Queue[str | None] = queue.Queue()
        self._words: deque[str] = deque(maxlen=20)
        self._readers = [
            threading.Thread(target=self._listen, args=(self._process.stdout, True), daemon=True),
            threading.Thread(target=self._listen, args=(self._process.stderr, False), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def ask(self, request: dict[str, Any], path: Path, seconds: float) -> None:
        """Hand over one line and wait for the answer.

        Raises:
            InputError: The program ended, reported an error, took too long, or wrote no file.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request, ensure_ascii=True) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise self._ended() from None
        try:
            answer = self._answers.get(timeout=seconds)
        except queue.Empty:
            raise InputError(
                f"{self._name} has not answered after {seconds:g} seconds",
                why=self._last_words() or "it printed nothing",
                fix="give it more time with the setting timeout=SECONDS, or mend it",
            ) from None
        if answer is None:
            raise self._ended()
        self._check(answer, path)

    def _check(self, answer: str, path: Path) -> None:
        try:
            fields = json.loads(answer)
            good, reason = bool(fields["ok"]), str(fields.get("error", ""))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise InputError(
                f"{self._name} answered {one_line(answer)[:80]!r}",
                why='an answer is a JSON object on one line with the key "ok"',
                fix="print the answer alone on standard output; the rest belongs on standard error",
            ) from None
        if not good:
            raise InputError(
                f"{self._name} drew no clip", why=reason or self._last_words() or "no reason given"
            )
        if not path.is_file() or path.stat().st_size == 0:
            raise InputError(
                f"{self._name} said that it wrote {path.name}, and did not",
                why="there is no such file" if not path.is_file() else "the file is empty",
                fix='write the file that "path" names, then answer',
            )

    def _ended(self) -> InputError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE)
        for reader in self._readers:
            reader.join(_GRACE)
        return InputError(
            f"{self._name} ended with exit code {self._process.poll()} before it answered",
            why=self._last_words() or "it printed nothing on standard error",
            fix="mend the program; it is asked for one clip a line until its input ends",
        )

    def _listen(self, stream: IO[str] | None, answers: bool) -> None:
        assert stream is not None
        # A stream that is closed under the reader ends like any other.
        with contextlib.suppress(ValueError, OSError):
            for line in stream:
                if not answers:
                    self._words.append(one_line(line))
                    logger.info("%s: %s", self._name, line.rstrip())
                elif line.strip():
                    self._answers.put(line)
        if answers:
            self._answers.put(None)

    def _last_words(self) -> str:
        # Both ends of a traceback's last line matter less than the line itself.
        lines = [line for line in self._words if line]
        return lines[-1] if lines else ""

    def close(self) -> None:
        """Close its input, and end it if it does not end by itself."""
        process = self._process
        with contextlib.suppress(OSError):
            if process.stdin is not None:
                process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.2)
        for signum in (signal.SIGTERM, signal.SIGKILL):
            if process.poll() is not None:
                break
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signum)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE)
        for reader in self._readers:
            reader.join(_GRACE)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()

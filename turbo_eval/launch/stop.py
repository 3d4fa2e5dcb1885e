"""Stopping at the end of the current item instead of in the middle of it."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType

from turbo_eval.core.errors import Interrupted

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(slots=True)
class Stop:
    """Whether a signal has asked to stop; `signum` is that signal, or 0."""

    signum: int = 0

    def check(self, done: int = 0, total: int = 0) -> None:
        """Stop here if a signal asked for it.

        Raises:
            Interrupted: A signal came; its exit code is 130 (SIGINT) or 143 (SIGTERM).
        """
        if self.signum:
            raise Interrupted(self.signum, done, total)


@contextlib.contextmanager
def graceful_stop() -> Iterator[Stop]:
    """Take note of the first SIGINT or SIGTERM instead of dying; obey the second at once.

    The second raises KeyboardInterrupt (SIGINT) or `Interrupted` (SIGTERM) wherever the program
    is. The former handlers come back at the end of the block. Outside the main thread, where
    Python allows no handlers, signals stay as they are.

    Yields:
        The note to look at between two items.
    """
    stop = Stop()

    def note(signum: int, _: FrameType | None) -> None:
        if not stop.signum:
            stop.signum = signum
        elif signum == signal.SIGINT:
            raise KeyboardInterrupt
        else:
            raise Interrupted(signum)

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    former = {signum: signal.getsignal(signum) for signum in _SIGNALS}
    for signum, handler in former.items():
        # A signal that the parent told us to ignore (nohup, background jobs) stays ignored.
        if handler is not signal.SIG_IGN:
            signal.signal(signum, note)
    try:
        yield stop
    finally:
        for signum, handler in former.items():
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)

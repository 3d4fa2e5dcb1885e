"""Progress of a stage on stderr: a bar on a terminal, otherwise a plain line now and then."""

import os
import sys
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

PLAIN_INTERVAL = 30.0


class Progress:
    """Context manager that shows how far a stage is; safe to use from several threads.

    Args:
        stage: Name shown in front.
        total: Number of items, cached ones included.
        stream: Where to write; stderr when None.
        interval: Seconds between plain lines.
        quiet: Write nothing at all.
    """

    def __init__(
        self,
        stage: str,
        total: int,
        *,
        stream: TextIO | None = None,
        interval: float = PLAIN_INTERVAL,
        quiet: bool = False,
    ) -> None:
        self.stage = stage
        self.total = total
        self.done = 0
        self.cached = 0
        self.failed = 0
        self.note = ""
        self._stream = sys.stderr if stream is None else stream
        self._interval = interval
        self._quiet = quiet
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._bar: RichProgress | None = None
        self._task: TaskID | None = None
        self._start = time.monotonic()

    def __enter__(self) -> Self:
        """Start the clock and the display."""
        self._start = time.monotonic()
        if self._quiet:
            return self
        if self._stream.isatty() and os.environ.get("TERM") != "dumb":
            self._open_bar()
        else:
            self._thread = threading.Thread(target=self._lines, daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the display and leave one last line."""
        if self._thread is not None:
            self._stop.set()
            self._thread.join()
        if self._bar is not None:
            self._bar.stop()
        if not self._quiet:
            self._write(self.line(final=True))

    def advance(self, n: int = 1, *, cached: int = 0, failed: int = 0, note: str = "") -> None:
        """Count items.

        Args:
            n: Items finished now, whatever their fate.
            cached: How many of the `n` were found finished.
            failed: How many of the `n` failed.
            note: Replaces the text at the end of the line (e.g. peak memory) when not empty.
        """
        with self._lock:
            self.done += n
            self.cached += cached
            self.failed += failed
            self.note = note or self.note
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self.done, facts=self._facts(final=False))

    def line(self, *, final: bool = False) -> str:
        """The plain line: stage, done/total, cached, failed, rate, time left or taken."""
        return f"{self.stage}: {self.done}/{self.total}{self._facts(final=final)}"

    def _facts(self, *, final: bool) -> str:
        with self._lock:
            seconds = time.monotonic() - self._start
            worked = self.done - self.cached
            facts = [f"{self.cached} cached"] if self.cached else []
            facts += [f"{self.failed} failed"] if self.failed else []
            if worked > 0 and seconds > 0:
                rate = worked / seconds
                facts.append(f"{rate:.2f}/s" if rate >= 0.1 else f"{1 / rate:.1f} s each")
                if not final and self.done < self.total:
                    facts.append(f"{clock((self.total - self.done) / rate)} left")
            if final:
                facts.append(f"{clock(seconds)} taken")
            facts += [self.note] if self.note else []
            return "".join(f", {fact}" for fact in facts)

    def _lines(self) -> None:
        while not self._stop.wait(self._interval):
            self._write(self.line())

    def _write(self, line: str) -> None:
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            # A reader that went away must not stop the work.
            self._quiet = True

    def _open_bar(self) -> None:
        # Only a terminal pays for importing rich.
        from rich.console import Console  # noqa: PLC0415
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn  # noqa: PLC0415
        from rich.progress import Progress as RichProgress  # noqa: PLC0415

        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[facts]}", markup=False),
            console=Console(file=self._stream),
            transient=True,
        )
        self._task = self._bar.add_task(self.stage, total=self.total, facts="")
        self._bar.start()


def clock(seconds: float) -> str:
    """A length of time for people: 8 s, 3:05, 2:03:05 (minutes and hours)."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"

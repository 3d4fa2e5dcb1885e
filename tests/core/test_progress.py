"""Progress: plain lines for pipes, a bar for terminals, silence when asked."""

import io
import time

import pytest

from turbo_eval.core.progress import Progress, clock


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_pipe_gets_one_last_line() -> None:
    out = io.StringIO()
    with Progress("features", 5, stream=out) as progress:
        progress.advance(2, cached=2)
        progress.advance(failed=1, note="peak 1.2 GiB")
    assert out.getvalue().startswith("features: 3/5, 2 cached, 1 failed, ")
    assert out.getvalue().endswith("taken, peak 1.2 GiB\n")
    assert out.getvalue().count("\n") == 1


def test_a_pipe_gets_a_line_every_interval_even_during_one_item() -> None:
    out = io.StringIO()
    with Progress("generate", 1, stream=out, interval=0.02):
        time.sleep(0.2)
    assert out.getvalue().count("generate: 0/1") >= 3


def test_a_terminal_gets_a_bar_and_the_same_last_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    out = _Terminal()
    with Progress("score", 2, stream=out) as progress:
        progress.advance(2)
    assert "score: 2/2" in out.getvalue().splitlines()[-1]


def test_a_dumb_terminal_counts_as_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    out = _Terminal()
    with Progress("score", 2, stream=out) as progress:
        progress.advance(2)
    assert "\x1b" not in out.getvalue()


def test_quiet_writes_nothing() -> None:
    out = io.StringIO()
    with Progress("score", 1, stream=out, quiet=True) as progress:
        progress.advance()
    assert out.getvalue() == ""


def test_a_closed_reader_does_not_stop_the_work() -> None:
    out = io.StringIO()
    with Progress("score", 1, stream=out) as progress:
        progress.advance()
        # isatty was asked before; from here on every write fails.
        out.close()
    assert progress.done == 1


def test_rate_and_time_left_do_not_count_cached_items() -> None:
    progress = Progress("x", 10, stream=io.StringIO())
    progress.advance(5, cached=5)
    assert "left" not in progress.line()
    progress.advance(1)
    assert "left" in progress.line()


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.4, "59 s"), (185, "3:05"), (7385, "2:03:05")]
)
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text

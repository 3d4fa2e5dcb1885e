"""Items one by one: failures are recorded, signals wait for the end of an item."""

import os
import signal
import threading

import pytest

from turbo_eval.core.errors import (
    InputError,
    Interrupted,
    MemoryShortage,
    PartialFailure,
    PrerequisiteError,
)
from turbo_eval.launch import Outcome, graceful_stop, run_items
from turbo_eval.launch.local import reason_of


def test_a_failing_item_does_not_stop_the_others() -> None:
    def work(item: int) -> int:
        if item == 1:
            raise InputError("clip 1 is damaged", why="bits")
        if item == 2:
            raise KeyError("line\nbreak")
        if item == 3:
            raise MemoryShortage("out of memory")
        return item * 10

    seen: list[Outcome[int, int]] = []
    outcomes = run_items([0, 1, 2, 3, 4], work, on_done=seen.append)
    assert outcomes == seen
    assert [o.status for o in outcomes] == ["ok", "failed", "failed", "failed", "ok"]
    assert [o.value for o in outcomes] == [0, None, None, None, 40]
    assert outcomes[1].reason == "clip 1 is damaged: bits"
    assert outcomes[2].reason == r"KeyError: 'line\nbreak'"


def test_retries_are_for_faults_that_may_pass() -> None:
    calls: list[str] = []

    def work(item: str) -> None:
        calls.append(item)
        if item == "input":
            raise InputError("never better")
        if calls.count(item) < 3:
            raise RuntimeError("passing")

    outcomes = run_items(["input", "flaky"], work, retries=2)
    assert [(o.status, o.attempts) for o in outcomes] == [("failed", 1), ("ok", 3)]


def test_faults_of_the_surroundings_stop_everything() -> None:
    calls: list[int] = []

    def work(item: int) -> None:
        calls.append(item)
        raise PrerequisiteError("disk full")

    with pytest.raises(PrerequisiteError, match="disk full"):
        run_items([1, 2, 3], work, retries=5)
    assert calls == [1]


def test_fail_fast_stops_at_the_first_failure() -> None:
    seen: list[Outcome[int, float]] = []
    with pytest.raises(PartialFailure, match="2 of 3") as caught:
        run_items([1, 0, 2], lambda item: 1 / item, fail_fast=True, on_done=seen.append)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert [o.status for o in seen] == ["ok", "failed"]


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_first_signal_finishes_the_item(signum: int, code: int) -> None:
    finished: list[int] = []

    def work(item: int) -> None:
        if item == 1:
            os.kill(os.getpid(), signum)
        finished.append(item)

    before = signal.getsignal(signum)
    with pytest.raises(Interrupted, match="2 of 4") as caught:
        run_items([0, 1, 2, 3], work)
    assert finished == [0, 1]
    assert caught.value.exit_code == code
    assert signal.getsignal(signum) is before


def test_signal_during_the_last_item_still_ends_the_program() -> None:
    with pytest.raises(Interrupted, match="1 of 1"):
        run_items([0], lambda _: os.kill(os.getpid(), signal.SIGTERM))


@pytest.mark.parametrize(
    ("signum", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Interrupted)]
)
def test_second_signal_stops_at_once(signum: int, error: type[BaseException]) -> None:
    finished: list[int] = []

    def work(item: int) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signum)
        finished.append(item)

    with pytest.raises(error):
        run_items([0, 1], work)
    assert finished == []


def test_ignored_signals_stay_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert len(run_items([0, 1], lambda _: os.kill(os.getpid(), signal.SIGINT))) == 2
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_work_without_handlers() -> None:
    made: list[int] = []

    def run() -> None:
        with graceful_stop() as stop:
            made.append(stop.signum)
        made.append(len(run_items([1, 2], str)))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert made == [0, 2]


def test_no_items_no_work() -> None:
    assert run_items([], str) == []


def test_reason_is_one_line_and_never_empty() -> None:
    assert reason_of(ValueError()) == "ValueError"
    assert len(reason_of(ValueError("x" * 10_000))) == 500
    assert "\n" not in reason_of(ValueError("a\nb"))

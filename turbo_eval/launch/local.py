"""Work items one after another in this process, each with its own fate."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from turbo_eval.core.errors import (
    BudgetError,
    ConfigError,
    InputError,
    Interrupted,
    MemoryShortage,
    PartialFailure,
    PrerequisiteError,
    TurboError,
    UsageError,
    one_line,
)
from turbo_eval.launch.stop import graceful_stop

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")

# Faults of the surroundings, not of an item: every further item would meet them, too.
_STOPPING = (BudgetError, ConfigError, Interrupted, PrerequisiteError, UsageError)
_LONGEST_REASON = 500


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Item, Result]):
    """What became of one item.

    Attributes:
        item: The item.
        status: "ok" or "failed".
        value: What the worker returned; None after a failure.
        reason: One line, empty when ok.
        seconds: Time of all attempts together.
        attempts: How often the worker was called.
    """

    item: Item
    status: Literal["ok", "failed"]
    value: Result | None
    reason: str
    seconds: float
    attempts: int


def run_items(
    items: Sequence[Item],
    worker: Callable[[Item], Result],
    *,
    retries: int = 0,
    fail_fast: bool = False,
    on_done: Callable[[Outcome[Item, Result]], None] | None = None,
) -> list[Outcome[Item, Result]]:
    """Call the worker on every item; one failing item does not stop the others.

    The first SIGINT or SIGTERM lets the current item finish; a second stops at once.

    Args:
        items: What to work on (an item may itself be a batch).
        worker: Does one item and saves what it makes. An exception marks the item as failed.
        retries: Further attempts after an exception that is no `InputError`.
        fail_fast: Stop after the first failed item.
        on_done: Called after every item, in order (progress, rows of failures).

    Returns:
        One outcome per item, in order.

    Raises:
        Interrupted: A signal came; items done before are saved.
        PartialFailure: An item failed and `fail_fast` is set.
        PrerequisiteError, ConfigError, UsageError, BudgetError: Raised by the worker and passed
            on, because no other item could succeed (disk full, weights missing, budget used up).
            `MemoryShortage` alone counts against the item.
    """
    outcomes: list[Outcome[Item, Result]] = []
    with graceful_stop() as stop:
        for item in items:
            stop.check(len(outcomes), len(items))
            outcome, error = _attempt(item, worker, retries)
            outcomes.append(outcome)
            if on_done is not None:
                on_done(outcome)
            if error is not None and fail_fast:
                raise PartialFailure(
                    f"stopped at the first failure, after {len(outcomes)} of {len(items)} items",
                    why=outcome.reason,
                    fix="type the same command again to go on, without fail-fast to pass over it",
                ) from error
    # A signal during the last item still asks the program to end.
    stop.check(len(outcomes), len(items))
    return outcomes


def _attempt(
    item: Item, worker: Callable[[Item], Result], retries: int
) -> tuple[Outcome[Item, Result], Exception | None]:
    start = time.monotonic()
    attempts = 0
    while True:
        attempts += 1
        try:
            value = worker(item)
        except MemoryShortage as error:
            failure: Exception = error
        except _STOPPING:
            raise
        except Exception as error:
            failure = error
        else:
            return Outcome(item, "ok", value, "", time.monotonic() - start, attempts), None
        logger.info("item failed, attempt %d", attempts, exc_info=failure)
        if attempts > retries or isinstance(failure, InputError | MemoryShortage):
            spent = time.monotonic() - start
            return Outcome(item, "failed", None, reason_of(failure), spent, attempts), failure


def reason_of(error: BaseException) -> str:
    """An exception as one line for a row: at most 500 characters, never empty."""
    text = one_line(str(error))
    if not isinstance(error, TurboError):
        name = type(error).__name__
        text = f"{name}: {text}" if text else name
    return text if len(text) <= _LONGEST_REASON else text[: _LONGEST_REASON - 3] + "..."

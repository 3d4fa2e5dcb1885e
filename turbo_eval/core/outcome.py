"""What became of a stage: how much was there, how much was done, what failed and why."""

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ItemFailure:
    """One item without a result.

    Attributes:
        item: What it is, in words a user knows: model, prompt, seed, backbone.
        reason: Why it failed, one line.
    """

    item: str
    reason: str


@dataclass(slots=True)
class Outcome:
    """The account of one stage.

    Attributes:
        stage: `generate`, `features` or `score`.
        total: Items there are, finished ones included.
        cached: Items that were finished before the stage began.
        done: Items finished now.
        failures: Items that failed now.
        seconds: Seconds spent inside the models' or judges' own calls, this process only.
    """

    stage: str
    total: int
    cached: int
    done: int = 0
    failures: list[ItemFailure] = field(default_factory=list)
    seconds: float = 0.0


def failed_share(outcomes: Iterable[Outcome]) -> float:
    """Return the share of all items that failed, 0..1; 0 when there is no item."""
    kept = list(outcomes)
    total = sum(outcome.total for outcome in kept)
    return sum(len(outcome.failures) for outcome in kept) / total if total else 0.0

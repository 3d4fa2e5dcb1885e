"""What a command says to people: lines while it works, and how it ends."""

import sys
from collections.abc import Sequence

from turbo_eval.core.errors import PartialFailure, ThresholdError
from turbo_eval.core.outcome import Outcome, failed_share


def say(line: str) -> None:
    """Tell the user something; stdout is for data alone."""
    print(line, file=sys.stderr, flush=True)


def finish(outcomes: Sequence[Outcome], threshold: float | None) -> None:
    """List what failed and end with the documented exit code.

    Args:
        outcomes: Of all stages.
        threshold: Share of failed items above which a run counts as failed, or None.

    Raises:
        PartialFailure: Some items failed.
        ThresholdError: More failed than the threshold allows.
    """
    failures = [failure for outcome in outcomes for failure in outcome.failures]
    if not failures:
        return
    for failure in failures[:20]:
        say(f"Failed: {failure.item}: {failure.reason}")
    if len(failures) > 20:
        say(f"... and {len(failures) - 20} more; all are in the report")
    share = failed_share(outcomes)
    total = sum(outcome.total for outcome in outcomes)
    what = f"{len(failures)} of {total} items failed"
    fix = "remove the causes and type the same command again; only these are tried"
    if threshold is not None and share > threshold:
        raise ThresholdError(what, why=f"more than the threshold of {threshold:.1%}", fix=fix)
    # The first reason brings its own advice, which stands in the list above.
    raise PartialFailure(what, why=failures[0].reason.partition(". Fix: ")[0], fix=fix)

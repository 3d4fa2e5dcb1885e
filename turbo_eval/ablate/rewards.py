"""Which reward models of an ablation are here; its run scores every clip with them."""

from collections.abc import Sequence
from pathlib import Path

from turbo_eval.core.errors import PrerequisiteError
from turbo_eval.metrics.rewards import load


def present(names: Sequence[str], weights_dir: Path | None = None) -> tuple[list[str], list[str]]:
    """The rewards whose weights are here, and a line for each other.

    Args:
        names: Registered names.
        weights_dir: The folder of weights that the user named, if any.

    Raises:
        UsageError: No such reward; the nearest names are suggested.
    """
    found: list[str] = []
    absent: list[str] = []
    for name in names:
        try:
            load(name, weights_dir=weights_dir)
        except PrerequisiteError as error:
            absent.append(f"no reward {name}: {error.what}")
        else:
            found.append(name)
    return found, absent

"""What a person sees of a run: a live table on a terminal, one line a report elsewhere."""

import sys
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

SPARK = "▁▂▃▄▅▆▇█"


def sparkline(values: list[float], width: int = 40) -> str:
    """The last `width` values as bars, scaled to their own range."""
    shown = values[-width:]
    if not shown:
        return ""
    low, high = min(shown), max(shown)
    span = high - low or 1.0
    top = len(SPARK) - 1
    return "".join(SPARK[round((value - low) / span * top)] for value in shown)


def line(step: int, steps: int, values: Mapping[str, float], seconds: float) -> str:
    """One report as a line of text."""
    told = " ".join(f"{name} {value:.4g}" for name, value in values.items())
    return f"step {step}/{steps} {told} {seconds:.2f} s/step"


class View:
    """Shows every report; use as a context so that the terminal is left tidy."""

    def __init__(self, steps: int, *, say: Callable[[str], None], live: bool | None = None) -> None:
        self._steps, self._say = steps, say
        self._live: Any = None
        self._curves: dict[str, list[float]] = {}
        self._wanted = sys.stderr.isatty() if live is None else live

    def __enter__(self) -> Self:
        if self._wanted:
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(stderr=True), refresh_per_second=4)
            self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.__exit__(kind, error, trace)

    def report(self, step: int, values: Mapping[str, float], seconds: float) -> None:
        """Show the values of a step; `seconds` is the mean time of a step."""
        for name, value in values.items():
            self._curves.setdefault(name, []).append(value)
        if self._live is None:
            self._say(line(step, self._steps, values, seconds))
            return
        from rich.table import Table

        left = (self._steps - step) * seconds / 60
        table = Table(title=f"step {step} of {self._steps}, {seconds:.2f} s each, {left:.0f} min")
        table.add_column("value")
        table.add_column("now", justify="right")
        table.add_column("so far")
        for name, value in values.items():
            table.add_row(name, f"{value:.5g}", sparkline(self._curves[name]))
        self._live.update(table)

"""The first sentence of the page: who leads, by how much, and how sure that is."""

from dataclasses import dataclass
from typing import Literal

from turbo_eval.report.data import Cell, ReportData
from turbo_eval.report.text import label, pretty, span, tidy

Kind = Literal["leads", "unclear", "unpaired", "single", "partial"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A sentence and what it amounts to.

    Attributes:
        kind: `leads`, `unclear` (the paired interval includes 0), `unpaired` (no paired interval is
            known), `single` (one model) or `partial` (no total).
        headline: A few words.
        sentence: The whole claim with its interval.
    """

    kind: Kind
    headline: str
    sentence: str


def verdict(data: ReportData) -> Verdict:
    """Judge the totals of a summary.

    A lead is claimed only where the interval of the paired difference leaves out 0; intervals of
    two totals side by side do not decide it, because both models saw the same prompts.
    """
    ranked = sorted(
        (m for m in data.models if data.total(m, "total").value is not None),
        key=lambda m: -(data.total(m, "total").value or 0.0),
    )
    if not ranked:
        return _partial(data)
    tail = _tail(data, ranked)
    best = ranked[0]
    if len(ranked) == 1:
        return Verdict(
            "single",
            f"{_name(best)}: {pretty(data.total(best, 'total').value)} in total",
            f"{_name(best)} scores {_value(data.total(best, 'total'))} in total; "
            f"there is no second total to compare with.{tail}",
        )
    rival, gap = _rival(data, ranked)
    if rival is None or gap.value is None:
        second = ranked[1]
        return Verdict(
            "unpaired",
            "No paired comparison",
            f"{_name(best)} has the highest total, {_value(data.total(best, 'total'))}, before "
            f"{_name(second)} with {_value(data.total(second, 'total'))}; the summary holds no "
            f"paired difference between them, so no lead is claimed.{tail}",
        )
    return _compared(data, ranked, rival, gap, tail)


def _compared(data: ReportData, ranked: list[str], rival: str, gap: Cell, tail: str) -> Verdict:
    best = ranked[0]
    points = f"{pretty(gap.value, sign=True)} points"
    between = ""
    if rival != ranked[1]:
        between = f" {_name(ranked[1])} stands between them, with no paired difference."
    interval = span(gap, sign=True)
    total = pretty(data.total(best, "total").value)
    against = "the baseline " if rival == data.baseline else ""
    if gap.low is not None and gap.low > 0:
        return Verdict(
            "leads",
            f"{_name(best)} leads",
            f"{_name(best)} leads with a total of {total}: {points} against {against}"
            f"{_name(rival)} (95% interval of the paired difference {interval}).{between}{tail}",
        )
    doubt = f"95% interval {interval}, which includes 0" if interval else "no interval is known"
    return Verdict(
        "unclear",
        "No clear difference",
        f"No clear difference: {_name(best)} has the highest total, {total}, but the paired "
        f"difference against {against}{_name(rival)} is {points} ({doubt}).{between}{tail}",
    )


def _rival(data: ReportData, ranked: list[str]) -> tuple[str | None, Cell]:
    """Whom the best is compared with: the second best if paired, else the baseline."""
    best = ranked[0]
    if best == data.baseline:
        gap = data.difference(ranked[1], "total")
        return ranked[1], _negated(gap)
    if data.baseline in ranked:
        return data.baseline, data.difference(best, "total")
    return None, Cell()


def _negated(cell: Cell) -> Cell:
    def minus(value: float | None) -> float | None:
        return None if value is None else -value

    return Cell(minus(cell.value), minus(cell.high), minus(cell.low), cell.n, cell.of)


def _partial(data: ReportData) -> Verdict:
    missing = data.missing("total")
    names = ", ".join(label(d).lower() for d in missing)
    reason = f"{len(missing)} of 16 dimensions have no value ({names})"
    if not missing:
        reason = "the summary holds none"
    return Verdict(
        "partial",
        "Partial: no total",
        f"Partial: no total, because {reason}. The values below stand for themselves.",
    )


def _tail(data: ReportData, ranked: list[str]) -> str:
    tail = " Every total is partial: see the notice below." if data.qualified else ""
    without = [_name(m) for m in data.models if m not in ranked]
    if without:
        tail += f" Partial, without a total: {', '.join(without)}."
    return tail


def _name(model: str) -> str:
    return tidy(model, 80)


def _value(cell: Cell) -> str:
    interval = span(cell)
    return pretty(cell.value) + (f" (95% interval {interval})" if interval else "")

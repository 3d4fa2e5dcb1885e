"""Numbers and names as people read them."""

import unicodedata
from typing import Final

from turbo_eval.backbones.official import RANDOM as RANDOM_JUDGES
from turbo_eval.metrics.rewards.base import PREFIX as REWARD
from turbo_eval.report.data import Cell

DASH: Final = "\N{EM DASH}"
MINUS: Final = "\N{MINUS SIGN}"

RANDOM: Final = "RANDOM WEIGHTS: these numbers mean nothing"
"""What stands wherever numbers of random weights do."""


def random_note(judges: str) -> str:
    """`RANDOM` if the judges had random weights (`turbo-eval weights random`), else nothing."""
    return RANDOM if judges == RANDOM_JUDGES else ""


_LABELS: Final = {
    "color": "Color",
    "total": "Total",
    "quality": "Quality",
    "semantic": "Semantic",
}


def label(metric: str) -> str:
    """A metric's name for people: `subject_consistency` becomes "Subject consistency"."""
    if metric in _LABELS:
        return _LABELS[metric]
    if metric.startswith(REWARD):
        # A reward goes by the name that a user types.
        return f"Reward {metric.removeprefix(REWARD)}"
    words = metric.replace("_", " ")
    return words[:1].upper() + words[1:]


def number(
    value: float | None, *, scale: float = 100.0, digits: int = 2, sign: bool = False
) -> str:
    """A number times `scale` with fixed digits and an ASCII minus; a dash when absent.

    Never "-0.00": what rounds to zero is written without a sign.
    """
    if value is None:
        return "-"
    rounded = round(value * scale, digits)
    if rounded == 0:
        return f"{0:.{digits}f}"
    return f"{rounded:{'+' if sign else ''}.{digits}f}"


def pretty(
    value: float | None, *, scale: float = 100.0, digits: int = 2, sign: bool = False
) -> str:
    """As `number`, with the minus and the dash that typography wants; for pages and sentences."""
    if value is None:
        return DASH
    return number(value, scale=scale, digits=digits, sign=sign).replace("-", MINUS)


def span(cell: Cell, *, scale: float = 100.0, sign: bool = False, digits: int = 2) -> str:
    """An interval as "70.10 to 72.30"; empty when there is none."""
    if cell.interval is None:
        return ""
    low, high = (pretty(v, scale=scale, sign=sign, digits=digits) for v in cell.interval)
    return f"{low} to {high}"


def counts(cell: Cell) -> str:
    """Counts as "58/60"; a dash when unknown."""
    if cell.n is None:
        return "-"
    return f"{cell.n}" if cell.of is None else f"{cell.n}/{cell.of}"


def tidy(text: str, limit: int = 600) -> str:
    """Text of others made safe to show: what cannot be written or reorders a line is replaced.

    Escaping is the template's work; this removes what escaping cannot: lone surrogates, control
    characters and direction overrides. Long text is cut and says how long it was.
    """
    kept = "".join(_shown(c) for c in text)
    if len(kept) <= limit:
        return kept
    return f"{kept[:limit].rstrip()}\N{HORIZONTAL ELLIPSIS} ({len(kept)} characters)"


def _shown(character: str) -> str:
    if character in "\t\n\r":
        return " "
    # Direction overrides and isolates would let a prompt reorder the text around it.
    if character in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069":
        return ""
    if unicodedata.category(character) in {"Cc", "Cs"} or character in "\u2028\u2029":
        return "\N{REPLACEMENT CHARACTER}"
    return character

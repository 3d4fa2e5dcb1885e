"""Sentences that were written down before the numbers, and what the numbers say of them."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from turbo_eval.ablate.grid import Row
from turbo_eval.ablate.spec import Ablation, Claim
from turbo_eval.ablate.tables import shown, title
from turbo_eval.core.errors import unknown
from turbo_eval.report.data import Cell

Verdict = Literal["holds", "contradicted", "not decided"]
CALLS = "fewer"


def compared(spec: Ablation, table: Sequence[Row]) -> tuple[str, ...]:
    """Names of the rows that the claims compare with, each once.

    Raises:
        UsageError: A claim names a row that there is not.
    """
    known = [row.name for row in table]
    for claim in spec.claim:
        for name in (claim.row, *claim.against):
            if name not in known:
                raise unknown(f"row of the claim {claim.text!r}", name, known)
    return tuple(dict.fromkeys(name for claim in spec.claim for name in claim.against))


def judge(claims: Sequence[Claim], found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Settle every claim by the paired differences and their 95% intervals.

    Args:
        claims: The claims.
        found: The object of `ablation.json`, with its `trainings`.

    Returns:
        For each claim its own keys, `verdict` (`holds`, `contradicted`, `not decided`) and
        `numbers`: one object for each row compared with, `against`, `verdict`, and `value`, `low`,
        `high`, `pairs` of the difference (`value` alone, the ratio, for network calls). A claim
        against several rows is as good as its worst comparison. `trainings` has the difference
        over training seeds where both rows stand for recipes that were trained several times.
    """
    return [_judged(claim, found) for claim in claims]


def _judged(claim: Claim, found: Mapping[str, Any]) -> dict[str, Any]:
    rows = {row["name"]: row for row in found["rows"]}
    numbers = []
    for base in claim.against:
        if claim.expect == CALLS:
            ratio = rows[base]["network_calls"] / rows[claim.row]["network_calls"]
            verdict: Verdict = "holds" if ratio >= claim.times else "contradicted"
            numbers.append({"against": base, "value": ratio, "verdict": verdict})
            continue
        cell = rows[claim.row]["differences"].get(base, {}).get(claim.measure)
        told = {k: (cell or {}).get(k) for k in ("value", "low", "high", "pairs")}
        numbers.append({"against": base, **told, "verdict": settle(claim, cell)})
    verdicts = [each["verdict"] for each in numbers]
    order: Sequence[Verdict] = ("contradicted", "not decided", "holds")
    return {
        **claim.model_dump(),
        "verdict": next(word for word in order if word in verdicts),
        "numbers": numbers,
        "trainings": _trainings(claim, found),
    }


def settle(claim: Claim, cell: Mapping[str, Any] | None) -> Verdict:
    """What the interval of one difference says; without an interval nothing is decided."""
    if cell is None or cell.get("low") is None:
        return "not decided"
    low, high = cell["low"], cell["high"]
    if claim.expect == "lower":
        low, high = -high, -low
    if claim.expect == "not lower":
        low, high = low + claim.margin, high + claim.margin
        return "holds" if low >= 0 else "contradicted" if high < 0 else "not decided"
    return "holds" if low > 0 else "contradicted" if high < 0 else "not decided"


def _trainings(claim: Claim, found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The same comparison over training seeds, where both rows belong to pooled recipes."""
    pooled = found.get("trainings") or {"differences": []}
    groups = {g["name"]: set(g["seeds"].values()) for g in pooled.get("groups", ())}
    told = []
    for pair in pooled["differences"]:
        one, other = groups[pair["name"]], groups[pair["against"]]
        cell = pair["measures"].get(claim.measure)
        if cell and claim.row in one and set(claim.against) & other:
            told.append({"seeds": pair["seeds"], **cell})
    return told


def lines(judged: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence for each claim: its text, the verdict, the numbers."""
    return [_line(each) for each in judged]


def _line(claim: Mapping[str, Any]) -> str:
    parts = []
    for each in claim["numbers"]:
        if claim["expect"] == CALLS:
            parts.append(f"{each['value']:g} times fewer calls than {each['against']}")
            continue
        gap = Cell(each["value"], each["low"], each["high"], each["pairs"], None)
        named = title(claim["measure"]).lower()
        parts.append(f"{named} {shown(claim['measure'], gap, sign=True)} against {each['against']}")
    for each in claim["trainings"]:
        gap = Cell(each["mean"], each["low"], each["high"], each["n"], None)
        seeds = ", ".join(each["seeds"])
        parts.append(f"over training seeds {seeds} {shown(claim['measure'], gap, sign=True)}")
    return f"{claim['text'].rstrip('.')}: {claim['verdict'].upper()} ({'; '.join(parts)})."

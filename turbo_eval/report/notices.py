"""Why the numbers of a page are not the whole set."""

from turbo_eval.report.data import GROUPS, ReportData
from turbo_eval.report.text import counts, label, tidy


def partial_reasons(data: ReportData) -> list[str]:
    """Why the numbers are partial, for people: the summary's reasons, else what can be seen."""
    if data.partial:
        return [tidy(reason[:1].upper() + reason[1:], 400) for reason in data.partial]
    reasons = []
    missing = data.missing("total")
    if missing:
        names = ", ".join(label(d).lower() for d in missing)
        reasons.append(f"{len(missing)} of 16 dimensions have no value for some model: {names}")
    short = [
        f"{label(d).lower()} ({counts(cell)}, {tidy(m, 60)})"
        for d in GROUPS["total"]
        for m in data.models
        if (cell := data.score(m, d)).incomplete and cell.value is not None
    ]
    if short:
        more = f" and {len(short) - 6} more" if len(short) > 6 else ""
        reasons.append(f"Some videos have no value: {', '.join(short[:6])}{more}")
    return reasons

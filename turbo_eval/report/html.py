"""The page: what the template shows, and a policy under which it needs nothing from outside."""

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from turbo_eval.backbones.official import RANDOM as RANDOM_JUDGES
from turbo_eval.report import tables
from turbo_eval.report.clips import ClipEntry, ClipRow
from turbo_eval.report.data import Cell, ReportData
from turbo_eval.report.notices import partial_reasons
from turbo_eval.report.plots import normalised
from turbo_eval.report.text import DASH, RANDOM, label, pretty, span, tidy
from turbo_eval.report.verdict import verdict

_ASSETS: Final = files("turbo_eval.report") / "assets"

_JUDGES: Final[Mapping[str, tuple[str, str]]] = {
    "mini": (
        "Mini judges",
        "numbers hold inside the mini world, they are not VBench scores",
    ),
    "official": ("Official judges", "VBench's networks and weights"),
    RANDOM_JUDGES: (RANDOM, "VBench's networks, weights drawn by `turbo-eval weights random`"),
}

_FAILURES_SHOWN: Final = 50


@dataclass(frozen=True, slots=True)
class Bar:
    """A small bar with its interval, in hundredths of the width.

    Attributes:
        start: Left end of the bar.
        width: Length of the bar.
        low: Left end of the interval; None without one.
        high: Right end of the interval.
    """

    start: float
    width: float
    low: float | None
    high: float | None


def render(
    data: ReportData,
    rows: Sequence[ClipRow],
    clip_files: Mapping[str, str],
    figures: Sequence[str],
    *,
    prompts: int,
) -> str:
    """Make the text of index.html.

    Args:
        data: What `data.read` made of a summary.
        rows: The clips to show.
        clip_files: Key of a clip -> file name in `clips/`.
        figures: File names in `figures/`.
        prompts: Prompts that there are clips of, shown or not.

    Returns:
        A whole HTML document; everything that others wrote is escaped.
    """
    css, js = _asset("report.css"), _asset("report.js")
    environment = Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        loader=DictLoader({name: _asset(name) for name in ("index.html.j2", "clips.html.j2")}),
        keep_trailing_newline=True,
    )
    environment.filters.update(label=label, tidy=tidy, pretty=pretty, span=span)
    template = environment.get_template("index.html.j2")
    known = tables.difference_rows(data)
    return template.render(
        css=Markup(css),
        js=Markup(js),
        policy=_policy(css, js),
        title=_title(data),
        verdict=verdict(data),
        badge=_badge(data.judges),
        official=data.judges == "official",
        reasons=partial_reasons(data),
        data=data,
        rows=tables.rows(data),
        row_label=tables.row_label,
        row_counts=tables.row_counts,
        bar=_bar,
        strips=[(m, data.total(m, "total"), _bar(data.total(m, "total"))) for m in data.models],
        difference_rows=known,
        difference_models=list(data.differences),
        difference_bar=_difference_bar(known),
        direction=_direction,
        figures=[name for name in ("bars.svg", "radar.svg") if name in figures],
        normalised=normalised(data),
        clip_rows=rows,
        clip_files=clip_files,
        clip_reason=_clip_reason,
        prompts=prompts,
        fps=_fps,
        failures=data.failures[:_FAILURES_SHOWN],
        failure_count=len(data.failures),
        settings=list(_flat(data.settings)),
        provenance=list(_flat(data.provenance)),
        markdown=tables.markdown(data),
        latex=tables.latex(data),
        dash=DASH,
    )


@cache
def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")


def _policy(css: str, js: str) -> str:
    """A content security policy: our style, our script, files beside the page, nothing else."""
    return "; ".join(
        [
            "default-src 'none'",
            f"style-src {_hash(css)}",
            f"script-src {_hash(js)}",
            "img-src 'self' file:",
            "media-src 'self' file:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def _title(data: ReportData) -> str:
    suite = data.settings.get("suite")
    name = suite.get("name") if isinstance(suite, Mapping) else suite
    return tidy(str(name), 80) if name else "video generation"


def _badge(judges: str) -> tuple[str, str]:
    unknown = (f"Judges: {tidy(judges, 60)}", "not VBench's own networks, so not VBench scores")
    return _JUDGES.get(judges, unknown)


def _bar(cell: Cell) -> Bar | None:
    """A bar from 0 to the value on a scale of 0..1."""
    if cell.value is None:
        return None
    low, high = cell.interval or (None, None)
    return Bar(0.0, _percent(cell.value), _end(low), _end(high))


def _difference_bar(rows: Sequence[tables.Row]) -> Any:
    """A function that draws a cell around a zero in the middle, all cells on one scale."""
    ends = [
        abs(end)
        for row in rows
        if row.kind != "other"
        for cell in row.cells.values()
        for end in (cell.value, *(cell.interval or ()))
        if end is not None
    ]
    widest = max([*ends, 1e-9])

    def draw(cell: Cell) -> Bar | None:
        if cell.value is None:
            return None
        middle, tip = 50.0, 50 + 50 * cell.value / widest
        low, high = cell.interval or (None, None)
        return Bar(
            round(min(middle, tip), 2),
            round(abs(tip - middle), 2),
            _end(None if low is None else 0.5 + low / widest / 2),
            _end(None if high is None else 0.5 + high / widest / 2),
        )

    return draw


def _percent(value: float) -> float:
    return round(100 * min(max(value, 0.0), 1.0), 2)


def _end(value: float | None) -> float | None:
    return None if value is None else _percent(value)


def _direction(cell: Cell) -> str:
    """`higher` or `lower` where the interval leaves out 0, else `unclear`; empty when absent."""
    if cell.value is None:
        return ""
    if cell.interval is None:
        return "unclear"
    low, high = cell.interval
    return "higher" if low > 0 else "lower" if high < 0 else "unclear"


def _fps(row: ClipRow) -> float:
    """The finest frame rate of a row: its arrow keys step by one of those frames."""
    return max([c.fps for c in row.clips if c is not None and c.fps > 0], default=8.0)


def _clip_reason(clip: ClipEntry | None) -> str:
    if clip is None:
        return "no clip of this model for this prompt and seed"
    if clip.reason:
        return clip.reason
    return "there is no file" if clip.path is None else "the file is gone or cannot be played"


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as (dotted name, text), in the order given."""
    for key, entry in value.items():
        name = f"{prefix}.{key}" if prefix else str(key)
        if isinstance(entry, Mapping) and entry:
            yield from _flat(entry, name)
        elif isinstance(entry, Sequence) and any(isinstance(e, Mapping) for e in entry):
            yield from _flat({str(i): e for i, e in enumerate(entry)}, name)
        else:
            yield tidy(name, 200), _plain(entry)


def _plain(entry: Any) -> str:
    if entry is None or entry in ("", [], {}, ()):
        return DASH
    if isinstance(entry, bool):
        return "yes" if entry else "no"
    if isinstance(entry, Sequence) and not isinstance(entry, str):
        return tidy(", ".join(str(e) for e in entry))
    return tidy(str(entry))

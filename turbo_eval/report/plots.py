"""The figures, as SVG that is the same for the same numbers and follows dark and light.

Colours stand as a style sheet inside each file, because a page shows the files as images and an
image cannot see the page's style. Text stays text in the reader's own font.
"""

import contextlib
import io
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from turbo_eval.prompts.dimensions import DIMENSIONS
from turbo_eval.report.data import GROUPS, Cell, ReportData
from turbo_eval.report.text import label, tidy

# Placeholders that the style sheet below gives a value for each theme.
_INK: Final = "#101112"
_SOFT: Final = "#505152"
_GRID: Final = "#c0c1c2"

_DARK: Final = {
    _INK: "#e6e9ef",
    _SOFT: "#a3abb8",
    _GRID: "#3a4150",
    "#0072b2": "#4ba3e3",
    "#7a5195": "#b692d6",
    "#8c6d31": "#c9a866",
}

_COLOURS: Final = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5195", "#8c6d31"
)  # fmt: skip
_HATCHES: Final = ("", "////", "....", "\\\\\\\\", "xx", "--", "++", "oo")
_DASHES: Final = ("-", "--", "-.", ":")
_MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "*")

_FONT: Final = (
    "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'DejaVu Sans', sans-serif"
)

_STYLE: Final[dict[str, Any]] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "turbo-eval",
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "text.usetex": False,
    "text.parse_math": False,
    "text.color": _INK,
    "axes.edgecolor": _GRID,
    "axes.labelcolor": _SOFT,
    "axes.unicode_minus": True,
    "xtick.color": _SOFT,
    "ytick.color": _INK,
    "grid.color": _GRID,
    "hatch.linewidth": 0.7,
}


def figures(data: ReportData) -> dict[str, str]:
    """Draw every figure that the numbers allow.

    Args:
        data: What `data.read` made of a summary.

    Returns:
        File name -> SVG text; empty when no dimension has a value.
    """
    made: dict[str, str] = {}
    if not any(data.score(m, d).value is not None for m in data.models for d in DIMENSIONS):
        return made
    with styled():
        made["bars.svg"] = _bars(data)
        made["radar.svg"] = _radar(data)
    return made


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """The style of every figure of this project; the user's own matplotlibrc changes no byte."""
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def normalised(data: ReportData) -> bool:
    """Whether the summary brings the ends that its dimensions are normalised with."""
    return all(
        d in data.bounds
        for d in DIMENSIONS
        if any(data.score(m, d).value is not None for m in data.models)
    )


def _bars(data: ReportData) -> str:
    from matplotlib.figure import Figure

    names = [d for d in DIMENSIONS if any(data.score(m, d).value is not None for m in data.models)]
    names += [g for g in GROUPS if any(data.total(m, g).value is not None for m in data.models)]
    height = 0.8 / len(data.models)
    figure = Figure(figsize=(5.6, 1.1 + len(names) * (0.16 + 0.115 * len(data.models))))
    axes = figure.add_subplot()
    places = np.arange(len(names), dtype=np.float64)
    for i, model in enumerate(data.models):
        cells = [data.total(model, n) if n in GROUPS else data.score(model, n) for n in names]
        values, errors = _points(cells)
        axes.barh(
            places + (i - (len(data.models) - 1) / 2) * height,
            values,
            height=height * 0.92,
            xerr=errors,
            label=_legend(model),
            color=colour(i),
            edgecolor=_INK,
            linewidth=0.4,
            hatch=_HATCHES[i % len(_HATCHES)],
            error_kw={"ecolor": _INK, "elinewidth": 1.0, "capsize": 1.8},
        )
    axes.set_yticks(places, [label(n) for n in names])
    for tick, name in zip(axes.get_yticklabels(), names, strict=True):
        tick.set_fontweight("bold" if name in GROUPS else "normal")
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, 100)
    axes.set_xlabel("Score x 100, bars with 95% intervals")
    plain(axes)
    axes.grid(axis="x", linewidth=0.6)
    _legend_above(axes, len(data.models), 0.4, "right")
    return svg(figure)


def _radar(data: ReportData) -> str:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 6.4))
    axes: Any = figure.add_subplot(projection="polar")  # a PolarAxes, which the types do not say
    angles = np.linspace(0, 2 * math.pi, len(DIMENSIONS), endpoint=False)
    closed = np.append(angles, angles[0])
    for i, model in enumerate(data.models):
        ring = np.array([_on_ring(data, model, d) for d in DIMENSIONS])
        values = np.append(ring, ring[0])
        axes.plot(
            closed,
            values,
            _DASHES[i % len(_DASHES)],
            color=colour(i),
            marker=marker(i),
            markersize=4.5,
            linewidth=1.7,
            label=_legend(model),
        )
    axes.set_theta_offset(math.pi / 2)
    axes.set_theta_direction(-1)
    axes.set_xticks(angles, [label(d).replace(" ", "\n", 1) for d in DIMENSIONS])
    for tick, angle in zip(axes.get_xticklabels(), angles, strict=True):
        side = math.sin(angle)
        tick.set_horizontalalignment(
            "center" if abs(side) < 0.1 else "left" if side > 0 else "right"
        )
    axes.tick_params(axis="x", pad=4, colors=_INK)
    axes.set_ylim(0, 100)
    axes.set_yticks([25, 50, 75, 100], ["25", "50", "75", "100"])
    axes.set_rlabel_position(11.25)
    axes.tick_params(axis="y", labelsize=7.5, colors=_SOFT)
    axes.set_facecolor("none")
    axes.grid(linewidth=0.6)
    axes.spines["polar"].set_color(_GRID)
    _legend_above(axes, len(data.models), 3.4, "center")
    return svg(figure)


def _on_ring(data: ReportData, model: str, dimension: str) -> float:
    """A radius on 0..100; NaN (a gap in the line) where there is no value."""
    value = data.score(model, dimension).value
    if value is None:
        return math.nan
    if normalised(data):
        low, high = data.bounds[dimension]
        value = (value - low) / (high - low)
    return 100 * min(max(value, 0.0), 1.0)


def _points(cells: Sequence[Cell]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    values = np.array([math.nan if c.value is None else 100 * c.value for c in cells])
    ends = [c.interval or (math.nan, math.nan) for c in cells]
    low, high = (100 * np.array(end) for end in zip(*ends, strict=True))
    # A percentile interval may lie wholly to one side of its value; a length cannot be negative.
    return values, np.stack([np.maximum(values - low, 0), np.maximum(high - values, 0)])


def colour(index: int) -> str:
    """The colour of the model at this place of the table."""
    return _COLOURS[index % len(_COLOURS)]


def marker(index: int) -> str:
    """The marker that goes with `colour`, for eyes and prints without colours."""
    return _MARKERS[index % len(_MARKERS)]


def _legend(model: str) -> str:
    # A label that begins with an underscore would be left out of the legend.
    text = tidy(model, 48)
    return f"\N{ZERO WIDTH SPACE}{text}" if text.startswith("_") else text


def plain(axes: Any) -> None:
    """Leave of the axes only what carries a number."""
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0)
    axes.set_axisbelow(True)
    axes.set_facecolor("none")


def _legend_above(axes: Any, models: int, pad: float, side: str) -> None:
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(
        handles,
        labels,
        loc=f"lower {side}",
        bbox_to_anchor=({"center": 0.5, "right": 1.0}[side], 1.0),
        bbox_transform=axes.transAxes,
        borderaxespad=pad,
        ncols=min(models, 3),
        frameon=False,
        handlelength=2.6,
    )


def svg(figure: Any) -> str:
    """The figure as text that follows dark and light, the same for the same numbers."""
    buffer = io.StringIO()
    figure.savefig(
        buffer,
        format="svg",
        transparent=True,
        bbox_inches="tight",
        pad_inches=0.05,
        metadata={"Date": None, "Creator": None},
    )
    text = buffer.getvalue()
    text = re.sub(r"'DejaVu Sans'(, [^;\"']+)*", _FONT.replace('"', "'"), text)
    style = f"<style>@media (prefers-color-scheme: dark) {{{_dark_rules()}}}</style>"
    head = text.index(">", text.index("<svg")) + 1
    return text[:head] + style + text[head:]


def _dark_rules() -> str:
    rules = []
    for light, dark in _DARK.items():
        for name in ("fill", "stroke"):
            rules.append(f'[style*="{name}: {light}"]{{{name}:{dark}!important}}')
    return "".join(rules)

"""The figure of an ablation: the total against network calls, or the rows side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from turbo_eval.ablate.results import family_of, main_measures
from turbo_eval.ablate.tables import cell_of, title
from turbo_eval.report.plots import colour, marker, plain, styled, svg
from turbo_eval.report.text import tidy

PANELS = 3


def figure(found: Mapping[str, Any]) -> str:
    """Draw the figure.

    Where something is sampled with several numbers of steps, the first measure (the total, if
    there is one) stands against the number of network calls of a video, one line a model. Else up
    to three measures stand side by side, one line a row of the table. Bars are 95% intervals.

    Args:
        found: The object of `ablation.json`.

    Returns:
        SVG text; a figure that says so when there is no value.
    """
    measures = main_measures(found)
    series = _series(found)
    with styled():
        from matplotlib.figure import Figure

        if not measures:
            drawn: Any = Figure(figsize=(4.0, 1.0))
            drawn.text(0.5, 0.5, "no value", ha="center", va="center")
        elif any(len({row["network_calls"] for row in rows}) > 1 for rows in series.values()):
            drawn = _against_calls(series, measures[0])
        else:
            drawn = _side_by_side(found["rows"], measures[:PANELS])
        return svg(drawn)


def _series(found: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
    """Rows of the same model at other numbers of steps, as one line each."""
    lines: dict[str, list[Mapping[str, Any]]] = {}
    for row in found["rows"]:
        training = row["training"]
        # A row of several is called `NAME @STEPS`.
        name = training["variant"] if training else row["name"].rpartition(" @")[0] or row["name"]
        lines.setdefault(name, []).append(row)
    return lines


def _scale(measure: str) -> float:
    return 1.0 if family_of(measure) == "rewards" else 100.0


def _against_calls(series: Mapping[str, Sequence[Mapping[str, Any]]], measure: str) -> Any:
    from matplotlib.figure import Figure

    drawn: Any = Figure(figsize=(6.4, 4.2))
    axes = drawn.add_subplot()
    ticks: set[int] = set()
    for index, (name, rows) in enumerate(series.items()):
        known = [row for row in rows if cell_of(row["measures"].get(measure)).value is not None]
        known = sorted(known, key=lambda row: row["network_calls"])
        if not known:
            continue
        values, errors = _points([row["measures"][measure] for row in known], _scale(measure))
        places = [row["network_calls"] for row in known]
        ticks |= set(places)
        # Lines that share their places would hide each other's intervals.
        shift = 1 + 0.025 * (index - (len(series) - 1) / 2)
        axes.errorbar(
            np.array(places) * shift,
            values,
            yerr=errors,
            label=tidy(name, 48),
            color=colour(index),
            marker=marker(index),
            markersize=5,
            linewidth=1.4,
            elinewidth=1.0,
            capsize=2,
        )
    axes.set_xscale("log", base=2)
    places = sorted(ticks)
    axes.set_xticks(places, [str(place) for place in places])
    axes.minorticks_off()
    axes.set_xlabel("Network calls for one video")
    axes.set_ylabel(_axis(measure))
    plain(axes)
    axes.grid(linewidth=0.6)
    axes.legend(
        loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=min(len(series), 3), frameon=False
    )
    return drawn


def _side_by_side(rows: Sequence[Mapping[str, Any]], measures: Sequence[str]) -> Any:
    from matplotlib.figure import Figure

    drawn: Any = Figure(figsize=(1.6 + 2.4 * len(measures), 0.9 + 0.34 * len(rows)))
    panels = drawn.subplots(1, len(measures), sharey=True, squeeze=False)[0]
    for axes, measure in zip(panels, measures, strict=True):
        for index, row in enumerate(rows):
            if cell_of(row["measures"].get(measure)).value is None:
                continue
            values, errors = _points([row["measures"][measure]], _scale(measure))
            axes.errorbar(
                values,
                [index],
                xerr=errors,
                color=colour(index),
                marker=marker(index),
                markersize=6,
                elinewidth=1.4,
                capsize=2.5,
                linestyle="none",
            )
        axes.set_xlabel(_axis(measure))
        plain(axes)
        axes.grid(axis="x", linewidth=0.6)
    panels[0].set_yticks(range(len(rows)), [tidy(row["name"], 48) for row in rows])
    panels[0].set_ylim(len(rows) - 0.5, -0.5)
    drawn.subplots_adjust(wspace=0.12)
    return drawn


def _axis(measure: str) -> str:
    return title(measure) if family_of(measure) == "rewards" else f"{title(measure)} x 100"


def _points(cells: Sequence[Mapping[str, Any]], scale: float) -> tuple[Any, Any]:
    """Values and the lengths of their bars, which are never negative."""
    known = [cell_of(cell) for cell in cells]
    values = np.array([np.nan if cell.value is None else cell.value * scale for cell in known])
    ends = [cell.interval or (np.nan, np.nan) for cell in known]
    low, high = (scale * np.array(side) for side in zip(*ends, strict=True))
    return values, np.stack([np.maximum(values - low, 0), np.maximum(high - values, 0)])

"""A run beside published figures."""

import csv
import io
from typing import Any

import pytest

from turbo_eval.core.errors import InputError, UsageError
from turbo_eval.metrics.normalise import totals
from turbo_eval.prompts.dimensions import DIMENSIONS
from turbo_eval.report import beside as tables
from turbo_eval.report.data import read
from turbo_eval.report.published import (
    METRICS,
    PAPERS,
    TOTALS,
    Published,
    beside,
    choose,
    published,
)

NAMED = (
    "gen-2", "pika", "videocrafter0.9", "videocrafter1", "videocrafter2", "show-1", "lavie",
    "lavie-interpolation", "modelscope", "open-sora", "cogvideo", "t2v-turbo-vc2", "t2v-turbo-ms",
    "vcm-vc2", "vcm-ms", "t2v-turbo-v2", "hidream-o1",
)  # fmt: skip


def summary(**changes: Any) -> dict[str, Any]:
    """A whole run of the plain protocol that repeats T2V-Turbo's published scores."""
    row = published()["t2v-turbo-vc2"]
    cell = {"low": None, "high": None, "n": 10, "of": 10, "version": 1}
    return {
        "models": {
            "ours": {f"vbench.{d}": {**cell, "value": row.scores[d] / 100} for d in DIMENSIONS}
        },
        "totals": {"ours": {t: {"value": row.scores[t] / 100} for t in TOTALS}},
        "differences": {},
        "baseline": "ours",
        "judges": "official",
        "settings": {
            "suite": {"name": "vbench"},
            "seeds": 5,
            "models": [{"label": "ours", "frames": 16, "fps": 16.0}],
        },
        "partial": [],
        "failures": [],
        "provenance": {},
        **changes,
    }


@pytest.mark.parametrize("row", published().values(), ids=lambda row: row.key)
def test_published_totals_follow_from_published_dimensions(row: Published) -> None:
    """The figures were copied without a slip: 16 dimensions give the printed totals."""
    assert row.source
    assert row.evaluated_by
    assert set(row.scores) <= set(METRICS)
    if not set(DIMENSIONS) <= set(row.scores):
        # Some sources print totals only.
        assert set(row.scores) == set(TOTALS)
        return
    made = totals({d: row.scores[d] / 100 for d in DIMENSIONS})
    for name in TOTALS:
        value = getattr(made, name)
        assert value is not None
        assert 100 * value == pytest.approx(row.scores[name], abs=0.02)


def test_every_row_that_the_papers_name_is_there() -> None:
    assert set(NAMED) <= set(published())
    assert {row.key for row in choose("1")} < {row.key for row in choose("4")}
    assert len(choose("1")) == 11
    assert len(choose("4")) == 15
    assert all(choose(paper) for paper in PAPERS)
    # Nothing of the papers' own tables is marked, everything recent is.
    assert not any(row.not_comparable for row in choose("4"))
    assert all(row.not_comparable for row in choose("top"))


def test_a_run_equal_to_a_row_differs_from_it_by_nothing() -> None:
    made = beside(read(summary()), choose("1"), title="t")
    mine = next(row for row in made.rows if row.key == "t2v-turbo-vc2")
    other = next(row for row in made.rows if row.key == "videocrafter2")
    for metric in METRICS:
        assert made.difference("ours", mine, metric) == pytest.approx(0, abs=1e-9)
    assert made.difference("ours", other, "total") == pytest.approx(81.01 - 80.44)
    assert not made.remarks
    header, lines = tables.cells(made)
    assert header[:2] == ["Percent", "ours"]
    assert len(lines) == len(METRICS)
    at = header.index("VideoCrafter2")
    assert lines[0][at : at + 2] == ["80.44", "+0.57"]


@pytest.mark.parametrize("judges", ["mini", "official-random", "mine"])
def test_scores_of_other_judges_are_never_put_beside_published_ones(judges: str) -> None:
    with pytest.raises(InputError, match=f"{judges}.*VBench's own networks.*--judges official"):
        beside(read(summary(judges=judges)), choose("1"), title="t")


def test_a_partial_run_has_no_totals() -> None:
    made = beside(read(summary(partial=["a subset: 1 of 2 prompts"])), choose("1"), title="t")
    assert not set(TOTALS) & set(made.ours["ours"])
    assert made.difference("ours", made.rows[0], "total") is None
    assert tables.notes(made)[1].startswith("Partial: a subset")
    assert tables.cells(made)[1][0][1] == "-"


def test_a_run_that_leaves_the_protocol_says_so() -> None:
    settings = {
        "suite": {"name": "custom"},
        "seeds": 1,
        "compat": "fixed",
        "rewritten": "long.txt",
        "models": [{"label": "ours", "frames": 81, "fps": 16.0}],
    }
    text = " ".join(beside(read(summary(settings=settings)), choose("1"), title="t").notes())
    for said in ("suite custom", "1 videos per prompt", "quirks", "rewritten", "5.1 s"):
        assert said in text


def test_rows_that_are_not_comparable_are_starred_and_explained() -> None:
    made = beside(read(summary()), choose("top"), title="t")
    header, _ = tables.cells(made)
    assert "HiDream-O1-Video*" in header
    text = " ".join(tables.notes(made))
    assert "Not comparable: prompts and clip length are not documented" in text
    assert "orientation only" in text


def test_every_form_holds_the_same_numbers() -> None:
    made = beside(read(summary()), choose(keys=["videocrafter2", "t2v-turbo-vc2-16"]), title="A_b")
    rows = list(csv.DictReader(io.StringIO(tables.table_csv(made))))
    by = {(row["metric"], row["name"]): row for row in rows}
    assert by["total", "VideoCrafter2"]["difference"] == "0.57"
    # Only totals of the 16-step row are published: absent is empty, not zero.
    assert by["color", "T2V-Turbo (VC2), 16 steps"]["value"] == ""
    assert "| Total | 81.01 | 80.44 | +0.57 | 80.51 | +0.50 |" in tables.markdown(made)
    latex = tables.latex(made)
    assert "Total & 81.01 & 80.44 & +0.57 & 80.51 & +0.50 \\\\" in latex
    assert latex.count("tabular") == 2
    found = tables.to_json(made)
    assert found["published"][0]["differences"]["ours"]["total"] == pytest.approx(0.57)
    assert "color" not in found["published"][1]["differences"]["ours"]


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="leaderboard"):
        choose("leader")
    with pytest.raises(UsageError, match="t2v-turbo-vc2"):
        choose(keys=["t2v-turbo-vc"])
    with pytest.raises(UsageError, match="ours"):
        beside(read(summary()), choose("1"), title="t", models=["our"])
    with pytest.raises(UsageError, match="no published row"):
        choose()

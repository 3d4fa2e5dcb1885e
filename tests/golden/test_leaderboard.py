"""Recompute published totals from published dimension scores.

data/leaderboard_rows.csv holds seven rows typed as facts from the papers and the leaderboard named
in them; where the shared reference exists, all its complete rows are recomputed too.
"""

import csv
from pathlib import Path

import pytest

from turbo_eval.metrics.normalise import DIMENSIONS, QUALITY, SEMANTIC, totals

OWN = Path(__file__).parent / "data" / "leaderboard_rows.csv"
SHARED = Path(__file__).resolve().parents[3] / "shared" / "reference" / "leaderboard.csv"
POINTS = 0.02

# The paper of T2V-Turbo-v2 prints this total; its own quality and semantic scores give 79.28.
MISPRINT = ("VCM, OpenVid", 78.52, 79.28)

Row = dict[str, str]


def read(path: Path) -> list[Row]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def complete(row: Row) -> bool:
    return all(row[dimension] for dimension in DIMENSIONS)


def scores(row: Row) -> dict[str, float]:
    return {d: float(row[d]) / 100 for d in DIMENSIONS if row[d]}


def all_rows() -> list[Row]:
    return read(OWN) + (read(SHARED) if SHARED.exists() else [])


def deviation(row: Row) -> dict[str, float]:
    ours = totals(scores(row))
    points = {"total": ours.total, "quality": ours.quality, "semantic": ours.semantic}
    return {
        name: abs(value * 100 - float(row[name]))
        for name, value in points.items()
        if value is not None and row[name]
    }


def check(rows: list[Row]) -> int:
    checked = 0
    for row in filter(complete, rows):
        off = deviation(row)
        if (row["model"], row["total"]) == (MISPRINT[0], str(MISPRINT[1])):
            off.pop("total")
        assert all(value <= POINTS for value in off.values()), (row["model"], row["table"], off)
        checked += bool(off)
    return checked


def test_every_complete_row_gives_the_published_totals() -> None:
    assert check(read(OWN)) == 7
    if SHARED.exists():
        # 60 rows have all dimensions, one of them without published aggregates.
        assert check(read(SHARED)) == 59


def test_the_one_misprint_is_a_misprint() -> None:
    model, printed, right = MISPRINT
    rows = [row for row in all_rows() if row["model"] == model and complete(row)]
    assert rows
    for row in rows:
        assert float(row["total"]) == printed
        ours = totals(scores(row))
        assert ours.total is not None
        assert ours.total * 100 == pytest.approx(right, abs=POINTS)
        # It contradicts the row's own aggregates too, whatever the dimensions say.
        own = (4 * float(row["quality"]) + float(row["semantic"])) / 5
        assert own == pytest.approx(right, abs=POINTS)
        assert abs(own - printed) > 0.5


def test_no_other_row_is_off() -> None:
    off = [row["model"] for row in all_rows() if complete(row) and _far(row)]
    assert set(off) == {MISPRINT[0]}


def _far(row: Row) -> bool:
    return any(value > POINTS for value in deviation(row).values())


@pytest.mark.parametrize("dropped", DIMENSIONS)
def test_a_missing_dimension_is_never_zero(dropped: str) -> None:
    row = scores(read(OWN)[0])
    whole = totals(row)
    del row[dropped]
    partial = totals(row)
    assert partial.total is None
    assert partial.quality == (None if dropped in QUALITY else whole.quality)
    assert partial.semantic == (None if dropped in SEMANTIC else whole.semantic)

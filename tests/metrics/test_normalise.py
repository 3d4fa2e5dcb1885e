import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turbo_eval.core.errors import InputError, UsageError
from turbo_eval.metrics.normalise import (
    DIMENSIONS,
    QUALITY,
    SEMANTIC,
    VBENCH,
    VBENCH_BOUNDS,
    WEIGHTS,
    NormalisationTable,
    normalise,
    totals,
)

HALF = dict.fromkeys(DIMENSIONS, 0.5)
raw_scores = st.fixed_dictionaries(dict.fromkeys(DIMENSIONS, st.floats(0, 1)))


def test_groups_are_vbenchs() -> None:
    assert (len(QUALITY), len(SEMANTIC), len(set(DIMENSIONS))) == (7, 9, 16)
    assert sum(WEIGHTS[name] for name in QUALITY) == 6.5
    assert sum(WEIGHTS[name] for name in SEMANTIC) == 9


def test_bounds_map_to_zero_and_one_without_clipping() -> None:
    for dimension, (low, high) in VBENCH_BOUNDS.items():
        assert normalise(dimension, low) == 0
        assert normalise(dimension, high) == 1
    assert normalise("motion_smoothness", 0.0) == pytest.approx(-2.4219554)
    assert normalise("scene", 1.0) > 1


def test_best_and_worst_raw_scores_give_one_and_zero() -> None:
    best = totals({d: VBENCH_BOUNDS[d][1] for d in DIMENSIONS})
    worst = totals({d: VBENCH_BOUNDS[d][0] for d in DIMENSIONS})
    assert (best.quality, best.semantic, best.total) == pytest.approx((1, 1, 1))
    assert (worst.quality, worst.semantic, worst.total) == pytest.approx((0, 0, 0))


def test_dynamic_degree_weighs_half() -> None:
    low, high = dict(HALF, dynamic_degree=0.0), dict(HALF, dynamic_degree=1.0)
    a, b = totals(low).quality, totals(high).quality
    assert a is not None
    assert b is not None
    assert b - a == pytest.approx(0.5 / 6.5)


@given(raw_scores)
def test_total_is_four_to_one_and_key_order_does_not_matter(scores: dict[str, float]) -> None:
    ours = totals(scores)
    assert ours.quality is not None
    assert ours.semantic is not None
    assert ours.total == pytest.approx((4 * ours.quality + ours.semantic) / 5)
    assert totals(dict(reversed(scores.items()))) == ours


@given(raw_scores, st.sampled_from(DIMENSIONS))
def test_more_is_better_in_every_dimension(scores: dict[str, float], dimension: str) -> None:
    before = totals(dict(scores, **{dimension: 0.25})).total
    after = totals(dict(scores, **{dimension: 0.75})).total
    assert before is not None
    assert after is not None
    assert after > before


def test_missing_and_none_are_missing() -> None:
    assert totals({}) == totals({"scene": None})
    assert totals({}).total is None
    assert totals(dict(HALF, scene=None)).quality == totals(HALF).quality
    assert totals(dict(HALF, scene=None)).semantic is None


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(UsageError, match="'scene'"):
        totals(dict(HALF, scene=bad))


def test_percentages_are_refused() -> None:
    with pytest.raises(UsageError, match="divide percentages by 100"):
        totals({"scene": 52.3})


def test_text_is_refused() -> None:
    with pytest.raises(UsageError, match="must be a number"):
        totals({"scene": "high"})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("typed", "near"),
    [("scenes", "scene"), ("vbench.color", "color"), ("subject consistency", "subject_cons")],
)
def test_unknown_dimension_suggests_the_nearest(typed: str, near: str) -> None:
    for call in (lambda: totals({typed: 0.5}), lambda: normalise(typed, 0.5)):
        with pytest.raises(UsageError, match=near):
            call()
    with pytest.raises(UsageError, match=near):
        totals({typed: None})


def test_table_round_trip_and_use(tmp_path: Path) -> None:
    document = VBENCH.to_mapping()
    document["name"] = "mini"
    document["dimensions"]["scene"] = {"min": 0.2, "max": 0.7, "measured": "by us"}
    path = tmp_path / "table.json"
    path.write_text(json.dumps(document))
    table = NormalisationTable.from_json(path)
    assert (table.name, table.weights["scene"]) == ("mini", 1.0)
    assert normalise("scene", 0.45, table) == pytest.approx(0.5)
    assert NormalisationTable.from_mapping(table.to_mapping()) == table
    assert totals(HALF, table=table).semantic != totals(HALF).semantic


def _broken(**change: object) -> dict[str, object]:
    document = VBENCH.to_mapping()
    document["dimensions"]["scene"].update(change)
    return document


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"name": "x"},
        {"name": "x", "dimensions": {}},
        {"name": "x", "dimensions": {"scene": 3}},
        _broken(min="0"),
        _broken(min=True),
        _broken(min=math.nan),
        _broken(min=0.9, max=0.9),
        _broken(weight=0),
        {"name": "x", "dimensions": VBENCH.to_mapping()["dimensions"] | {"taste": {}}},
        {
            "name": "x",
            "dimensions": VBENCH.to_mapping()["dimensions"] | {"taste": {"min": 0, "max": 1}},
        },
    ],
)
def test_broken_tables_are_refused(document: dict[str, object]) -> None:
    with pytest.raises(InputError, match="normalisation table"):
        NormalisationTable.from_mapping(document)


@pytest.mark.parametrize("content", [b"", b"[1]", b"\xff\xfe", b'{"name": 1}'])
def test_broken_table_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "table.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match="normalisation table"):
        NormalisationTable.from_json(path)
    with pytest.raises(InputError, match="cannot be read"):
        NormalisationTable.from_json(tmp_path / "absent.json")

"""Claims and their verdicts, on made-up numbers."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ablate.made_up import ablation, gap
from turbo_eval.ablate import claims, grid, spec
from turbo_eval.ablate.spec import Claim
from turbo_eval.ablate.write import write
from turbo_eval.core.errors import ConfigError, UsageError


def claim(**more: Any) -> Claim:
    return Claim.model_validate({"text": "B is better", "row": "B_x", "against": ["A"], **more})


def verdict(of: Claim, found: dict[str, Any] | None = None) -> str:
    (judged,) = claims.judge([of], found or ablation())
    return str(judged["verdict"])


def test_the_interval_decides() -> None:
    # B_x is 0.05 +- 0.02 above A, the teacher 0.01 +- 0.02.
    assert verdict(claim()) == "holds"
    assert verdict(claim(expect="lower")) == "contradicted"
    assert verdict(claim(row="Teacher")) == "not decided"
    assert verdict(claim(row="Teacher", expect="not lower")) == "not decided"
    assert verdict(claim(row="Teacher", expect="not lower", margin=0.02)) == "holds"
    assert verdict(claim(measure="scene", expect="not lower")) == "contradicted"
    # No such measure, no interval: nothing is decided.
    assert verdict(claim(measure="dynamic_degree")) == "not decided"


def test_several_rows_count_as_the_worst() -> None:
    found = ablation()
    (b,) = (row for row in found["rows"] if row["name"] == "B_x")
    b["differences"]["C"] = {"total": gap(0.01, 0.05)}
    assert verdict(claim(against=["A", "C"]), found) == "not decided"
    b["differences"]["C"] = {"total": gap(-0.1, 0.05)}
    assert verdict(claim(against=["A", "C"]), found) == "contradicted"


def test_network_calls_are_counted() -> None:
    assert verdict(claim(against=["Teacher"], expect="fewer", times=25.0)) == "holds"
    assert verdict(claim(against=["Teacher"], expect="fewer", times=26.0)) == "contradicted"
    (line,) = claims.lines(
        claims.judge([claim(against=["Teacher"], expect="fewer", times=25.0)], ablation())
    )
    assert line == "B is better: HOLDS (25 times fewer calls than Teacher)."


def test_lines_give_the_numbers_and_the_trainings() -> None:
    found = ablation()
    cell = {"mean": 0.04, "sd": 0.01, "low": 0.02, "high": 0.06, "n": 3}
    found["trainings"] = {
        "groups": [
            {"name": "A", "seeds": {"7": "A", "8": "A2"}},
            {"name": "B", "seeds": {"7": "B_x", "8": "B2"}},
        ],
        "differences": [
            {"name": "B", "against": "A", "seeds": ["7", "8"], "measures": {"total": cell}}
        ],
    }
    judged = claims.judge([claim()], found)
    assert claims.lines(judged) == [
        "B is better: HOLDS (total +5.00 [+3.00, +7.00] against A; over training seeds 7, 8 "
        "+4.00 [+2.00, +6.00])."
    ]
    # The claim turned round is about other recipes.
    assert claims.judge([claim(row="A", against=["B_x"])], found)[0]["trainings"] == []


def test_the_page_has_them(tmp_path: Path) -> None:
    found = ablation()
    found["claims"] = claims.judge([claim()], found)
    found["conclusion"] = ["word " * 300]
    write(found, "", tmp_path, ["turbo-eval"])
    page = (tmp_path / "ablation" / "index.md").read_text()
    assert "## Claims" in page
    assert "1. B is better: HOLDS" in page
    # A long sentence is not cut.
    assert "word " * 300 in page + " "


def test_unknown_rows_and_keys_are_told() -> None:
    made = spec.check(
        {
            "variant": [{"name": "VCM", "config": "mini-vcm"}],
            "claim": [{"text": "x", "row": "VCN", "against": ["VCM"]}],
        },
        source="test",
    )
    with pytest.raises(UsageError, match="VCM"):
        claims.compared(made, grid.rows(made, grid.variants(made)))
    with pytest.raises(ConfigError, match="expect"):
        spec.check(
            {"claim": [{"text": "x", "row": "a", "against": ["b"], "expect": "more"}]}, source="t"
        )
    with pytest.raises(ConfigError, match="did you mean expect"):
        spec.check(
            {"claim": [{"text": "x", "row": "a", "against": ["b"], "expekt": "lower"}]}, source="t"
        )


FORMS = [
    (name, preset)
    for name in spec.names()
    for preset in (["full", "quick"] if spec.load(name).quick else ["full"])
]


@pytest.mark.parametrize(("name", "preset"), FORMS)
def test_packaged_claims_name_rows_that_there_are(name: str, preset: str) -> None:
    made = spec.load(name).preset(preset)
    claims.compared(made, grid.rows(made, grid.variants(made)))


@given(st.floats(-1, 1), st.floats(0, 1))
def test_higher_and_lower_are_mirror_images(value: float, half: float) -> None:
    cell, mirrored = gap(value, half), gap(-value, half)
    assert claims.settle(claim(), cell) == claims.settle(claim(expect="lower"), mirrored)

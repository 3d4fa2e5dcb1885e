import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.report import made_up
from turbo_eval.core.errors import InputError
from turbo_eval.report.data import read
from turbo_eval.report.text import number, pretty, tidy


def test_a_summary_without_models_is_refused() -> None:
    with pytest.raises(InputError, match="no model.*Fix: run the generate"):
        read({"models": {}})


@pytest.mark.parametrize(
    ("broken", "where"),
    [
        ({"models": []}, "models"),
        ({"models": {"m": 3}}, "models\\['m'\\]"),
        ({"models": {"m": {"vbench.color": {"value": "high"}}}}, "vbench.color"),
        ({"models": {"m": {"vbench.color": {"value": True}}}}, "vbench.color"),
        ({"models": {"m": {}}, "totals": {"m": 1}}, "totals"),
        ({"models": {"m": {}}, "normalisation": {"color": "wide"}}, "normalisation"),
    ],
)
def test_a_wrong_form_is_refused_with_its_place(broken: dict[str, Any], where: str) -> None:
    with pytest.raises(InputError, match=where):
        read(broken)


def test_what_is_not_finite_is_absent() -> None:
    data = read({"models": {"m": {"vbench.color": {"value": math.nan, "low": 0, "high": 1}}}})
    assert data.score("m", "color").value is None
    assert data.score("m", "color").interval is None


def test_the_order_of_models_is_kept() -> None:
    data = read(made_up.summary())
    assert data.models == (made_up.TEACHER, made_up.STUDENT)
    assert data.bounds["color"] == (0.1, 0.95)


def test_a_baseline_that_is_no_model_is_forgotten() -> None:
    assert read(made_up.summary(baseline="gone")).baseline is None


@given(st.floats(-2, 2))
def test_numbers_never_show_minus_zero(value: float) -> None:
    text = number(value)
    assert text not in {"-0.00", "+0.00"}
    assert abs(float(text) - 100 * value) <= 0.005 + 1e-9
    assert "-" not in pretty(value)


def test_absent_is_a_dash() -> None:
    assert number(None) == "-"
    assert pretty(None) == "\u2014"
    assert number(0.0) == "0.00"


@given(st.text(st.characters()))
def test_tidy_text_can_be_written_on_one_line(text: str) -> None:
    shown = tidy(text)
    shown.encode("utf-8")
    assert len(shown.splitlines()) <= 1
    assert "\u202e" not in shown
    assert len(shown) <= 640

from typing import Any

from tests.report import made_up
from turbo_eval.report.data import read
from turbo_eval.report.verdict import verdict


def with_gap(low: float, high: float) -> dict[str, Any]:
    made = made_up.summary()
    middle = (low + high) / 2
    made["differences"][made_up.STUDENT]["total"] = {"value": middle, "low": low, "high": high}
    return made


def test_a_lead_needs_an_interval_without_zero() -> None:
    made = verdict(read(with_gap(0.005, 0.035)))
    assert made.kind == "leads"
    assert "+2.00 points" in made.sentence
    assert "+0.50 to +3.50" in made.sentence
    assert made_up.TEACHER in made.sentence


def test_an_interval_with_zero_is_no_clear_difference() -> None:
    for low in (-0.001, 0.0):
        made = verdict(read(with_gap(low, 0.041)))
        assert made.kind == "unclear"
        assert made.sentence.startswith("No clear difference")
        assert "includes 0" in made.sentence


def test_a_leading_baseline_turns_the_difference_round() -> None:
    made = with_gap(-0.035, -0.005)
    made["totals"][made_up.TEACHER]["total"] = made_up.total(0.8)
    found = verdict(read(made))
    assert found.kind == "leads"
    assert found.headline == f"{made_up.TEACHER} leads"
    assert "+2.00 points" in found.sentence
    assert "+0.50 to +3.50" in found.sentence


def test_partial_names_what_is_missing_and_holds_no_total() -> None:
    made = verdict(read(made_up.without("human_action")))
    assert made.kind == "partial"
    assert made.sentence.startswith("Partial: no total")
    assert "human action" in made.sentence
    assert "7" not in made.sentence


def test_a_subset_says_so_in_the_sentence() -> None:
    made = verdict(read(made_up.summary(partial=["a subset"])))
    assert made.kind == "leads"
    assert "partial" in made.sentence


def test_without_a_paired_difference_no_lead_is_claimed() -> None:
    made = verdict(read(made_up.summary(differences={})))
    assert made.kind == "unpaired"
    assert "no lead is claimed" in made.sentence


def test_one_model_is_not_compared() -> None:
    whole = made_up.summary(differences={})
    del whole["models"][made_up.STUDENT]
    assert verdict(read(whole)).kind == "single"


def test_a_third_model_is_compared_with_the_baseline() -> None:
    whole = made_up.summary()
    whole["models"][made_up.THIRD] = dict(whole["models"][made_up.STUDENT])
    whole["totals"][made_up.THIRD] = {"total": made_up.total(0.78)}
    whole["differences"][made_up.THIRD] = {"total": made_up.difference(0.044)}
    made = verdict(read(whole))
    assert made.kind == "leads"
    assert f"against the baseline {made_up.TEACHER}" in made.sentence
    assert f"{made_up.STUDENT} stands between them" in made.sentence

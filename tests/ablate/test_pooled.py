"""Several trainings of a recipe, on made-up numbers."""

import statistics
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ablate.made_up import ablation, cell, row
from turbo_eval.ablate import tables
from turbo_eval.ablate.conclusion import sentences
from turbo_eval.ablate.pooled import pool, spread


def trained(name: str, seed: int, total: float | None, config: str = "mini-vcm") -> dict[str, Any]:
    made = row(name, total)
    made["training"] |= {"config": config, "settings": {"seed": seed}}
    return made


def found(*rows: dict[str, Any]) -> dict[str, Any]:
    return {**ablation(), "rows": list(rows), "references": []}


def study() -> dict[str, Any]:
    return found(
        trained("VCM seed=7", 7, 0.60),
        trained("VCM seed=8", 8, 0.70),
        trained("Mix @4", 7, 0.62, "mini-turbo"),
        trained("Mix, again seed=8", 8, 0.73, "mini-turbo"),
        trained("Mix, again seed=9", 9, 0.90, "mini-turbo"),
    )


def test_trainings_that_differ_by_their_seed_alone_are_one_recipe() -> None:
    told = pool(study())
    assert [(g["name"], list(g["seeds"])) for g in told["groups"]] == [
        ("VCM", ["7", "8"]),
        ("Mix @4", ["7", "8", "9"]),
    ]
    total = told["groups"][0]["measures"]["total"]
    assert total["mean"] == pytest.approx(0.65)
    assert total["sd"] == pytest.approx(0.0707106781)
    # Student's t of one degree of freedom: 12.7062 standard errors of 0.05.
    assert total["high"] - total["mean"] == pytest.approx(12.7062047362 * 0.05)
    assert total["n"] == 2


def test_recipes_are_compared_seed_by_seed() -> None:
    (pair,) = pool(study())["differences"]
    assert (pair["name"], pair["against"], pair["seeds"]) == ("Mix @4", "VCM", ["7", "8"])
    # 0.02 and 0.03; seed 9 has no partner.
    assert pair["measures"]["total"]["mean"] == pytest.approx(0.025)
    assert pair["measures"]["total"]["n"] == 2


def test_other_settings_or_another_number_of_calls_do_not_mix() -> None:
    one, other = trained("a", 7, 0.6), trained("b", 8, 0.7)
    other["training"]["settings"]["lora.rank"] = 8
    assert pool(found(one, other)) == {"groups": [], "differences": []}
    slow = [trained(f"slow seed={s}", s, 0.5, "mini-turbo") for s in (7, 8)]
    for each in slow:
        each["network_calls"], each["steps"] = 8, 8
    told = pool(found(trained("a", 7, 0.6), trained("b", 8, 0.7), *slow))
    assert len(told["groups"]) == 2
    assert told["differences"] == []


def test_absent_is_not_zero() -> None:
    told = pool(found(trained("VCM seed=7", 7, None), trained("VCM seed=8", 8, 0.7)))
    (group,) = told["groups"]
    assert group["measures"]["total"] == spread([None, 0.7])
    assert group["measures"]["total"]["sd"] is None
    assert "nothing" not in group["measures"]


def test_the_table_and_the_sentences_tell_them() -> None:
    made = study()
    made["trainings"] = pool(made)
    text = tables.markdown(made)
    assert "65.00 ± 7.07" in text
    assert "+2.50 ± 0.71 [-3.85, +8.85]" in text
    told = [line for line in sentences(made) if "trained with seeds 7, 8" in line]
    assert len(told) == 1
    assert "total +2.50 ± 0.71 [-3.85, +8.85] (within the luck of training)" in told[0]
    # One training each: no table, no sentence.
    plain = found(trained("a", 7, 0.6))
    plain["trainings"] = pool(plain)
    assert "Over several trainings" not in tables.markdown(plain)


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=6))
def test_a_spread_is_about_its_mean(values: list[float]) -> None:
    told = spread(values)
    assert told["mean"] == pytest.approx(statistics.fmean(values))
    assert told["low"] <= told["mean"] <= told["high"]
    assert told == spread([*values, None])


def test_made_up_cells_are_as_the_real_ones() -> None:
    assert set(cell(0.5)) == {"value", "low", "high", "n", "of"}

"""Expansion of grids: names, precedence, the settings that reach the trainer."""

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turbo_eval.ablate import grid, spec
from turbo_eval.core.errors import ConfigError, UsageError


def ablation(**values: Any) -> spec.Ablation:
    return spec.check(values, source="here")


def test_a_grid_is_the_product_of_its_axes() -> None:
    axes = {"rewards.image.mini-image": [0.0, 1.0], "rewards.video.mini-video": [0.0, 0.5]}
    students = grid.variants(ablation(grid=axes))
    assert [v.name for v in students] == [
        "mini-image=0, mini-video=0",
        "mini-image=0, mini-video=0.5",
        "mini-image=1, mini-video=0",
        "mini-image=1, mini-video=0.5",
    ]
    assert "rewards.video.mini-video=0.5" in students[1].changes
    assert {v.settings["seed"] for v in students} == {7}


def test_variants_are_crossed_with_grids_and_own_grids_belong_to_one() -> None:
    made = ablation(
        variant=[{"name": "a"}, {"name": "b", "grid": {"seed": [1, 2]}}],
        grid={"lora.rank": [4, 8]},
    )
    assert [v.name for v in grid.variants(made)] == [
        "a rank=4",
        "a rank=8",
        "b rank=4, seed=1",
        "b rank=4, seed=2",
        "b rank=8, seed=1",
        "b rank=8, seed=2",
    ]


def test_the_stronger_setting_wins() -> None:
    made = ablation(
        base={"set": {"steps": 1, "batch_size": 1, "accumulate": 1, "optimizer": {"lr": 1.0}}},
        variant=[{"name": "a", "set": {"batch_size": 2, "accumulate": 2}}],
        grid={"lora.rank": [4]},
        training_seed=3,
    )
    [student] = grid.variants(made, ["accumulate=3", "teacher=mine"])
    assert student.settings == {
        "seed": 3,
        "steps": 1,
        "batch_size": 2,
        "accumulate": 3,
        "optimizer.lr": 1.0,
        "lora.rank": 4,
        "teacher": "mine",
    }


def test_axes_with_the_same_last_part_are_named_in_full() -> None:
    [student] = grid.variants(ablation(grid={"lora.rank": [4], "other.rank": [8]}))
    assert student.name == "lora.rank=4, other.rank=8"


def test_tables_can_be_replaced_or_changed() -> None:
    whole = {"rewards.image": {"hpsv2.1": 1.0}}
    assert grid.flat(whole) == whole
    assert grid.flat({"rewards": {"image": {"a": 1.0}}}) == {"rewards.image.a": 1.0}
    # An empty table empties; it is not the same as saying nothing.
    assert grid.flat({"rewards": {"video": {}}}) == {"rewards.video": {}}
    with pytest.raises(ConfigError, match="holds a dot"):
        grid.flat({"rewards": {"image": {"hpsv2.1": 1.0}}})


values = st.recursive(
    st.booleans() | st.integers(-(2**62), 2**62) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(values)
def test_values_survive_as_one_line_of_toml(value: Any) -> None:
    text = grid.toml(value)
    assert "\n" not in text
    # repr, because NaN is not equal to itself.
    assert repr(tomllib.loads(f"value = {text}")["value"]) == repr(value)


@pytest.mark.parametrize(
    ("found", "changes", "words"),
    [
        ({}, [], "trains nothing"),
        ({"grid": {"seed": []}}, [], "grid over 'seed' is empty"),
        ({"variant": [{"name": "a"}, {"name": "a"}]}, [], "two entries are called 'a'"),
        ({"variant": [{"name": "a"}, {"name": "A"}]}, [], "two entries are called 'a'"),
        ({"grid": {"seed": [1, 1]}}, [], "two entries are called 'seed=1'"),
        ({"grid": {"seed": [1, 2]}}, ["seed=3"], "--set seed contradicts the grid"),
        ({"variant": [{"name": "a"}]}, ["steps"], "'steps' has no value"),
    ],
)
def test_bad_grids_are_refused(found: dict[str, Any], changes: list[str], words: str) -> None:
    with pytest.raises((ConfigError, UsageError), match=words):
        grid.variants(ablation(**found), changes)


def test_rows_are_systems_then_students_at_every_number_of_steps() -> None:
    made = ablation(
        system=[
            {"model": "mini-teacher"},
            {"model": "mini-teacher", "steps": 8},
            {"model": "mini-teacher", "name": "T", "steps": [4, 50], "guidance": 5},
        ],
        variant=[{"name": "a"}, {"name": "b", "steps": [50], "guidance": 2.0}],
        sampling={"steps": [1, 4], "guidance": 6.0},
        baseline="a @4",
        reference="T @50",
    )
    table = grid.rows(made, grid.variants(made))
    assert [(row.name, row.steps, row.guidance) for row in table] == [
        ("mini-teacher", None, None),
        ("mini-teacher @8", 8, None),
        ("T @4", 4, 5.0),
        ("T @50", 50, 5.0),
        ("a @1", 1, 6.0),
        ("a @4", 4, 6.0),
        ("b", 50, 2.0),
    ]
    assert grid.references(made, table) == ("a @4", "T @50")


def test_an_unknown_baseline_is_met_with_the_nearest() -> None:
    made = ablation(variant=[{"name": "VCM"}], baseline="VMC")
    with pytest.raises(UsageError, match="row to compare with 'VMC'.*did you mean VCM"):
        grid.references(made, grid.rows(made, grid.variants(made)))


def test_rows_of_one_name_are_refused() -> None:
    made = ablation(variant=[{"name": "a"}], system=[{"model": "mini-teacher", "name": "a"}])
    with pytest.raises(ConfigError, match="every row needs a name"):
        grid.rows(made, grid.variants(made))

"""Selecting prompts: by dimension, by id, and as a sample that serves every dimension."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turbo_eval.core.errors import UsageError
from turbo_eval.core.records import Prompt
from turbo_eval.prompts import DIMENSIONS, Suite, load


def suite_of(served: list[list[str]]) -> Suite:
    prompts = tuple(
        Prompt(
            id=f"{i:016x}",
            text=f"prompt {i}",
            dimensions=tuple(dict.fromkeys(names)),
            auxiliary={},
            suite="t",
            index=i,
        )
        for i, names in enumerate(served)
    )
    return Suite("t", prompts, "here", "none", "0" * 64)


SUITES = st.lists(
    st.lists(st.sampled_from(DIMENSIONS[:6]), min_size=1, max_size=3), min_size=1, max_size=30
).map(suite_of)


@settings(deadline=None)  # a busy machine is no fault
@given(SUITES, st.integers(1, 40), st.integers(0, 3))
def test_sample_serves_what_it_can(suite: Suite, limit: int, seed: int) -> None:
    chosen = suite.select(limit=limit, seed=seed)
    assert len(chosen) == min(limit, len(suite))
    assert [p.index for p in chosen] == sorted({p.index for p in chosen})
    if limit >= len(suite.dimensions):
        assert chosen.dimensions == suite.dimensions
        assert not chosen.notes
    elif chosen.dimensions != suite.dimensions:
        assert f"limit {limit} is too small to serve" in chosen.notes[0]


@settings(deadline=None)  # a busy machine is no fault
@given(SUITES, st.integers(1, 30), st.integers(0, 3))
def test_sample_is_part_of_every_larger_one(suite: Suite, limit: int, seed: int) -> None:
    smaller = {p.id for p in suite.select(limit=limit, seed=seed)}
    assert smaller <= {p.id for p in suite.select(limit=limit + 1, seed=seed)}


@settings(deadline=None)  # a busy machine is no fault
@given(SUITES, st.integers(1, 30), st.randoms(use_true_random=False))
def test_sample_does_not_depend_on_order(suite: Suite, limit: int, random: Any) -> None:
    shuffled = list(suite.prompts)
    random.shuffle(shuffled)
    other = Suite("t", tuple(shuffled), "here", "none", "0" * 64)
    assert {p.id for p in suite.select(limit=limit)} == {p.id for p in other.select(limit=limit)}


def test_sample_is_even_and_changes_with_the_seed() -> None:
    suite = suite_of([["color"]] * 90 + [["scene"]] * 10)
    chosen = suite.select(limit=12)
    assert chosen.counts() == {"color": 6, "scene": 6}
    assert chosen.prompts == suite.select(limit=12, seed=0).prompts
    assert chosen.prompts != suite.select(limit=12, seed=1).prompts
    assert suite.select(limit=40).counts() == {"color": 30, "scene": 10}


def test_dimensions_narrow_the_list_and_leave_prompts_as_they_are() -> None:
    suite = suite_of([["color", "scene"], ["scene"], ["temporal_style"]])
    chosen = suite.select(dimensions=["color"])
    assert chosen.prompts == suite.prompts[:1]
    assert chosen.prompts[0].dimensions == ("color", "scene")
    assert chosen.info["selection"] == {
        "dimensions": ["color"],
        "ids": None,
        "limit": None,
        "seed": 0,
        "of": 3,
    }
    assert suite.select(dimensions="color").prompts == chosen.prompts
    assert suite.select().prompts == suite.prompts


def test_a_dimension_without_prompts_is_said() -> None:
    suite = suite_of([["color"]])
    (note,) = suite.select(dimensions=["color", "scene"]).notes
    assert note.startswith("suite t has no prompt for scene: scene needs ")
    with pytest.raises(UsageError, match="no prompt of suite t is left: it serves color"):
        suite.select(dimensions=["scene"])


def test_ids_and_patterns() -> None:
    suite = suite_of([["color"]] * 12)
    assert [p.index for p in suite.select(ids=[f"{3:016x}", "prompt 1?"])] == [3, 10, 11]
    assert [p.index for p in suite.select(ids="prompt 7")] == [7]
    with pytest.raises(UsageError, match="unknown prompt id or pattern 'nothing\\*'"):
        suite.select(ids=["nothing*"])


@pytest.mark.parametrize("limit", [0, -1])
def test_limit_must_be_positive(limit: int) -> None:
    with pytest.raises(UsageError, match="at least 1"):
        suite_of([["color"]]).select(limit=limit)


def test_unknown_dimension_suggests() -> None:
    with pytest.raises(UsageError, match="did you mean temporal_flickering"):
        suite_of([["color"]]).select(dimensions=["temporal_flicker"])


def test_large_lists_are_sampled_quickly(write: Callable[[str, Any], Path]) -> None:
    suite = load(write("p.txt", "\n".join(f"prompt {i}" for i in range(5000))))
    assert len(suite.select(limit=2500)) == 2500

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turbo_eval.analyze.bootstrap import draw_counts, interval, ratio, ratios
from turbo_eval.analyze.cells import EMPTY, Cells
from turbo_eval.analyze.estimate import difference, metric_summary, total_estimates
from turbo_eval.metrics.normalise import DIMENSIONS, totals


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 40))
def test_draws_are_fixed_and_complete(prompts: int) -> None:
    counts = draw_counts(prompts, "vbench.color", resamples=20)
    assert counts.shape == (20, prompts)
    assert (counts.sum(axis=1) == prompts).all()
    assert (counts == draw_counts(prompts, "vbench.color", resamples=20)).all()


def test_the_interval_of_a_mean_is_the_textbook_one() -> None:
    values = np.random.default_rng(3).normal(0.5, 0.1, 400)
    found = interval(ratios(draw_counts(400, "m"), values, np.ones(400)))
    assert found is not None
    half = 1.96 * values.std() / 20
    assert found == pytest.approx((values.mean() - half, values.mean() + half), abs=half / 5)


def test_absent_is_not_zero() -> None:
    assert ratio(0, 0) is None
    assert interval(np.array([np.nan])) is None
    summary, _ = metric_summary(EMPTY, ["a", "b"], "m", of=2, version=1)
    assert (summary.value, summary.low, summary.n, summary.of) == (None, None, 0, 2)
    single, _ = metric_summary(Cells({("a", 0): (1.0, 2.0)}), ["a", "b"], "m", of=2, version=1)
    assert (single.value, single.low, single.high) == (0.5, None, None)


def test_pooled_dimensions_divide_sums() -> None:
    cells = Cells({("a", 0): (1.0, 1.0), ("b", 0): (0.0, 3.0)})
    assert metric_summary(cells, ["a", "b"], "m", of=2, version=1)[0].value == 0.25


def test_a_constant_shift_has_no_width_in_pairs() -> None:
    rng = np.random.default_rng(0)
    base = {(f"p{i}", s): (float(rng.uniform()), 1.0) for i in range(20) for s in range(2)}
    better = {slot: (top + 0.1, low) for slot, (top, low) in base.items()}
    better.pop(("p0", 0))
    found = difference(Cells(better), Cells(base), [f"p{i}" for i in range(20)], "m")
    assert found.pairs == 39
    assert (found.value, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1))


def test_totals_need_every_dimension() -> None:
    values: dict[str, float | None] = dict.fromkeys(DIMENSIONS, 0.5)
    columns = dict.fromkeys(DIMENSIONS, np.full(10, 0.5))
    whole, _ = total_estimates(values, columns, None)
    assert whole["total"] is not None
    assert whole["total"].value == totals(dict.fromkeys(DIMENSIONS, 0.5)).total
    values["color"] = None
    part, _ = total_estimates(values, columns, None)
    assert part["quality"] is not None
    assert part["semantic"] is None
    assert part["total"] is None
    assert total_estimates({}, {}, None)[0] == dict.fromkeys(("quality", "semantic", "total"))

"""Batches that halve: nothing is lost, nothing finished is done again."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turbo_eval.core.errors import MemoryShortage, UsageError
from turbo_eval.launch import with_batch_halving
from turbo_eval.launch.batches import is_out_of_memory


class OutOfMemoryError(RuntimeError):
    """Named as torch names it."""


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(), max_size=40), st.integers(1, 50), st.integers(1, 20))
def test_every_item_is_done_once_in_order(items: list[int], size: int, fits: int) -> None:
    done: list[int] = []
    sizes: list[int] = []

    def double(batch: Sequence[int]) -> list[int]:
        if len(batch) > fits:
            raise OutOfMemoryError("CUDA out of memory")
        done.extend(batch)
        return [2 * item for item in batch]

    results = with_batch_halving(double, items, size, on_halve=sizes.append)
    assert results == [2 * item for item in items]
    assert done == items
    assert sizes == sorted(sizes, reverse=True)


def test_one_item_that_does_not_fit_is_told() -> None:
    def fail(_: Sequence[int]) -> list[int]:
        raise MemoryError

    with pytest.raises(MemoryShortage, match="single item"):
        with_batch_halving(fail, [1, 2, 3], 8)


def test_other_errors_pass() -> None:
    def fail(_: Sequence[int]) -> list[int]:
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        with_batch_halving(fail, [1], 1)
    with pytest.raises(ValueError, match="0 results for 1 items"):
        with_batch_halving(lambda _: [], [1], 1)
    with pytest.raises(UsageError):
        with_batch_halving(lambda batch: batch, [1], 0)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (OutOfMemoryError(), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("mat1 and mat2"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_out_of_memory_is_recognised(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected

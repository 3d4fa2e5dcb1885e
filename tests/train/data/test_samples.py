"""The endless sequence: any batch at any time, broken samples passed over the same way always."""

import threading
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from turbo_eval.core.errors import InputError
from turbo_train.data.batch import Batch
from turbo_train.data.samples import Ahead, BrokenSample, Endless, Sample


class Numbers:
    """Samples whose latents are their index and one drawn number; some are broken."""

    where = "a list"

    def __init__(self, count: int, broken: frozenset[int] = frozenset()) -> None:
        self.count, self.broken = count, broken
        self.reads: Counter[int] = Counter()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self.count

    def key(self, index: int) -> str:
        return str(index)

    def read(self, index: int, rng: np.random.Generator) -> Sample:
        with self._lock:
            self.reads[index] += 1
        if index in self.broken:
            raise BrokenSample("is odd" if index % 2 else "is even", f"number {index}")
        return Sample(f"caption {index}", latents=torch.tensor([index, rng.random()]))

    def describe(self) -> dict[str, object]:
        return {"kind": "numbers"}


def _same(a: Batch, b: Batch) -> bool:
    assert a.latents is not None
    assert b.latents is not None
    return a.keys == b.keys and a.captions == b.captions and torch.equal(a.latents, b.latents)


COUNT = st.integers(1, 12)
ASKED = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 5)), min_size=1, max_size=12)


@st.composite
def _lists(draw: st.DrawFn) -> tuple[int, frozenset[int]]:
    count = draw(COUNT)
    broken = draw(st.frozensets(st.integers(0, count - 1), max_size=count - 1))
    return count, broken


@given(_lists(), ASKED, st.integers(0, 5), st.randoms(use_true_random=False))
def test_a_batch_depends_on_nothing_but_its_number(
    given_list: tuple[int, frozenset[int]], asked: list[tuple[int, int]], seed: int, order: object
) -> None:
    count, broken = given_list
    first = Endless(Numbers(count, broken), seed)
    straight = {key: first.batch(*key) for key in sorted(set(asked))}
    # Another object, as after a restart, asked in another order and twice.
    again = Endless(Numbers(count, broken), seed)
    shuffled = asked * 2
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    for key in shuffled:
        batch = again.batch(*key)
        assert _same(batch, straight[key])
        assert len(batch.keys) == key[1]
        assert not {int(name) for name in batch.keys} & broken


@given(st.integers(1, 30), st.integers(1, 6), st.integers(0, 5))
def test_an_epoch_shows_each_sample_once(count: int, size: int, seed: int) -> None:
    source = Endless(Numbers(count), seed)
    # So many batches are whole epochs, whatever the size.
    keys = [key for number in range(count * 2) for key in source.batch(number, size).keys]
    assert Counter(keys) == Counter({str(index): 2 * size for index in range(count)})
    for epoch in range(2 * size):
        assert len(set(keys[epoch * count : (epoch + 1) * count])) == count


def test_epochs_and_seeds_have_different_orders() -> None:
    def keys(seed: int, number: int) -> tuple[str, ...]:
        return Endless(Numbers(20), seed).batch(number, 20).keys

    assert len({keys(0, 0), keys(0, 1), keys(1, 0)}) == 3
    assert keys(0, 0) != tuple(str(index) for index in range(20))


def test_the_next_sample_takes_the_place_of_a_broken_one() -> None:
    whole = Endless(Numbers(8), 0).batch(0, 8).keys
    broken = frozenset({int(whole[1]), int(whole[2])})
    source = Endless(Numbers(8, broken), 0)
    assert source.batch(0, 3).keys == (whole[0], whole[3], whole[4])


def test_broken_samples_are_counted_once_by_reason_and_read_once() -> None:
    samples = Numbers(7, frozenset({1, 2, 3}))
    source = Endless(samples, 0)
    assert source.skipped == {}
    for number in range(6):
        source.batch(number, 7)
    assert source.skipped == {"is odd": 2, "is even": 1}
    assert [samples.reads[index] for index in (1, 2, 3)] == [1, 1, 1]


def test_ranks_share_an_epoch_without_meeting() -> None:
    source = Endless(Numbers(12), 0)
    ranks = [
        [key for step in range(3) for key in source.batch(step * 2 + rank, 2).keys]
        for rank in range(2)
    ]
    assert sorted(ranks[0] + ranks[1], key=int) == [str(index) for index in range(12)]


def test_nothing_readable_names_the_place_and_the_first_reasons() -> None:
    samples = Numbers(5, frozenset(range(5)))
    with pytest.raises(InputError) as caught:
        Endless(samples, 0).batch(3, 2)
    text = str(caught.value)
    assert "none of the 5 samples in a list can be read" in text
    assert "is even (number" in text
    assert "and 2 more like it" in text
    assert "is odd" in text
    assert max(samples.reads.values()) == 1


def test_no_sample_at_all() -> None:
    with pytest.raises(InputError, match="no sample in a list"):
        Endless(Numbers(0), 0)


def test_description() -> None:
    assert Endless(Numbers(4), 9).describe() == {"kind": "numbers", "samples": 4, "seed": 9}


@given(_lists(), st.lists(st.integers(0, 40), min_size=1, max_size=12), st.integers(1, 4))
def test_reading_ahead_changes_no_batch(
    given_list: tuple[int, frozenset[int]], numbers: list[int], workers: int
) -> None:
    plain = Endless(Numbers(*given_list), 1)
    ahead = Ahead(Endless(Numbers(*given_list), 1), workers)
    for number in numbers:
        assert _same(ahead.batch(number, 2), plain.batch(number, 2))


def test_reading_ahead_reads_what_comes_next() -> None:
    inner = Endless(Numbers(100), 0)
    started = threading.Semaphore(0)
    asked: list[int] = []

    class Watched:
        skipped = inner.skipped
        describe = staticmethod(inner.describe)

        def batch(self, number: int, size: int) -> Batch:
            asked.append(number)
            started.release()
            return inner.batch(number, size)

    ahead = Ahead(Watched(), 2)
    ahead.batch(1, 2)
    ahead.batch(4, 2)
    for _ in range(4):
        assert started.acquire(timeout=10)
    assert sorted(asked) == [1, 4, 7, 10]


def test_an_error_ahead_is_told_when_that_batch_is_asked_for() -> None:
    ahead = Ahead(Endless(Numbers(3, frozenset(range(3))), 0), 2)
    for number in (0, 1):
        with pytest.raises(InputError):
            ahead.batch(number, 1)

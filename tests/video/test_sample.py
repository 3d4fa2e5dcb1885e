"""Frame sampling, against the rule as the specification of VBench words it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turbo_eval.core.errors import InputError
from turbo_eval.video import middle_indices


def _rule(length: int, n: int) -> list[int]:
    a = min(n, length)
    step = length / a
    edges = [int(k * step) for k in range(a)] + [length]
    indices = [(edges[i] + edges[i + 1] - 1) // 2 for i in range(a)]
    while len(indices) < n:
        indices.append(indices[-1])
    return indices


@given(st.integers(1, 2000), st.integers(1, 64))
def test_equals_the_rule(length: int, n: int) -> None:
    assert middle_indices(length, n) == _rule(length, n)


@given(st.integers(1, 2000), st.integers(1, 64))
def test_indices_are_n_ascending_frames_of_the_video(length: int, n: int) -> None:
    indices = middle_indices(length, n)
    assert len(indices) == n
    assert indices == sorted(indices)
    assert indices[0] >= 0
    assert indices[-1] < length
    assert len(set(indices)) == min(n, length)


@pytest.mark.parametrize(
    ("length", "n", "expected"),
    [
        (16, 16, list(range(16))),
        (16, 8, [0, 2, 4, 6, 8, 10, 12, 14]),
        (17, 4, [1, 5, 9, 14]),
        (3, 5, [0, 1, 2, 2, 2]),
        (100, 1, [49]),
    ],
)
def test_known_cases(length: int, n: int, expected: list[int]) -> None:
    assert middle_indices(length, n) == expected


@pytest.mark.parametrize(("length", "n"), [(0, 4), (4, 0), (-1, 1)])
def test_nothing_to_take_is_an_input_error(length: int, n: int) -> None:
    with pytest.raises(InputError):
        middle_indices(length, n)

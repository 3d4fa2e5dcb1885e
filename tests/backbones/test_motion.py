"""When pairs of frames settle whether a clip is dynamic."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turbo_eval.backbones.motion import decided, moves_above, pairs_needed


@pytest.mark.parametrize(
    ("kept", "need"), [(1, 0), (2, 0), (3, 1), (6, 2), (8, 2), (10, 2), (14, 4), (16, 4)]
)
def test_needed_pairs_round_halves_to_even(kept: int, need: int) -> None:
    assert pairs_needed(kept) == need


def test_motion_is_measured_by_the_shorter_side() -> None:
    assert moves_above(320) == 7.5


@given(st.lists(st.sampled_from([0.0, 6.0, 6.01, 40.0]), min_size=1, max_size=40), st.data())
def test_what_is_decided_stays_decided_and_all_pairs_decide(
    motion: list[float], data: st.DataObject
) -> None:
    kept = len(motion) + 1
    seen = data.draw(st.integers(0, len(motion)))
    assert decided(motion, kept, 256)
    if not decided(motion[:seen], kept, 256):
        return
    others = [*motion[:seen], *data.draw(st.permutations(motion[seen:]))]
    extremes = ([*motion[:seen], *[fill] * (kept - 1 - seen)] for fill in (0.0, 40.0))
    for needed in (pairs_needed(kept), max(1, pairs_needed(kept))):
        answers = {sum(length > 6.0 for length in whole) >= needed for whole in (others, *extremes)}
        assert len(answers) == 1


def test_a_still_pair_needs_to_be_looked_at() -> None:
    # The official reading would not; the corrected one asks for one moving pair.
    assert not decided([], 2, 256)
    assert decided([0.0], 2, 256)

import numpy as np
import pytest

from turbo_eval.core.errors import UsageError
from turbo_train.world.facts import Scene, Sprite
from turbo_train.world.judges.corrupt import LEVELS, PIXELS, corrupt, swapped
from turbo_train.world.render import render

SCENE = Scene((Sprite("star", "red", 30, 30, 14),), "moving right", "desert", variant=2)
CLIP = render(SCENE)


def distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(float) - b).mean())


@pytest.mark.parametrize("name", [*PIXELS, "wrong_color", "identity"])
def test_level_nought_is_the_clip_and_the_same_seed_spoils_alike(name: str) -> None:
    assert np.array_equal(corrupt(name, SCENE, CLIP, 0, 1), CLIP)
    for level in LEVELS:
        first, second = (corrupt(name, SCENE, CLIP, level, 1) for _ in range(2))
        assert np.array_equal(first, second)
        assert first.shape == CLIP.shape
        assert first.dtype == np.uint8


@pytest.mark.parametrize("name", ["noise", "blur", "flicker", "identity"])
def test_each_level_is_further_from_the_clip(name: str) -> None:
    away = [distance(corrupt(name, SCENE, CLIP, level, 5), CLIP) for level in LEVELS]
    assert away == sorted(away)
    assert len(set(away)) == 4


def test_frozen_ends_as_a_still() -> None:
    worst = corrupt("frozen", SCENE, CLIP, 3, 1)
    assert (worst == CLIP[:1]).all()


@pytest.mark.parametrize("frames", [1, 2, 5, 8, 16])
def test_jump_only_exchanges_frames_and_worst_leaves_no_neighbours(frames: int) -> None:
    clip = np.arange(frames, dtype=np.uint8)[:, None, None, None].repeat(3, axis=3)
    gaps = []
    for level in LEVELS:
        order = corrupt("jump", SCENE, clip, level, 3)[:, 0, 0, 0].astype(int)
        assert sorted(order) == list(range(frames))
        gaps.append(np.abs(np.diff(order)).sum())
    if frames >= 8:
        assert gaps == sorted(gaps)


@pytest.mark.parametrize("name", ["wrong_color", "frozen"])
def test_each_level_changes_more_clips_and_keeps_those_it_changed(name: str) -> None:
    changed = [
        {k for k in range(60) if distance(corrupt(name, SCENE, CLIP, level, k), CLIP) > 0}
        for level in LEVELS
    ]
    assert changed[0] == set()
    assert changed[1] < changed[2] < changed[3] == set(range(60))


def test_swapped_captions_grow_by_thirds() -> None:
    wrong = [{k for k, other in enumerate(swapped(30, level)) if k != other} for level in LEVELS]
    assert [len(w) for w in wrong] == [0, 10, 20, 30]
    assert wrong[1] < wrong[2] < wrong[3]


def test_unknown_corruptions_and_levels_are_refused() -> None:
    with pytest.raises(UsageError, match="noise"):
        corrupt("nois", SCENE, CLIP, 1, 0)
    with pytest.raises(UsageError, match="level"):
        corrupt("noise", SCENE, CLIP, 4, 0)
    with pytest.raises(UsageError, match="level"):
        swapped(3, 9)

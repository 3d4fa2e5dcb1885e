from pathlib import Path

import numpy as np
import pytest
import torch

from turbo_eval.backbones.mini.detector import COLORS, SHAPES, read
from turbo_train.world.facts import Scene, Sprite
from turbo_train.world.judges import detector
from turbo_train.world.judges.common import Work
from turbo_train.world.judges.detector import loss, measure, mirrored, targets, train, truth

PAIR = Scene(
    (Sprite("ring", "blue", 16, 30, 11), Sprite("heart", "yellow", 47, 34, 11)),
    "standing still", "meadow", relation="on the left of",
)  # fmt: skip


def perfect(sprites: torch.Tensor) -> torch.Tensor:
    """The map that says exactly what `targets` asks for."""
    sure, slot, distances = targets(sprites)
    n = len(sprites)
    maps = torch.full((n, 5 + len(SHAPES) + len(COLORS), 8, 8), -20.0)
    maps[:, 0] = torch.logit(sure.clamp(1e-4, 1 - 1e-4))
    maps[:, 1:5] = distances.permute(0, 3, 1, 2).clamp(min=0)
    for k, row, column in torch.nonzero(slot >= 0).tolist():
        which = sprites[k, slot[k, row, column]]
        maps[k, 5 + int(which[4]), row, column] = 20
        maps[k, 5 + len(SHAPES) + int(which[5]), row, column] = 20
    return maps


def test_reading_undoes_the_targets() -> None:
    frames = read(perfect(torch.from_numpy(truth(PAIR))))
    boxes = truth(PAIR)[0, :, :4]
    for frame in frames:
        assert {(f.shape, f.color) for f in frame} == {("ring", "blue"), ("heart", "yellow")}
        for found in frame:
            k = 0 if found.shape == "ring" else 1
            assert np.allclose(found.box, boxes[k], atol=0.01)


def test_the_right_map_costs_less_than_any_wrong_one() -> None:
    sprites = torch.from_numpy(truth(PAIR))
    right = perfect(sprites)
    best = float(loss(right, sprites))
    for channel, change in ((0, -3.0), (2, 1.0), (5, 60.0), (5 + len(SHAPES), 60.0)):
        wrong = right.clone()
        wrong[:, channel] += change
        assert float(loss(wrong, sprites)) > best


def test_black_and_white_sprites_are_gray_and_absent_ones_ask_for_nothing() -> None:
    scene = Scene((Sprite("star", "red", 32, 32, 14),), "spinning", "city", "black and white")
    known = truth(scene)
    assert COLORS[int(known[0, 0, 5])] == "gray"
    assert np.isnan(known[:, 1]).all()
    empty = torch.full((1, 2, 6), torch.nan)
    sure, slot, _ = targets(empty)
    assert float(sure.max()) == 0
    assert int(slot.max()) == -1


def test_mirroring_twice_changes_nothing() -> None:
    frames, sprites = torch.rand(8, 3, 64, 64), torch.from_numpy(truth(PAIR))
    all_of_them = torch.ones(8, dtype=torch.bool)
    once = mirrored(frames, sprites, all_of_them)
    twice = mirrored(*once, all_of_them)
    assert torch.equal(twice[0], frames)
    assert torch.allclose(twice[1], sprites)
    assert float(once[1][0, 0, 0]) > 32


@pytest.mark.slow
def test_training_resumes_to_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("CLIPS", 3), ("BATCH", 4), ("STEPS", 3), ("HELD_CLIPS", 3)):
        monkeypatch.setattr(detector, name, value)
    straight = train(Work(tmp_path / "a", tmp_path / "pools"))
    lines: list[str] = []
    again = train(Work(tmp_path / "a", tmp_path / "pools", "cpu", lines.append))
    assert any("resumed at step 3" in line for line in lines)
    other = train(Work(tmp_path / "b", tmp_path / "pools"))
    for same in (again, other):
        for first, second in zip(
            straight.module.parameters(), same.module.parameters(), strict=True
        ):
            assert torch.equal(first, second)
    found = measure(straight.module, tmp_path / "pools", 3)
    assert all(0 <= value.low <= value.high <= 1 for value in found.values())

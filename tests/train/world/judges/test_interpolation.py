from pathlib import Path

import numpy as np
import pytest
import torch

from turbo_eval.backbones.mini.interpolation import build, middle_errors
from turbo_train.world.judges import interpolation as recipe
from turbo_train.world.judges.common import Work
from turbo_train.world.stream import item


def test_the_untrained_network_errs_like_averaging() -> None:
    clip = item(593, 1).clip()
    ours = middle_errors(build(), clip)
    plain = recipe.averaging_errors(clip)
    assert ours == pytest.approx(plain, abs=0.3)
    assert len(recipe.averaging_errors(clip[:7])) == 3
    assert len(recipe.averaging_errors(clip[:2])) == 0


def test_the_middle_frame_lies_between_in_every_batch() -> None:
    clips = np.zeros((3, 8, 64, 64, 3), np.uint8)
    clips += (np.arange(8, dtype=np.uint8) * 20)[None, :, None, None, None]
    for step in range(6):
        first, middle, last = recipe.batch(clips, step)
        assert torch.allclose(middle, (first + last) / 2, atol=1e-5)
        assert not torch.allclose(first, last)


@pytest.mark.slow
def test_training_and_measuring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "CLIPS", 4)
    monkeypatch.setattr(recipe, "HELD_CLIPS", 6)
    monkeypatch.setattr(recipe, "STEPS", 2)
    work = Work(tmp_path / "interpolation", tmp_path / "pools")
    trained = recipe.train(work)
    assert trained.progress.step == 2
    measured = recipe.measure(trained.module.eval(), work.pools)
    assert measured["error"].n == 6
    assert measured["better than averaging in moving clips"].n <= 6

from pathlib import Path

import numpy as np
import pytest
import torch

from turbo_eval.backbones.mini.flow import warp
from turbo_train.world.facts import SIZE, Scene, Sprite
from turbo_train.world.judges import flow as recipe
from turbo_train.world.judges.common import Work, pool
from turbo_train.world.render import flow as true_flow
from turbo_train.world.render import render


def test_a_batch_keeps_pictures_and_flow_together(tmp_path: Path) -> None:
    """However the pair is mirrored and turned, fetching along the flow gives back the first."""
    data = recipe.motion(tmp_path, 592, 24)
    closer = []
    for step in range(8):
        first, second, flow = recipe.batch(data, 592, step)
        assert first.shape == second.shape == (recipe.BATCH, 3, SIZE, SIZE)
        moving = flow.norm(dim=1) > 1
        along = (warp(second, flow) - first).abs().mean(1)[moving].mean()
        as_it_is = (second - first).abs().mean(1)[moving].mean()
        closer.append(float(along / as_it_is))
    assert np.mean(closer) < 0.75
    assert max(closer) < 1


def test_the_same_step_draws_the_same_pair(tmp_path: Path) -> None:
    data = recipe.motion(tmp_path, 592, 4)
    torch.manual_seed(1)
    one = recipe.batch(data, 592, 3)
    torch.manual_seed(1)
    two = recipe.batch(data, 592, 3)
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_exact_flow_of_a_moving_sprite_and_a_pan() -> None:
    scene = Scene((Sprite("square", "red", 32, 32, 12),), "moving right", "beach")
    flow = true_flow(scene)
    assert flow[0, 32, 18] == pytest.approx([4, 0], abs=1e-4)
    assert flow[0, 5, 5] == pytest.approx([0, 0], abs=1e-5)
    assert render(scene).shape[0] == len(flow) + 1


@pytest.mark.slow
def test_training_resumes_and_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "CLIPS", 4)
    monkeypatch.setattr(recipe, "HELD_CLIPS", 3)
    monkeypatch.setattr(recipe, "STEPS", 2)
    work = Work(tmp_path / "flow", tmp_path / "pools")
    trained = recipe.train(work)
    assert trained.progress.step == 2
    again = recipe.train(work)
    weights = again.module.state_dict()
    assert all(torch.equal(v, weights[k]) for k, v in trained.module.state_dict().items())
    measured = recipe.measure(again.module.eval(), work.pools)
    assert measured["dynamic"].n == 3
    assert measured["end-point error"].unit == "px"
    assert len(pool(work.pools, recipe.SEED, 4).items) == 4

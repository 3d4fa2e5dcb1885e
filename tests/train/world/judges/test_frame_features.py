from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from turbo_train.world.judges import frame_features as recipe
from turbo_train.world.judges.common import Work
from turbo_train.world.stream import item


def test_other_sprites_differ_in_each_sprite_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    for k in range(60):
        scene = item(594, k).scene
        other = recipe.other_sprites(scene, rng)
        for a, b in zip(scene.sprites, other.sprites, strict=True):
            assert (a.shape, a.color) != (b.shape, b.color)
            assert (a.x, a.y, a.radius) == (b.x, b.y, b.radius)
        assert (scene.scene, scene.variant, scene.action) == (
            other.scene, other.variant, other.action,
        )  # fmt: skip


def test_a_batch_holds_two_frames_of_each_clip_in_one_light() -> None:
    clips = np.zeros((5, 2, 8, 64, 64, 3), np.uint8)
    clips[:, 0], clips[:, 1] = 60, 180
    frames = recipe.batch(clips, 0)
    assert frames.shape == (2, 4 * recipe.BATCH, 3, 64, 64)
    assert torch.allclose(frames[0], frames[1], atol=1e-6)
    own, other = frames[0, : recipe.BATCH], frames[0, recipe.BATCH : 2 * recipe.BATCH]
    assert float(own.mean()) < float(other.mean())


class Told(nn.Module):
    """Answers prepared features."""

    def __init__(self, features: Tensor) -> None:
        super().__init__()
        self.features = features

    def forward(self, frames: Tensor) -> Tensor:
        return self.features[: len(frames)]


def test_the_loss_wants_partners_alike_and_others_apart() -> None:
    frames = torch.zeros(2, 6, 3, 4, 4)
    apart = torch.eye(6).repeat(2, 1)
    good = recipe.loss(Told(apart), frames)
    bad = recipe.loss(Told(torch.cat([torch.eye(6), torch.eye(6).roll(1, 0)])), frames)
    same = recipe.loss(Told(torch.ones(12, 6)), frames)
    assert good < same < bad


@pytest.mark.slow
def test_training_and_measuring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "SCENES", 4)
    monkeypatch.setattr(recipe, "HELD_CLIPS", 2)
    monkeypatch.setattr(recipe, "STEPS", 2)
    work = Work(tmp_path / "frame_features", tmp_path / "pools")
    trained = recipe.train(work)
    assert trained.progress.step == 2
    measured = recipe.measure(trained.module.eval(), work.pools)
    assert measured["clean"].n == 2
    assert {"identity 3", "flicker 3", "noise 3", "noise noticed"} <= set(measured)

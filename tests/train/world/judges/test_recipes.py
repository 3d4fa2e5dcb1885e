"""What the other recipes teach: their targets, not their patience."""

import numpy as np
import pytest
import torch

from turbo_eval.backbones.mini import PARTS
from turbo_eval.backbones.mini.action import ACTIONS
from turbo_eval.core.errors import UsageError
from turbo_train.world.facts import Scene, Sprite
from turbo_train.world.judges import RECIPES, train_all
from turbo_train.world.judges.action import mirrored
from turbo_train.world.judges.aesthetic import beauty
from turbo_train.world.judges.image_quality import distort, distort_group
from turbo_train.world.render import render


def test_every_part_has_a_recipe_and_no_other() -> None:
    assert tuple(RECIPES) == PARTS


def test_an_unknown_part_is_refused_before_any_training(tmp_path: object) -> None:
    with pytest.raises(UsageError, match="flow"):
        train_all(tmp_path, ["flw"])  # type: ignore[arg-type]


def test_a_mirror_turns_left_to_right_and_leaves_the_rest() -> None:
    classes = torch.arange(len(ACTIONS))
    turned = mirrored(classes, torch.ones(len(ACTIONS), dtype=torch.bool))
    names = [ACTIONS[k] for k in turned.tolist()]
    assert names[:2] == ["moving right", "moving left"]
    assert names[2:] == list(ACTIONS[2:])
    assert torch.equal(mirrored(classes, torch.zeros(len(ACTIONS), dtype=torch.bool)), classes)


def test_beauty_falls_when_the_sprite_fades_shrinks_or_leaves() -> None:
    def of(color: str, x: float, radius: float) -> float:
        scene = Scene((Sprite("star", color, x, 32, radius),), "standing still", "night sky")
        return float(beauty(scene, render(scene)).mean())

    good = of("yellow", 32, 14)
    assert good > of("blue", 32, 14)
    assert good > of("yellow", 32, 7)
    assert good > of("yellow", 60, 14)
    assert 0 <= of("blue", 70, 5) < good <= 1


@pytest.mark.parametrize("kind", range(4))
def test_stronger_distortion_is_further_from_the_frame(kind: int) -> None:
    scene = Scene((Sprite("star", "red", 32, 32, 14),), "moving up", "city")
    frames = torch.from_numpy(render(scene)).permute(0, 3, 1, 2).float() / 127.5 - 1
    torch.manual_seed(0)
    away = [float((distort_group(frames, kind, s) - frames).abs().mean()) for s in (0.1, 0.4, 0.9)]
    assert away[0] < away[1] < away[2]


def test_distortion_is_known_frame_by_frame() -> None:
    frames = torch.rand(40, 3, 64, 64) * 2 - 1
    spoilt, strength = distort(frames, np.random.default_rng(2), clean=0.5)
    same = (spoilt - frames).abs().amax(dim=(1, 2, 3)) == 0
    assert torch.equal(same, strength == 0)
    assert 0 < int(same.sum()) < 40
    assert float(strength.max()) <= 1

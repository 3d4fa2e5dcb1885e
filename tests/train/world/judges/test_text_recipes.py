"""The two text judges: their recipes share the data and the loss (matching), not the networks."""

from pathlib import Path
from types import ModuleType

import pytest

from turbo_train.world.facts import Scene, Sprite
from turbo_train.world.judges import image_text, video_text
from turbo_train.world.judges.common import Work

SCENE = Scene((Sprite("star", "red", 32, 32, 12),), "spinning", "beach", "neon", "zoom in")


@pytest.mark.parametrize("fact", ["shape", "color", "action", "scene", "style", "camera"])
def test_other_captions_hold_the_true_one_at_its_place(fact: str) -> None:
    texts = video_text.other_captions(SCENE, fact)
    assert texts[video_text.true_index(SCENE, fact)] == video_text.full_caption(SCENE)
    assert len(set(texts)) == len(texts)


def test_the_two_judges_share_no_seed() -> None:
    assert image_text.SEED != video_text.SEED


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [image_text, video_text], ids=["image_text", "video_text"])
def test_training_and_measuring(
    recipe: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe, "CLIPS", 6)
    monkeypatch.setattr(recipe, "BATCH", 4)
    monkeypatch.setattr(recipe, "HELD_CLIPS", 16)
    monkeypatch.setattr(recipe, "STEPS", 2)
    monkeypatch.setattr("turbo_eval.backbones.mini.words.save", lambda words: None)
    work = Work(tmp_path / "part", tmp_path / "pools")
    trained = recipe.train(work)
    assert trained.progress.step == 2
    measured = recipe.measure(trained.module.eval(), work.pools)
    assert measured["caption of 16"].n == 16
    assert 0 <= measured["style"].value <= 1

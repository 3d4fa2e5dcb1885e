"""The recipes of the mini rewards: captions that are false, faults, losses, a run from nothing."""

import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from turbo_eval.core.errors import UsageError
from turbo_eval.metrics.rewards.mini.reward import MiniReward
from turbo_train.world import rewards
from turbo_train.world.captions import Said, caption
from turbo_train.world.facts import ACTIONS, COLORS, PAIR_ACTIONS, Scene, Sprite
from turbo_train.world.judges import RECIPES as JUDGES
from turbo_train.world.judges.matching import true_pairs
from turbo_train.world.rewards import accuracy, mini_image, mini_video
from turbo_train.world.rewards.captions import FACTS, STILL_FACTS, full, stated, variants, write
from turbo_train.world.rewards.corrupt import MOVING, STILL, draw_pairs, light, spoil
from turbo_train.world.rewards.learn import rank_loss, refuse_loss
from turbo_train.world.stream import item

ONE = Scene((Sprite("star", "red", 32, 32, 12),), "spinning", "beach", "neon", "zoom in")
TWO = Scene(
    (Sprite("star", "red", 20, 32, 12), Sprite("moon", "blue", 44, 32, 12)),
    "bouncing",
    "city",
    "watercolor",
    "static",
    "on the left of",
)


@pytest.mark.parametrize("scene", [ONE, TWO], ids=["one", "two"])
@pytest.mark.parametrize("fact", FACTS)
def test_variants_change_one_fact_and_make_the_full_caption_false(scene: Scene, fact: str) -> None:
    others = variants(scene, fact)
    said = full(scene, still=False)
    assert bool(others) == (fact != "relation" or len(scene.sprites) > 1)
    assert len(set(others)) == len(others)
    for other in others:
        assert not bool(true_pairs([other, scene], [said, said])[0, 1])
        assert caption(other, said) != caption(scene, said)
    if fact == "action":
        assert {o.action for o in others} < set(ACTIONS if scene is ONE else PAIR_ACTIONS)
    if fact == "color":
        assert {o.sprites[0].color for o in others} == set(COLORS) - {"red"}


@pytest.mark.parametrize("still", [True, False])
def test_written_captions_are_true_and_their_rivals_false(still: bool) -> None:
    rng = np.random.default_rng(0)
    swaps = 0
    for k in range(200):
        scene = item(699, k).scene
        text, wrong, said = write(scene, rng, still=still, false=4)
        assert len(wrong) == 4
        assert text not in wrong
        assert stated(scene, said)
        if still:
            assert not said.action
            assert not said.camera
        swaps += any(sorted(text.lower().split()) == sorted(w.lower().split()) for w in wrong)
    # Some rivals hold the very same words: colours or a relation turned round.
    assert swaps > 1


def test_a_black_and_white_caption_names_no_colour() -> None:
    plain = replace(ONE, style="black and white")
    assert not full(plain, still=False).colors
    assert "color" not in stated(plain, full(plain, still=True))
    assert stated(ONE, Said(sprites=False, style=False, camera=False)) == ["scene"]


@pytest.mark.parametrize("fault", range(len(MOVING)), ids=list(MOVING))
def test_faults_grow_with_their_level_and_spare_the_others(fault: int) -> None:
    clips = torch.from_numpy(np.stack([item(699, k).clip() for k in range(4)]))
    clips = clips.movedim(-1, 2).float() / 127.5 - 1
    torch.manual_seed(0)
    levels = np.array([0, 1, 2, 3])
    same = clips[:1].expand(4, -1, -1, -1, -1)
    result = spoil(same, np.full(4, fault), levels)
    away = (result - same).pow(2).mean((1, 2, 3, 4))
    assert float(away[0]) == 0
    assert 0 < float(away[1]) < float(away[3])
    assert float(result.abs().max()) <= 1
    other = (fault + 1) % len(MOVING)
    mixed = spoil(clips, np.array([fault, fault, other, other]), np.array([0, 2, 0, 0]))
    assert torch.equal(mixed[[0, 2, 3]], clips[[0, 2, 3]])


def test_pairs_are_a_better_and_a_worse_level() -> None:
    kinds, better, worse = draw_pairs(500, np.random.default_rng(0), still=True)
    assert set(kinds) == set(range(len(STILL)))
    assert (better < worse).all()
    assert set(worse) == {1, 2, 3}
    assert 0.5 < (better == 0).mean() < 0.9


def test_light_is_no_fault_that_moves_pixels() -> None:
    clips = torch.rand(2, 8, 3, 16, 16) - 0.5
    changed = light(clips)
    assert changed.shape == clips.shape
    for k in range(2):
        seen = torch.corrcoef(torch.stack([clips[k, :, 0].ravel(), changed[k, :, 0].ravel()]))
        assert float(seen[0, 1]) > 0.999


def test_losses_by_hand() -> None:
    scale = torch.tensor(10.0).log()
    seen = torch.tensor([[1.0, 0.0]])
    said, false = torch.tensor([[2.0, 0.0]]), torch.tensor([[[0.0, 3.0]]])
    assert float(refuse_loss(seen, said, false, scale)) == pytest.approx(
        np.log(1 + np.exp(-10)), rel=1e-3
    )
    worse = torch.tensor([[3.0, 4.0]])
    expected = np.log(1 + np.exp(-10 * (1 - 0.6)))
    assert float(rank_loss(seen, worse, said, scale)) == pytest.approx(expected, rel=1e-5)
    assert float(rank_loss(seen, seen, said, scale)) == pytest.approx(np.log(2))


def test_rewards_and_judges_share_no_clips() -> None:
    from importlib import import_module

    seeds = {import_module(f"turbo_train.world.judges.{role}").SEED for role in JUDGES}
    mine = {mini_image.SETTINGS.seed, mini_video.SETTINGS.seed, accuracy.HELD_SEED}
    assert len(mine) == 3
    assert all(600 <= seed < 700 for seed in mine)
    assert not mine & seeds


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [mini_image, mini_video], ids=["mini-image", "mini-video"])
def test_a_run_from_nothing_ships_weights_and_card(
    recipe: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = replace(recipe.SETTINGS, clips=6, batch=4, steps=2)
    monkeypatch.setattr(recipe, "SETTINGS", small)
    monkeypatch.setattr(accuracy, "HELD_CLIPS", 16)
    name = recipe.__name__.rpartition(".")[2].replace("_", "-")
    lines: list[str] = []
    where = tmp_path / "weights"
    rewards.train_all(tmp_path / "work", [name], say=lines.append, where=where)
    card = json.loads((where / f"{name}.card.json").read_text(encoding="utf-8"))
    facts = STILL_FACTS if small.still else FACTS
    assert {f"{fact}, pairs" for fact in facts} <= set(card["measured"])
    assert card["measured"]["caption of 16"]["n"] == 16
    assert card["training"]["steps"] == 2
    assert len(card["faults"]["blur"]) == 4
    assert card["command"] == f"turbo-train world rewards --only {name}"
    reward = MiniReward(name, where=where)
    assert reward.info.weights == {card["file"]: card["sha256"]}
    # The run again measures what is there and trains nothing.
    first = load_file(where / card["file"])
    rewards.train_all(tmp_path / "work", [name], say=lines.append, where=where)
    assert any("resumed at step 2" in line for line in lines)
    second = load_file(where / card["file"])
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_an_unknown_reward_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="mini-video"):
        rewards.train_all(tmp_path, ["mini-vidoe"])

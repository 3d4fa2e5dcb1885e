"""Mirrored and backward clips show what is said of them; hard captions differ in one fact."""

from dataclasses import replace

import numpy as np
import pytest

from turbo_train.world.captions import Said, caption
from turbo_train.world.facts import ACTIONS, CAMERAS, Scene, Sprite
from turbo_train.world.judges.matching import true_pairs
from turbo_train.world.judges.variants import (
    FACTS,
    backwards,
    hard_captions,
    mirrored,
    show,
    sprite_middles,
    value_of,
    vary,
    with_value,
    wrong_values,
)
from turbo_train.world.render import boxes, camera, masks
from turbo_train.world.sample import held_out
from turbo_train.world.stream import item

STAR = Sprite("star", "red", 29.0, 33.0, 14.0)
WITHOUT_CHANCE = [a for a in ACTIONS if a not in ("spinning", "orbiting")]
"""Actions whose direction does not depend on the clip's variant."""


@pytest.mark.parametrize("action", WITHOUT_CHANCE)
def test_a_mirrored_scene_draws_the_mirrored_sprites(action: str) -> None:
    scene = Scene((STAR,), action, "beach")
    assert np.array_equal(masks(mirrored(scene)), masks(scene)[..., ::-1])
    assert mirrored(mirrored(scene)) == scene


@pytest.mark.parametrize("action", WITHOUT_CHANCE)
def test_a_scene_backwards_draws_the_same_frames_in_turn(action: str) -> None:
    scene = Scene((STAR,), action, "beach")
    here, there = masks(backwards(scene)), masks(scene)[:, ::-1]
    # Rounding may move a pixel on the very edge.
    assert (here != there).mean() < 1e-3
    assert backwards(backwards(scene)) == scene


@pytest.mark.parametrize("name", CAMERAS)
def test_cameras_turn_with_the_clip(name: str) -> None:
    view = camera(Scene((STAR,), "spinning", "beach", camera=name))
    back = camera(backwards(Scene((STAR,), "spinning", "beach", camera=name)))
    mirror = camera(mirrored(Scene((STAR,), "spinning", "beach", camera=name)))
    assert np.allclose(np.diff(back.x), np.diff(view.x[::-1]))
    assert np.allclose(back.zoom, view.zoom[::-1])
    assert np.allclose(mirror.x, -view.x)
    assert np.allclose(mirror.zoom, view.zoom)


def test_a_mirrored_pair_keeps_its_sprites_on_their_sides() -> None:
    pair = Scene(
        (replace(STAR, x=16.0), Sprite("ring", "blue", 46.0, 32.0, 11.0)),
        "growing",
        "city",
        relation="on the left of",
    )
    turned = mirrored(pair)
    assert turned.relation == "on the right of"
    assert turned.sprites[0].x > turned.sprites[1].x


def test_no_variation_shows_a_held_out_combination() -> None:
    rng = np.random.default_rng(5)
    changed = 0
    for k in range(300):
        scene = item(590, k).scene
        shown, flip, turn = vary(scene, rng)
        assert not held_out(shown)
        changed += flip or turn
    assert 150 < changed < 280


def test_what_is_shown_fits_what_is_said_of_it() -> None:
    scene = Scene((STAR,), "moving left", "beach")
    frames = masks(scene)[0][..., None].repeat(3, -1).astype(np.uint8)
    clip = masks(scene)[0].astype(np.float16)
    directions = set()
    for seed in range(24):
        shown = show(scene, frames, sprite_middles(scene), np.random.default_rng(seed), clip)
        y, x = np.argwhere(shown.frame[..., 0]).mean(0)
        assert shown.middles[0] == pytest.approx((x, y), abs=1.5)
        assert np.isnan(shown.middles[1]).all()
        assert shown.clip is not None
        travelled = np.argwhere(shown.clip[-1]).mean(0) - np.argwhere(shown.clip[0]).mean(0)
        assert (travelled[1] > 0) == (shown.scene.action == "moving right")
        directions.add(shown.scene.action)
    assert directions == {"moving left", "moving right"}


def test_middles_lie_in_the_boxes() -> None:
    for k in range(12):
        scene = item(591, k).scene
        middles, box = sprite_middles(scene), boxes(scene)
        for sprite in range(len(scene.sprites)):
            inside = (middles[:, sprite] >= box[sprite, :, :2]) & (
                middles[:, sprite] <= box[sprite, :, 2:]
            )
            assert inside[~np.isnan(box[sprite, :, 0])].all()
        assert np.isnan(middles[:, len(scene.sprites) :]).all()


@pytest.mark.parametrize("fact", list(FACTS))
def test_wrong_values_make_a_caption_false(fact: str) -> None:
    for k in range(20):
        scene = item(592, k).scene
        for value in wrong_values(scene, fact):
            wrong = with_value(scene, fact, value)
            assert value_of(wrong, fact) == value
            if fact == "color" and scene.style == "black and white":
                continue
            # The caption of the changed scene is not true of the clip as it is.
            assert not true_pairs([wrong, scene], [Said(), Said()])[0, 1]


def test_hard_captions_start_with_the_true_one_and_stay_with_their_facts() -> None:
    rng = np.random.default_rng(2)
    for k in range(120):
        scene = item(593, k).scene
        true, *others = hard_captions(scene, {"camera": 1.0}, 3, rng)
        assert len(others) == 3
        assert true not in others
        still = hard_captions(scene, {"shape": 1.0, "style": 1.0}, 2, rng)
        assert still[0] not in still[1:]
        assert "camera" not in " ".join(still)
        assert "moving" not in " ".join(still)


def test_a_hard_caption_can_state_one_fact_alone() -> None:
    scene = Scene((STAR,), "spinning", "beach", camera="zoom in")
    rng = np.random.default_rng(3)
    texts = {hard_captions(scene, {"camera": 1.0}, 1, rng)[0].lower() for _ in range(60)}
    alone = Said(False, False, False, False, False, True, False)
    assert caption(scene, alone).lower() in texts
    assert any("star" in text for text in texts)

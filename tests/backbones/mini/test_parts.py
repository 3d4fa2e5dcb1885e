"""The shipped judges on clips drawn here, whose truth is known."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from turbo_eval.backbones.mini import PARTS, load_part
from turbo_eval.backbones.mini.action import ACTIONS, spread
from turbo_eval.backbones.mini.common import pixels, sampled
from turbo_eval.backbones.mini.detector import COLORS, SHAPES, overlap
from turbo_eval.backbones.mini.scene import SCENES, UNSURE, caption
from turbo_eval.core.errors import UsageError
from turbo_eval.core.records import Prompt, unpack_text
from turbo_eval.video.clip import Clip, clip_of
from turbo_train.world import facts
from turbo_train.world.facts import Scene, Sprite
from turbo_train.world.render import boxes, render

PROMPT = Prompt("p", "a red star", (), {}, "test", 0)
STAR = Scene((Sprite("star", "red", 33, 30, 14),), "moving left", "night sky", variant=3)
PAIR = Scene(
    (Sprite("ring", "blue", 16, 32, 11), Sprite("heart", "yellow", 47, 32, 11)),
    "standing still", "meadow", relation="on the left of", variant=5,
)  # fmt: skip


def shown(scene: Scene) -> Clip:
    return clip_of(render(scene), facts.FPS)


def look(role: str, clip: Clip) -> Mapping[str, NDArray[Any]]:
    return load_part(role).extract(clip, PROMPT)


def test_the_judges_know_the_words_of_the_world() -> None:
    assert SHAPES == facts.SHAPES
    assert (*facts.COLORS, "gray") == COLORS
    assert ACTIONS == facts.ACTIONS
    assert SCENES == facts.SCENES


def test_an_unknown_part_is_named_with_its_nearest() -> None:
    with pytest.raises(UsageError, match="detector"):
        load_part("detectr")


@pytest.mark.parametrize("role", PARTS)
def test_every_part_says_what_it_is(role: str) -> None:
    info = load_part(role).info
    assert (info.id, info.role, info.licence) == (f"mini.{role}", role, "Apache-2.0")
    assert len(info.weights) == 64
    assert info.megabytes > 0


def test_the_detector_finds_a_sprite_where_it_was_drawn() -> None:
    found = look("detector", shown(STAR))
    objects, captions = unpack_text(found["objects"]), unpack_text(found["captions"])
    assert len(objects) == len(captions) == 16
    assert all(frame["labels"] == ["star"] for frame in objects)
    assert all(frame["captions"] == ["a red star"] for frame in captions)
    # Eight frames: the samples are every frame, then the last one again.
    truth = boxes(STAR)[0]
    areas = [overlap(f["boxes"][0], truth[min(k, 7)].tolist()) for k, f in enumerate(objects)]
    assert min(areas) > 0.6


def test_the_detector_tells_two_sprites_apart_and_says_which_is_which() -> None:
    frame = unpack_text(look("detector", shown(PAIR))["captions"])[0]
    assert set(frame["captions"]) == {"a blue ring", "a yellow heart"}


def test_boxes_are_in_pixels_of_the_clip() -> None:
    big = clip_of(shown(STAR).frames.repeat(2, axis=1).repeat(3, axis=2), facts.FPS)
    small = unpack_text(look("detector", shown(STAR))["objects"])[0]["boxes"][0]
    large = unpack_text(look("detector", big)["objects"])[0]["boxes"][0]
    assert np.allclose(np.array(large) / [3, 2, 3, 2], small, atol=1.5)


def test_an_empty_picture_has_no_objects() -> None:
    plain = np.full((2, 64, 64, 3), 120, np.uint8)
    objects = unpack_text(look("detector", clip_of(plain, 8))["objects"])
    assert all(frame == {"boxes": [], "labels": []} for frame in objects)


@pytest.mark.parametrize("action", facts.ACTIONS)
def test_the_action_judge_names_what_happens(action: str) -> None:
    scene = Scene((Sprite("person", "red", 32, 31, 14),), action, "city", variant=9)
    found = look("action", shown(scene))
    assert len(found["scores"]) == 5
    assert (np.diff(found["scores"]) <= 0).all()
    assert unpack_text(found["labels"])[0] == action


def test_a_clip_of_one_frame_can_be_judged() -> None:
    still = clip_of(shown(STAR).frames[:1], 8)
    for role in ("detector", "action", "scene", "image_quality", "aesthetic"):
        for name, array in look(role, still).items():
            assert array.size, (role, name)


@pytest.mark.parametrize("place", facts.SCENES)
def test_the_scene_judge_names_the_place_in_every_frame(place: str) -> None:
    scene = Scene((Sprite("circle", "white", 32, 31, 13),), "spinning", place, variant=4)
    captions = unpack_text(look("scene", shown(scene))["captions"])
    assert len(captions) == 16
    assert all(place in text for text in captions)


def test_an_unclear_place_is_not_named() -> None:
    assert caption(np.full(8, 1 / 8, np.float32)) == UNSURE
    assert caption(np.eye(8, dtype=np.float32)[6]) == "a picture of an ocean"


def test_distortion_costs_quality_and_beauty() -> None:
    clip = shown(STAR)
    rng = np.random.default_rng(1)
    noisy = clip.frames + rng.normal(0, 40, clip.frames.shape)
    bad = clip_of(noisy.clip(0, 255).astype(np.uint8), 8)
    for role, top in (("image_quality", 100), ("aesthetic", 10)):
        clean, spoilt = look(role, clip)["scores"], look(role, bad)["scores"]
        assert clean.shape == (8,)
        assert 0 <= spoilt.min() <= clean.max() <= top
        assert clean.mean() > spoilt.mean() + 0.2 * top


def test_the_same_clip_gives_the_same_numbers() -> None:
    clip = shown(PAIR)
    for role in ("detector", "action", "scene", "image_quality", "aesthetic"):
        first, second = look(role, clip), look(role, clip)
        assert all(np.array_equal(first[name], second[name]) for name in first)


def test_frames_are_sampled_once_and_spread_to_both_ends() -> None:
    distinct, order = sampled(8)
    assert distinct == list(range(8))
    assert order == [*range(8), *[7] * 8]
    assert spread(8) == list(range(8))
    assert spread(16)[0] == 0
    assert spread(16)[-1] == 15
    assert spread(1) == [0] * 8


def test_pixels_span_minus_one_to_one_at_any_size() -> None:
    frames = np.stack([np.zeros((30, 50, 3)), np.full((30, 50, 3), 255)]).astype(np.uint8)
    seen = pixels(frames)
    assert seen.shape == (2, 3, 64, 64)
    assert float(seen[0].max()) == -1
    assert float(seen[1].min()) == pytest.approx(1)

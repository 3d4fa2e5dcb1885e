"""The renderer: every fact can be drawn, the truth fits the picture, the same seed repeats."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from turbo_train.world.facts import (
    ACTIONS,
    CAMERAS,
    COLORS,
    RGB,
    SCENES,
    SHAPES,
    STYLES,
    Scene,
    Sprite,
)
from turbo_train.world.render import boxes, flow, masks, poses, render
from turbo_train.world.stream import item


def _scene(**facts: object) -> Scene:
    base: dict[str, object] = {
        "sprites": (Sprite("circle", "red", 31.5, 31.5, 14.0),),
        "action": "standing still",
        "scene": "meadow",
    }
    return Scene(**{**base, **facts})  # type: ignore[arg-type]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("scene", SCENES)
def test_every_scenery_in_every_style_is_a_picture_of_its_own(scene: str, style: str) -> None:
    clip = render(_scene(scene=scene, style=style))
    assert clip.shape == (8, 64, 64, 3)
    assert clip.dtype == np.uint8
    others = [render(_scene(scene=other, style=style)) for other in SCENES if other != scene]
    for other in others:
        assert np.abs(clip.astype(int) - other).mean() > 2


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_differ_from_each_other(shape: str) -> None:
    def cover(name: str) -> np.ndarray:
        return np.asarray(masks(_scene(sprites=(Sprite(name, "red", 31.5, 31.5, 14.0),)))[0, 0])

    mine = cover(shape)
    assert 150 < mine.sum() < 800
    for other in SHAPES:
        if other != shape:
            theirs = cover(other)
            overlap = (mine & theirs).sum() / (mine | theirs).sum()
            assert overlap < 0.93, other


@pytest.mark.parametrize("color", COLORS)
def test_a_sprite_has_its_colour(color: str) -> None:
    clip = render(_scene(sprites=(Sprite("square", color, 31.5, 31.5, 14.0),)))
    # The upper half is unshaded.
    np.testing.assert_allclose(clip[0, 26, 31], np.array(RGB[color]) * 255, atol=1.0)


@pytest.mark.parametrize("action", [a for a in ACTIONS if a != "standing still"])
def test_an_action_moves_the_picture(action: str) -> None:
    clip = render(_scene(action=action)).astype(int)
    assert np.abs(np.diff(clip, axis=0)).max() > 30


def test_standing_still_under_a_still_camera_does_not_move() -> None:
    clip = render(_scene())
    assert (clip == clip[:1]).all()


@pytest.mark.parametrize("camera", CAMERAS[1:])
def test_the_camera_moves_the_background(camera: str) -> None:
    clip = render(_scene(camera=camera, scene="city", variant=5)).astype(int)
    assert np.abs(np.diff(clip[:, :, :8], axis=0)).mean() > 0.5


@pytest.mark.parametrize(
    ("action", "axis", "sign"),
    [("moving left", 0, -1), ("moving right", 0, 1), ("moving up", 1, -1), ("moving down", 1, 1)],
)
def test_directions_are_as_named(action: str, axis: int, sign: int) -> None:
    pose = poses(_scene(action=action), 0)
    travel = (pose.x, pose.y)[axis]
    assert np.sign(travel[-1] - travel[0]) == sign
    box = boxes(_scene(action=action))[0]
    assert np.sign(box[-1, axis] - box[0, axis]) == sign


def test_boxes_hold_the_masks() -> None:
    scene = item(1, 3).scene
    for cover, box in zip(masks(scene), boxes(scene), strict=True):
        for frame, (x0, y0, x1, y1) in zip(cover, box, strict=True):
            inside = np.zeros_like(frame)
            inside[int(y0) : int(y1), int(x0) : int(x1)] = True
            assert not (frame & ~inside).any()


@settings(max_examples=25, deadline=None)
@given(index=st.integers(0, 10_000))
def test_flow_carries_a_frame_into_the_next(index: int) -> None:
    """Following the ground-truth flow finds nearly the same colour in the next frame."""
    scene = item(11, index).scene
    if scene.style in {"pixel art", "watercolor"}:
        return  # these styles are laid over the picture and do not move with it
    clip = render(scene).astype(np.float32)
    motion = flow(scene)
    y, x = np.mgrid[0:64, 0:64]
    errors, still = [], []
    for t in range(scene.frames - 1):
        to_x, to_y = x + motion[t, ..., 0], y + motion[t, ..., 1]
        seen = (to_x >= 0) & (to_x <= 63) & (to_y >= 0) & (to_y <= 63)
        landed = np.stack(
            [map_coordinates(clip[t + 1, ..., c], (to_y, to_x), order=1) for c in range(3)], axis=-1
        )
        errors.append(np.median(np.abs(landed - clip[t])[seen]))
        still.append(np.median(np.abs(clip[t + 1] - clip[t])[seen]))
    # The median leaves out what is uncovered by a moving sprite; the rest is resampling.
    assert np.mean(errors) <= max(3.0, np.mean(still))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), index=st.integers(0, 2**31))
def test_an_item_is_a_function_of_seed_and_index(seed: int, index: int) -> None:
    first, second = item(seed, index), item(seed, index)
    assert first == second
    assert (first.clip() == second.clip()).all()


@pytest.mark.parametrize("frames", [1, 2, 16])
def test_other_lengths(frames: int) -> None:
    clip = render(_scene(frames=frames, action="bouncing", camera="zoom in"))
    assert clip.shape == (frames, 64, 64, 3)

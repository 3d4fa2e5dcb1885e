"""Draw a `Scene`: anti-aliased sprites over an analytic, moving, textured background.

Everything is a closed formula of pixel coordinates, so a clip needs no assets, camera moves need no
resampling, and the exact optical flow comes with the picture.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from turbo_train.world.backgrounds import background
from turbo_train.world.facts import RGB, SIZE, Scene, Sprite
from turbo_train.world.shapes import distance

Array = NDArray[np.floating[Any]]

OUTLINE = 1.3
"""Width of a sprite's outline in pixels."""
SHADE = 0.72
"""Brightness of the lower half of a sprite in its own frame: it makes every rotation visible."""
CENTRE = (SIZE - 1) / 2


class Pose(NamedTuple):
    """Where a sprite is in every frame: arrays [T] in pixels and radians."""

    x: Array
    y: Array
    radius: Array
    angle: Array


class View(NamedTuple):
    """Camera of every frame: background offset [T] in pixels, zoom [T], and jitter of all [T]."""

    x: Array
    y: Array
    zoom: Array
    jitter_x: Array
    jitter_y: Array


def poses(scene: Scene, index: int) -> Pose:
    """Pose of sprite `index` of `scene` in all its frames."""
    sprite = scene.sprites[index]
    pair = len(scene.sprites) > 1
    tau = np.linspace(0.0, 1.0, scene.frames, dtype=np.float32)
    zero = np.zeros_like(tau)
    x, y = sprite.x + zero, sprite.y + zero
    radius, angle = sprite.radius + zero, sprite.angle + zero
    rng = np.random.default_rng([scene.variant, 11, index])
    turn = 1.0 if rng.random() < 0.5 else -1.0
    phase = rng.uniform(0, 2 * np.pi)
    reach = 14.0
    match scene.action:
        case "moving left":
            x = x + reach * (1 - 2 * tau)
        case "moving right":
            x = x - reach * (1 - 2 * tau)
        case "moving up":
            y = y + reach * (1 - 2 * tau)
        case "moving down":
            y = y - reach * (1 - 2 * tau)
        case "bouncing":
            height = 9.0 if pair else 15.0
            y = y + height / 2 - height * np.abs(np.sin(2 * np.pi * tau))
        case "spinning":
            angle = angle + turn * np.float32(np.pi * 7 / 6) * tau
        case "growing":
            radius = radius * ((0.65 if pair else 0.5) + (0.45 if pair else 0.7) * tau)
        case "shrinking":
            radius = radius * ((1.1 if pair else 1.2) - (0.45 if pair else 0.7) * tau)
        case "orbiting":
            around = phase + turn * 2 * np.pi * 0.9 * tau
            x, y = x + 11.0 * np.cos(around), y + 11.0 * np.sin(around)
        case _:
            pass
    view = camera(scene)
    return Pose(
        (x + view.jitter_x).astype(np.float32),
        (y + view.jitter_y).astype(np.float32),
        radius.astype(np.float32),
        angle.astype(np.float32),
    )


def camera(scene: Scene) -> View:
    """Camera of all frames. The camera follows the sprites: pans and zooms move the background."""
    t = np.arange(scene.frames, dtype=np.float32)
    zero = np.zeros_like(t)
    x: Array = zero
    zoom: Array = zero + 1
    jx: Array = zero
    jy: Array = zero
    last = max(scene.frames - 1, 1)
    match scene.camera:
        case "pan left":
            x = -2.6 * t
        case "pan right":
            x = 2.6 * t
        case "zoom in":
            zoom = 1 + 0.8 * t / last
        case "zoom out":
            zoom = 1.8 - 0.8 * t / last
        case "shaking":
            rng = np.random.default_rng([scene.variant, 13])
            jx = rng.uniform(-3.5, 3.5, scene.frames).astype(np.float32)
            jy = rng.uniform(-3.5, 3.5, scene.frames).astype(np.float32)
        case _:
            pass
    return View(
        x.astype(np.float32),
        zero,
        zoom.astype(np.float32),
        jx.astype(np.float32),
        jy.astype(np.float32),
    )


def _grid() -> tuple[Array, Array]:
    axis = np.arange(SIZE, dtype=np.float32)
    return axis[None, None, :], axis[None, :, None]


def _local(pose: Pose) -> tuple[Array, Array]:
    x, y = _grid()
    dx, dy = x - pose.x[:, None, None], y - pose.y[:, None, None]
    cos, sin = np.cos(pose.angle)[:, None, None], np.sin(pose.angle)[:, None, None]
    scale = 1 / pose.radius[:, None, None]
    return (dx * cos + dy * sin) * scale, (dy * cos - dx * sin) * scale


def _scenery(scene: Scene, view: View) -> Array:
    x, y = _grid()
    zoom = view.zoom[:, None, None]
    world_x = (x - CENTRE - view.jitter_x[:, None, None]) / zoom + CENTRE + view.x[:, None, None]
    world_y = (y - CENTRE - view.jitter_y[:, None, None]) / zoom + CENTRE + view.y[:, None, None]
    # A still camera needs one frame only; broadcasting repeats it for free.
    if scene.camera == "static":
        world_x, world_y = world_x[:1], world_y[:1]
    world_x, world_y = np.broadcast_arrays(world_x, world_y)
    picture = background(scene.scene, world_x, world_y, scene.variant)
    return np.broadcast_to(picture, (scene.frames, SIZE, SIZE, 3)).copy()


def _paint(canvas: Array, sprite: Sprite, pose: Pose, *, neon: bool) -> None:
    u, v = _local(pose)
    gap = distance(sprite.shape, u, v) * pose.radius[:, None, None]
    fill = np.asarray(RGB[sprite.color], dtype=np.float32)
    inner = np.clip(0.5 - gap, 0, 1)[..., None]
    outer = np.clip(0.5 + OUTLINE - gap, 0, 1)[..., None]
    body = fill * np.where(v > 0.12, np.float32(SHADE), np.float32(1))[..., None]
    if neon:
        glow = np.exp(-np.square(np.maximum(gap, 0) / 3.5))[..., None]
        canvas += glow * fill * 0.8 * (1 - inner)
        canvas *= 1 - inner
        canvas += body * inner
    else:
        canvas *= 1 - outer
        canvas += outer * 0.09
        canvas *= 1 - inner
        canvas += body * inner


def _stylise(clip: Array, scene: Scene) -> Array:
    match scene.style:
        case "pixel art":
            blocks = clip.reshape(len(clip), SIZE // 4, 4, SIZE // 4, 4, 3).mean(axis=(2, 4))
            return np.repeat(np.repeat(blocks, 4, axis=1), 4, axis=2)
        case "black and white":
            grey = clip @ np.asarray((0.299, 0.587, 0.114), dtype=np.float32)
            return np.repeat(np.clip(0.5 + 1.15 * (grey - 0.5), 0, 1)[..., None], 3, axis=3)
        case "watercolor":
            soft = np.pad(clip, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="edge")
            for axis in (1, 2):
                n = soft.shape[axis] - 4
                parts = [np.take(soft, range(k, k + n), axis=axis) for k in range(5)]
                soft = np.add.reduce(parts) * np.float32(0.2)
            x, y = _grid()
            paper = 0.05 * np.sin(0.55 * x + 0.21 * y) * np.sin(0.47 * y - 0.13 * x)
            return 0.62 * soft + 0.36 + paper[..., None]
        case _:
            return clip


def render(scene: Scene) -> NDArray[np.uint8]:
    """Draw `scene`: uint8 [T, 64, 64, 3], RGB, T = `scene.frames`."""
    clip = _scenery(scene, camera(scene))
    neon = scene.style == "neon"
    if neon:
        clip *= np.float32(0.22)
    for index, sprite in enumerate(scene.sprites):
        _paint(clip, sprite, poses(scene, index), neon=neon)
    clip = _stylise(clip, scene)
    return (np.clip(clip, 0, 1) * 255 + 0.5).astype(np.uint8)


def masks(scene: Scene) -> NDArray[np.bool_]:
    """Which sprite covers which pixel: bool [sprites, T, 64, 64]; a later sprite lies on top."""
    covers: list[NDArray[np.bool_]] = []
    for index, sprite in enumerate(scene.sprites):
        pose = poses(scene, index)
        u, v = _local(pose)
        cover = distance(sprite.shape, u, v) * pose.radius[:, None, None] < OUTLINE
        covers = [below & ~cover for below in covers]
        covers.append(cover)
    return np.stack(covers)


def boxes(scene: Scene) -> Array:
    """Ground-truth boxes: float32 [sprites, T, 4] as x0, y0, x1, y1 in pixels; NaN when hidden."""
    result = np.full((len(scene.sprites), scene.frames, 4), np.nan, dtype=np.float32)
    for index, cover in enumerate(masks(scene)):
        for t, frame in enumerate(cover):
            rows, columns = np.flatnonzero(frame.any(axis=1)), np.flatnonzero(frame.any(axis=0))
            if len(rows):
                result[index, t] = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    return result


def flow(scene: Scene) -> Array:
    """Ground-truth optical flow: float32 [T-1, 64, 64, 2] (x, y pixels from frame t to t+1)."""
    view, (x, y) = camera(scene), _grid()
    ratio = (view.zoom[1:] / view.zoom[:-1])[:, None, None]
    zoom = view.zoom[1:, None, None]

    def shift(pan: Array, jitter: Array, at: Array) -> Array:
        before, after = jitter[:-1, None, None], jitter[1:, None, None]
        drift = (pan[1:] - pan[:-1])[:, None, None] * zoom
        return (at - CENTRE - before) * ratio - drift + CENTRE + after - at

    shape = (scene.frames - 1, SIZE, SIZE)
    result = np.stack(
        [
            np.broadcast_to(shift(view.x, view.jitter_x, x), shape),
            np.broadcast_to(shift(view.y, view.jitter_y, y), shape),
        ],
        axis=-1,
    ).copy()
    for index, cover in enumerate(masks(scene)):
        pose = poses(scene, index)
        u, v = _local(pose)
        after = Pose(*(track[1:] for track in pose))
        radius = after.radius[:, None, None]
        cos, sin = np.cos(after.angle)[:, None, None], np.sin(after.angle)[:, None, None]
        new_x = after.x[:, None, None] + radius * (u[:-1] * cos - v[:-1] * sin)
        new_y = after.y[:, None, None] + radius * (u[:-1] * sin + v[:-1] * cos)
        moved = np.stack([new_x - x, new_y - y], axis=-1)
        result = np.where(cover[:-1, ..., None], moved, result)
    return result.astype(np.float32)

"""The textured sceneries: each a formula of world coordinates, muted so that sprites stand out."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]


def _mix(weight: Array, first: tuple[float, ...], second: tuple[float, ...]) -> Array:
    a, b = np.asarray(first, np.float32), np.asarray(second, np.float32)
    w = np.clip(weight, 0, 1)[..., None]
    return np.asarray(a * (1 - w) + b * w, np.float32)


def _soft(value: Array, width: float = 1.5) -> Array:
    return np.asarray(np.clip(0.5 + value / width, 0, 1))


def _dots(x: Array, y: Array, phase: Array, step: float, radius: float) -> Array:
    """Soft dots on a jittered lattice: 1 inside a dot."""
    row = np.floor(y / step)
    px = (x + phase[0] + row * step * 0.5) % step - step / 2
    py = y % step - step / 2
    return np.asarray(np.clip(radius + 0.5 - np.hypot(px, py), 0, 1))


def _beach(x: Array, y: Array, p: Array) -> Array:
    shore = 30 + 2.5 * np.sin(0.16 * x + p[0])
    sea = _mix(_soft(np.sin(0.5 * y + p[1]), 3), (0.50, 0.70, 0.80), (0.58, 0.77, 0.84))
    sand = _mix(_soft(np.sin(0.3 * x + 0.5 * y + p[2]), 4), (0.84, 0.77, 0.58), (0.89, 0.82, 0.64))
    w = _soft(y - shore)[..., None]
    return sea * (1 - w) + sand * w


def _forest(x: Array, y: Array, p: Array) -> Array:
    leaves = _mix(
        _soft(np.sin(0.4 * x + p[0]) * np.sin(0.45 * y + p[1]), 2),
        (0.13, 0.27, 0.15),
        (0.22, 0.38, 0.20),
    )
    trunk = _soft(2.2 - np.abs((x + 3 * p[2]) % 16 - 8))[..., None]
    return leaves * (1 - trunk) + np.asarray((0.33, 0.23, 0.15), np.float32) * trunk


def _desert(x: Array, y: Array, p: Array) -> Array:
    dune = 24 + 7 * np.sin(0.09 * x + p[0])
    second = 42 + 5 * np.sin(0.12 * x + p[1])
    picture = _mix(_soft(y - dune), (0.90, 0.80, 0.66), (0.80, 0.62, 0.38))
    w = _soft(y - second)[..., None]
    return picture * (1 - w) + np.asarray((0.70, 0.52, 0.30), np.float32) * w


def _night_sky(x: Array, y: Array, p: Array) -> Array:
    stars = _dots(x, y, p * 3, 13.0, 1.2)
    return _mix(stars, (0.06, 0.07, 0.19), (0.80, 0.80, 0.66))


def _snow_field(x: Array, y: Array, p: Array) -> Array:
    drift = np.sin(0.14 * x + p[0] + 0.9 * np.sin(0.11 * y + p[1]))
    return _mix(_soft(drift, 2.5), (0.76, 0.81, 0.88), (0.90, 0.92, 0.95))


def _city(x: Array, y: Array, p: Array) -> Array:
    block = np.floor((x + 3 * p[0]) / 13)
    roof = 16 + 9 * (0.5 + 0.5 * np.sin(block * 2.4 + p[1]))
    house = _soft(y - roof)
    wx, wy = (x + 3 * p[0]) % 13, y % 9
    window = (_soft(3.0 - np.abs(wx - 6.5)) * _soft(2.2 - np.abs(wy - 4.5)) * house)[..., None]
    picture = _mix(house, (0.66, 0.70, 0.74), (0.37, 0.38, 0.42))
    return picture * (1 - window) + np.asarray((0.62, 0.58, 0.44), np.float32) * window


def _ocean(x: Array, y: Array, p: Array) -> Array:
    wave = np.sin(0.42 * y + p[0] + 0.9 * np.sin(0.17 * x + p[1]))
    return _mix(_soft(wave, 2), (0.11, 0.40, 0.47), (0.21, 0.54, 0.58))


def _meadow(x: Array, y: Array, p: Array) -> Array:
    grass = _mix(
        _soft(np.sin(0.35 * x + 0.2 * y + p[0]), 3), (0.55, 0.68, 0.38), (0.62, 0.75, 0.44)
    )
    flower = _dots(x, y, p * 3, 15.0, 1.9)[..., None]
    return grass * (1 - flower) + np.asarray((0.93, 0.87, 0.62), np.float32) * flower


_SCENES: dict[str, Callable[[Array, Array, Array], Array]] = {
    "beach": _beach,
    "forest": _forest,
    "desert": _desert,
    "night sky": _night_sky,
    "snow field": _snow_field,
    "city": _city,
    "ocean": _ocean,
    "meadow": _meadow,
}


def background(scene: str, x: Array, y: Array, variant: int) -> Array:
    """Colour of `scene` at world coordinates [T, H, W] in pixels: float32 [T, H, W, 3] in 0..1."""
    phase = np.random.default_rng([variant, 17]).uniform(0, 2 * np.pi, 4).astype(np.float32)
    return np.asarray(_SCENES[scene](x, y, phase), np.float32)

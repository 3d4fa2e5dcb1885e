"""Signed distances of the sprites' outlines, in units of the sprite's radius (negative inside).

They are exact near the outline where it matters for anti-aliasing, and cheap everywhere.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]


def _circle(u: Array, v: Array) -> Array:
    return np.asarray(np.hypot(u, v) - np.float32(0.9))


def _square(u: Array, v: Array) -> Array:
    return np.asarray(np.maximum(np.abs(u), np.abs(v)) - np.float32(0.78))


def _triangle(u: Array, v: Array) -> Array:
    side = (np.abs(u) * 1.65 - (v + 0.95) * 0.95) / np.float32(1.904)
    return np.asarray(np.maximum(side, v - np.float32(0.7)))


def _star(u: Array, v: Array) -> Array:
    wedge = 2 * np.pi / 5
    angle = np.arctan2(u, -v)
    folded = np.abs((angle + wedge / 2) % wedge - wedge / 2)
    r = np.hypot(u, v)
    inner = 0.45
    edge_x, edge_y = inner * np.cos(wedge / 2) - 1, inner * np.sin(wedge / 2)
    length = np.hypot(edge_x, edge_y)
    across = (r * np.cos(folded) - 1) * edge_y - r * np.sin(folded) * edge_x
    return np.asarray(across / length, np.float32)


def _heart(u: Array, v: Array) -> Array:
    a = np.abs(u)
    lobes = np.hypot(a - 0.43, v + 0.32) - np.float32(0.5)
    tip = np.maximum((a * 0.79 + v * 0.61) - np.float32(0.58), -(v + 0.15))
    return np.asarray(np.minimum(lobes, tip))


def _diamond(u: Array, v: Array) -> Array:
    return np.asarray((np.abs(u) + 0.58 * np.abs(v) - 0.58) / 1.156)


def _cross(u: Array, v: Array) -> Array:
    a, b = np.abs(u), np.abs(v)
    return np.asarray(np.minimum(np.maximum(a - 0.95, b - 0.32), np.maximum(a - 0.32, b - 0.95)))


def _ring(u: Array, v: Array) -> Array:
    return np.asarray(np.abs(np.hypot(u, v) - 0.66) - np.float32(0.26))


def _moon(u: Array, v: Array) -> Array:
    return np.asarray(np.maximum(np.hypot(u, v) - 0.95, 0.74 - np.hypot(u - 0.48, v)))


def _person(u: Array, v: Array) -> Array:
    head = np.hypot(u, v + 0.62) - np.float32(0.34)
    body = np.maximum(np.abs(u) - (0.24 + 0.26 * (v + 0.3)), np.abs(v - 0.36) - 0.62)
    arms = np.maximum(np.abs(v + 0.02) - 0.13, np.abs(u) - 0.72)
    return np.asarray(np.minimum(np.minimum(head, body), arms))


_DISTANCES: dict[str, Callable[[Array, Array], Array]] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "heart": _heart,
    "diamond": _diamond,
    "cross": _cross,
    "ring": _ring,
    "moon": _moon,
    "person": _person,
}


def distance(shape: str, u: Array, v: Array) -> Array:
    """Signed distance to the outline of `shape` at local coordinates (u right, v down)."""
    return np.asarray(_DISTANCES[shape](u, v), np.float32)

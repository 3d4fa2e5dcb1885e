"""What exists in the mini world: the vocabulary of facts and the scene description.

A `Scene` is both the recipe of a clip and its ground truth, so every judge of the mini world can be
measured against what was drawn. Nothing here draws; see `render`.
"""

from dataclasses import dataclass, field
from typing import Literal

SIZE = 64
"""Height and width of a clip in pixels."""
FRAMES = 8
"""Default number of frames of a clip."""
FPS = 8.0
"""Frames per second of a clip."""

SHAPES = (
    "circle",
    "square",
    "triangle",
    "star",
    "heart",
    "diamond",
    "cross",
    "ring",
    "moon",
    "person",
)
COLORS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white")
ACTIONS = (
    "moving left",
    "moving right",
    "moving up",
    "moving down",
    "bouncing",
    "spinning",
    "growing",
    "shrinking",
    "orbiting",
    "standing still",
)
PAIR_ACTIONS = ("standing still", "bouncing", "spinning", "growing", "shrinking")
"""Actions that two sprites can do side by side without losing their spatial relation."""
SCENES = ("beach", "forest", "desert", "night sky", "snow field", "city", "ocean", "meadow")
STYLES = ("cartoon", "pixel art", "black and white", "watercolor", "neon")
CAMERAS = ("static", "pan left", "pan right", "zoom in", "zoom out", "shaking")
RELATIONS = ("on the left of", "on the right of", "on the top of", "on the bottom of")

Relation = Literal["on the left of", "on the right of", "on the top of", "on the bottom of"]

RGB: dict[str, tuple[float, float, float]] = {
    "red": (0.87, 0.12, 0.14),
    "orange": (0.98, 0.55, 0.08),
    "yellow": (0.98, 0.90, 0.16),
    "green": (0.12, 0.70, 0.22),
    "blue": (0.13, 0.32, 0.92),
    "purple": (0.53, 0.16, 0.72),
    "pink": (0.99, 0.56, 0.78),
    "white": (0.98, 0.98, 0.98),
}
"""Fill colour of each colour word, red green blue in 0..1."""


@dataclass(frozen=True, slots=True)
class Sprite:
    """One drawn thing: what it is and where it starts (pixels; angle in radians)."""

    shape: str
    color: str
    x: float
    y: float
    radius: float
    angle: float = 0.0


@dataclass(frozen=True, slots=True)
class Scene:
    """One clip of the world, as facts.

    `sprites` holds one or two sprites; with two, `relation` says where the first lies from the
    second. `variant` seeds everything that no caption mentions (texture phases, spin direction).
    """

    sprites: tuple[Sprite, ...]
    action: str
    scene: str
    style: str = "cartoon"
    camera: str = "static"
    relation: Relation | None = None
    variant: int = 0
    frames: int = field(default=FRAMES)

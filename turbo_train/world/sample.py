"""Draw scenes at random, and say which combinations training must never see.

Held out (by content, not by chance at run time): one in eight of all (shape, colour, action)
triples and one in eight of all (shape, shape, relation) triples. A model that draws them right
composes what it knows; it cannot have memorised them.
"""

import zlib
from typing import cast

import numpy as np

from turbo_train.world.facts import (
    ACTIONS,
    CAMERAS,
    COLORS,
    FRAMES,
    PAIR_ACTIONS,
    RELATIONS,
    SCENES,
    SHAPES,
    STYLES,
    Relation,
    Scene,
    Sprite,
)

HELD_OUT_SHARE = 8
_SIDES = {
    "on the left of": (-1, 0),
    "on the right of": (1, 0),
    "on the top of": (0, -1),
    "on the bottom of": (0, 1),
}


def _one_in_eight(*facts: str) -> bool:
    return zlib.crc32("|".join(facts).encode()) % HELD_OUT_SHARE == 0


def held_out(scene: Scene) -> bool:
    """Whether `scene` holds a combination that no training clip may show."""
    if any(_one_in_eight(s.shape, s.color, scene.action) for s in scene.sprites):
        return True
    if len(scene.sprites) < 2 or scene.relation is None:
        return False
    return _one_in_eight(scene.sprites[0].shape, scene.sprites[1].shape, scene.relation)


def place(relation: Relation, rng: np.random.Generator) -> tuple[tuple[float, float], ...]:
    """Centres (pixels) of two sprites so that the first lies `relation` the second."""
    dx, dy = _SIDES[relation]
    jitter = rng.uniform(-2.0, 2.0, 4)
    return (
        (31.5 + 15 * dx + jitter[0], 31.5 + 15 * dy + jitter[1]),
        (31.5 - 15 * dx + jitter[2], 31.5 - 15 * dy + jitter[3]),
    )


def sample_scene(
    rng: np.random.Generator, *, frames: int = FRAMES, pairs: float = 0.4, **fixed: object
) -> Scene:
    """One random scene; `pairs` is the share with two sprites, `fixed` pins facts.

    Keys of `fixed`: shapes, colors (sequences, one entry a sprite), action, scene, style, camera,
    relation. Nothing is rejected here: see `training_scene` and `held_out`.
    """

    def pick(key: str, options: tuple[str, ...]) -> str:
        value = fixed.get(key)
        return cast("str", value) if value is not None else options[int(rng.integers(len(options)))]

    shapes = list(cast("tuple[str, ...]", fixed.get("shapes") or ()))
    colors = list(cast("tuple[str, ...]", fixed.get("colors") or ()))
    relation = cast("Relation | None", fixed.get("relation"))
    want_pair = len(shapes) > 1 or relation is not None
    pair = want_pair or (not shapes and rng.random() < pairs)
    count = 2 if pair else 1
    while len(shapes) < count:
        left = [shape for shape in SHAPES if shape not in shapes]
        shapes.append(left[int(rng.integers(len(left)))])
    while len(colors) < count:
        colors.append(COLORS[int(rng.integers(len(COLORS)))])
    if pair:
        relation = relation or cast("Relation", RELATIONS[int(rng.integers(4))])
        centres = place(relation, rng)
        radii = rng.uniform(10.5, 12.5, 2)
        # Two sprites stand still most of the time, so that relations are easy to see and to learn.
        calm = fixed.get("action") is None and rng.random() < 0.4
        action = "standing still" if calm else pick("action", PAIR_ACTIONS)
    else:
        centres = (tuple(31.5 + rng.uniform(-4.0, 4.0, 2)),)
        radii = rng.uniform(13.0, 16.0, 1)
        action = pick("action", ACTIONS)
    sprites = tuple(
        Sprite(shape, color, float(x), float(y), float(radius))
        for shape, color, (x, y), radius in zip(shapes, colors, centres, radii, strict=True)
    )
    plain = rng.random() < 0.6
    still = rng.random() < 0.6
    return Scene(
        sprites=sprites,
        action=action,
        scene=pick("scene", SCENES),
        style="cartoon" if plain and "style" not in fixed else pick("style", STYLES),
        camera="static" if still and "camera" not in fixed else pick("camera", CAMERAS),
        relation=relation,
        variant=int(rng.integers(2**31)),
        frames=frames,
    )


def training_scene(rng: np.random.Generator, *, frames: int = FRAMES) -> Scene:
    """One random scene without any held-out combination."""
    while True:
        scene = sample_scene(rng, frames=frames)
        if not held_out(scene):
            return scene


def held_out_scene(rng: np.random.Generator, *, frames: int = FRAMES, pairs: float = 0.3) -> Scene:
    """One random scene with a held-out combination."""
    while True:
        scene = sample_scene(rng, frames=frames, pairs=pairs)
        if held_out(scene):
            return scene

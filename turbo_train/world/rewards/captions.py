"""Captions that are true of a clip, and captions that differ from them in one fact and are false.

A reward that only tells whole captions apart lets a student ignore the facts that are hard to
draw. So the mini rewards learn, and are measured, against captions with one fact changed.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from turbo_train.world.captions import Said, caption
from turbo_train.world.facts import (
    ACTIONS,
    CAMERAS,
    COLORS,
    PAIR_ACTIONS,
    RELATIONS,
    SCENES,
    SHAPES,
    STYLES,
    Scene,
    Sprite,
)
from turbo_train.world.judges.matching import say_something

Thing = TypeVar("Thing", Sprite, Scene)

FACTS = ("shape", "color", "relation", "scene", "style", "action", "camera")
STILL_FACTS = FACTS[:5]
"""Facts that a single frame shows."""


def stated(scene: Scene, said: Said) -> list[str]:
    """The facts of a scene that a caption states and of which another value would be false."""
    named = {
        "shape": said.sprites,
        "color": said.sprites and said.colors,
        "relation": said.sprites and said.relation and len(scene.sprites) > 1,
        "scene": said.scene,
        "style": said.style,
        "action": said.sprites and said.action,
        "camera": said.camera,
    }
    return [fact for fact in FACTS if named[fact]]


def _with(thing: Thing, fact: str, value: str) -> Thing:
    """A sprite or a scene with one fact changed."""
    # The name of the field is known only here, so its type cannot be checked before.
    changes: dict[str, Any] = {fact: value}
    return replace(thing, **changes)


def variants(scene: Scene, fact: str, which: int = 0) -> list[Scene]:
    """The scene with every other value of one fact, in the world's order.

    Args:
        scene: what is true.
        fact: one of `FACTS`.
        which: whose shape or colour changes.
    """
    sprites = scene.sprites
    if fact in ("shape", "color"):
        options = SHAPES if fact == "shape" else COLORS
        # With two sprites no shape appears twice, and colours are told by their shapes.
        taken = {s.shape for s in sprites} if fact == "shape" else {sprites[which].color}
        changed = [_with(sprites[which], fact, o) for o in options if o not in taken]
        return [
            replace(scene, sprites=(*sprites[:which], s, *sprites[which + 1 :])) for s in changed
        ]
    values: dict[str, Sequence[str]] = {
        "relation": RELATIONS if len(sprites) > 1 else (),
        "scene": SCENES,
        "style": STYLES,
        "action": ACTIONS if len(sprites) == 1 else PAIR_ACTIONS,
        "camera": CAMERAS,
    }
    now = getattr(scene, fact)
    return [_with(scene, fact, value) for value in values[fact] if value != now]


def full(scene: Scene, *, still: bool) -> Said:
    """A caption that states every fact that can be seen in the clip, or in a single frame of it."""
    seen = scene.style != "black and white"
    return Said(colors=seen, action=not still, camera=not still)


def write(
    scene: Scene, rng: np.random.Generator, *, still: bool, false: int
) -> tuple[str, list[str], Said]:
    """A training caption, `false` ones that differ from it in one stated fact, and what it says.

    Args:
        scene: what is true.
        rng: chooses facts and words.
        still: the caption is of a single frame.
        false: how many false captions.
    """
    _, said = say_something(scene, rng, still=still)
    pick = tuple(rng.random(6))
    options = stated(scene, said)
    wrong: list[str] = []
    for k in range(false):
        fact = options[int(rng.integers(len(options)))]
        swap = k == 0 and fact == "color" and len({s.color for s in scene.sprites}) > 1
        if swap and rng.random() < 0.5:
            first, second = scene.sprites
            pair = (replace(first, color=second.color), replace(second, color=first.color))
            other = replace(scene, sprites=pair)
        else:
            choices = variants(scene, fact, int(rng.integers(len(scene.sprites))))
            other = choices[int(rng.integers(len(choices)))]
        wrong.append(caption(other, said, pick))
    return caption(scene, said, pick), wrong, said

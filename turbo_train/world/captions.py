"""The caption grammar: facts of a scene to English, with paraphrases and with facts left unsaid."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from turbo_train.world.facts import Scene, Sprite

ACTION_PHRASES: Mapping[str, tuple[str, ...]] = {
    "moving left": ("moving left", "moving to the left", "going left"),
    "moving right": ("moving right", "moving to the right", "going right"),
    "moving up": ("moving up", "moving upward", "rising"),
    "moving down": ("moving down", "moving downward", "falling"),
    "bouncing": ("bouncing", "bouncing up and down", "jumping up and down"),
    "spinning": ("spinning", "rotating", "turning around"),
    "growing": ("growing", "getting bigger", "growing larger"),
    "shrinking": ("shrinking", "getting smaller"),
    "orbiting": ("orbiting", "moving in a circle", "circling around"),
    "standing still": ("standing still", "not moving", "staying still"),
}
SCENE_PHRASES: Mapping[str, tuple[str, ...]] = {
    "beach": ("on a beach", "at the beach"),
    "forest": ("in a forest", "in the forest"),
    "desert": ("in a desert", "in the desert"),
    "night sky": ("in the night sky", "in a night sky"),
    "snow field": ("on a snow field", "in a snow field"),
    "city": ("in a city", "in the city"),
    "ocean": ("in the ocean", "on the ocean"),
    "meadow": ("in a meadow", "on a meadow"),
}
STYLE_PHRASES: Mapping[str, tuple[str, ...]] = {
    "cartoon": ("cartoon style", "in cartoon style"),
    "pixel art": ("pixel art", "in pixel art style"),
    "black and white": ("black and white", "in black and white"),
    "watercolor": ("watercolor painting", "in watercolor style"),
    "neon": ("neon style", "in neon style"),
}
CAMERA_PHRASES: Mapping[str, tuple[str, ...]] = {
    "static": ("static camera", "the camera is still"),
    "pan left": ("pan left", "the camera pans left"),
    "pan right": ("pan right", "the camera pans right"),
    "zoom in": ("zoom in", "the camera zooms in"),
    "zoom out": ("zoom out", "the camera zooms out"),
    "shaking": ("with an intense shaking effect", "the camera shakes"),
}


@dataclass(frozen=True, slots=True)
class Said:
    """Which facts a caption states. What is not said is free in the picture."""

    sprites: bool = True
    colors: bool = True
    action: bool = True
    scene: bool = True
    style: bool = True
    camera: bool = True
    relation: bool = True


def article(noun: str) -> str:
    """`noun` with a or an before it."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _noun(sprite: Sprite, said: Said) -> str:
    return article(f"{sprite.color} {sprite.shape}" if said.colors else sprite.shape)


def _subject(scene: Scene, said: Said) -> str:
    nouns = [_noun(sprite, said) for sprite in scene.sprites]
    if len(nouns) == 1:
        return nouns[0]
    return f"{nouns[0]} {scene.relation} {nouns[1]}" if said.relation else " and ".join(nouns)


def caption(scene: Scene, said: Said, pick: Sequence[float] = (0.0,) * 6) -> str:
    """Write `scene` as English; `pick` are six numbers in [0, 1) that choose the paraphrases."""

    def phrase(options: tuple[str, ...], which: int) -> str:
        return options[int(pick[which] * len(options))]

    parts: list[str] = []
    if said.sprites:
        parts.append(_subject(scene, said))
        if said.action:
            verb = phrase(ACTION_PHRASES[scene.action], 0)
            # "a person is spinning" and "a person spinning" are both usual.
            linking = "" if len(scene.sprites) > 1 or pick[4] < 0.5 else "is "
            parts[-1] += f" {linking}{verb}" if len(scene.sprites) == 1 else f", {verb}"
        if said.scene:
            parts[-1] += f" {phrase(SCENE_PHRASES[scene.scene], 1)}"
    elif said.scene:
        parts.append(article(scene.scene) if pick[1] < 0.7 else scene.scene)
    if said.style:
        parts.append(phrase(STYLE_PHRASES[scene.style], 2))
    if said.camera:
        parts.append(phrase(CAMERA_PHRASES[scene.camera], 3))
    text = ", ".join(parts)
    return text[:1].upper() + text[1:] if pick[5] < 0.3 else text


def random_said(scene: Scene, rng: np.random.Generator) -> Said:
    """Choose which facts of `scene` a training caption states."""
    chance = rng.random(7)
    # The colours of a black-and-white clip cannot be seen, so no caption names them.
    seen = scene.style != "black and white"
    said = Said(
        sprites=chance[0] < 0.95,
        colors=bool(seen and chance[1] < 0.75),
        action=chance[2] < (0.8 if len(scene.sprites) == 1 else 0.5),
        scene=chance[3] < 0.7,
        style=chance[4] < (0.25 if scene.style == "cartoon" else 0.9),
        camera=chance[5] < (0.2 if scene.camera == "static" else 0.85),
        relation=chance[6] < 0.65,
    )
    if not said.sprites and not said.scene:
        return Said(sprites=False, style=said.style, camera=said.camera)
    return said


def random_caption(scene: Scene, rng: np.random.Generator) -> tuple[str, Said]:
    """A training caption of `scene` and the facts that it states."""
    said = random_said(scene, rng)
    return caption(scene, said, tuple(rng.random(6))), said

"""Rendered clips with the prompts they answer, one kind a dimension: what a perfect model makes."""

from typing import Any

import numpy as np

from turbo_eval.core.errors import unknown
from turbo_eval.core.records import Prompt
from turbo_eval.metrics.normalise import DIMENSIONS
from turbo_train.world.captions import STYLE_PHRASES, Said, article, caption
from turbo_train.world.facts import (
    ACTIONS,
    CAMERAS,
    COLORS,
    RELATIONS,
    SCENES,
    SHAPES,
    STYLES,
    Scene,
)
from turbo_train.world.sample import sample_scene

SEED = 710


def _pinned(dimension: str, k: int) -> dict[str, object]:
    """The facts that the dimension's prompts ask for; neighbours in k differ in them."""
    one: dict[str, object] = {"shapes": (SHAPES[k % 10],)}
    plain: dict[str, object] = {"style": "cartoon", "camera": "static"}
    match dimension:
        case "temporal_flickering":
            return {**one, **plain, "action": "standing still"}
        case "subject_consistency" | "dynamic_degree" | "motion_smoothness":
            return {**one, **plain, "action": ACTIONS[k % 9]}
        case "object_class":
            return one
        case "color":
            return {**one, "colors": (COLORS[k % 8],), "style": "cartoon"}
        case "multiple_objects":
            return {"shapes": (SHAPES[k % 10], SHAPES[(k * 3 + 1 + (k % 10 == 7)) % 10])}
        case "spatial_relationship":
            return {"relation": RELATIONS[k % 4]}
        case "human_action":
            return {"shapes": ("person",), "action": ACTIONS[k % 10]}
        case "scene" | "background_consistency":
            return {"scene": SCENES[k % 8]}
        case "appearance_style":
            return {**one, "style": STYLES[k % 5]}
        case "temporal_style":
            return {**one, "camera": CAMERAS[1 + k % 5], "style": "cartoon"}
        case _:
            return {}


def example(dimension: str, k: int) -> tuple[Scene, Prompt]:
    """Scene and prompt number `k` of a dimension; the same numbers give the same example.

    Raises:
        UsageError: No such dimension.
    """
    if dimension not in DIMENSIONS:
        raise unknown("dimension", dimension, DIMENSIONS)
    rng = np.random.default_rng([SEED, DIMENSIONS.index(dimension), k])
    scene = sample_scene(rng, **_pinned(dimension, k))  # type: ignore[arg-type]
    text, facts = _words(dimension, scene)
    prompt = Prompt(f"{dimension}-{k}", text, (dimension,), facts, "mini-examples", k)
    return scene, prompt


def _words(dimension: str, scene: Scene) -> tuple[str, dict[str, Any]]:
    first = scene.sprites[0]
    noun = article(first.shape)
    match dimension:
        case "object_class":
            return noun, {dimension: {"object": first.shape}}
        case "color":
            facts = {"color": first.color, "object": first.shape}
            return article(f"{first.color} {first.shape}"), {dimension: facts}
        case "multiple_objects":
            second = scene.sprites[1].shape
            both = {"object": f"{first.shape} and {second}"}
            return f"{noun} and {article(second)}", {dimension: both}
        case "spatial_relationship":
            second = scene.sprites[1].shape
            facts = {
                "object_a": first.shape,
                "object_b": second,
                "relationship": str(scene.relation),
            }
            text = f"{noun} {scene.relation} {article(second)}"
            return text, {dimension: {dimension: facts}}
        case "human_action":
            return f"A person is {scene.action}", {dimension: {"action": scene.action}}
        case "scene":
            return article(scene.scene), {dimension: {dimension: {dimension: scene.scene}}}
        case "appearance_style":
            text = f"{noun}, {STYLE_PHRASES[scene.style][0]}"
            return text, {dimension: {dimension: scene.style}}
        case "temporal_style":
            said = Said(action=False, style=False)
            return caption(scene, said), {}
        case _:
            said = Said(
                colors=scene.style != "black and white",
                style=scene.style != "cartoon",
                camera=scene.camera != "static",
            )
            return caption(scene, said), {}

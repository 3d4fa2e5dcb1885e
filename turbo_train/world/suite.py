"""Write `prompts/mini/`: the mini world's prompt suite in VBench's schema, all 16 dimensions.

The prompts come from the caption grammar and a fixed seed. Where a prompt states enough facts to be
held out (see `sample.held_out`), only held-out combinations are taken, so the suite asks for
pictures that no model of the mini world was trained on.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from turbo_train.world.captions import (
    CAMERA_PHRASES,
    SCENE_PHRASES,
    STYLE_PHRASES,
    Said,
    article,
    caption,
)
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
from turbo_train.world.sample import held_out, sample_scene

SEED = 20_261_122
FILE = "mini_full_info.json"
Entry = dict[str, Any]


TRIES = 400


class NoSuchSceneError(Exception):
    """None of the scenes with the wanted facts is held out: the entry is left out."""


def _draw(rng: np.random.Generator, accept: Callable[[Scene], bool], **fixed: object) -> Scene:
    for _ in range(TRIES):
        scene = sample_scene(rng, **fixed)  # type: ignore[arg-type]
        if accept(scene):
            return scene
    raise NoSuchSceneError


def _phrases(rng: np.random.Generator) -> tuple[float, ...]:
    return (*rng.random(4), 0.9, 0.9)


def _still(rng: np.random.Generator, k: int) -> Entry:
    scene = _draw(
        rng,
        held_out,
        shapes=(SHAPES[k % 10],),
        action="standing still",
        camera="static",
        style="cartoon",
        scene=SCENES[k % 8],
    )
    said = Said(style=False)
    return {"prompt_en": caption(scene, said, _phrases(rng)), "dimension": ["temporal_flickering"]}


def _objects(_rng: np.random.Generator, k: int) -> Entry:
    first, second = SHAPES[k % 10], SHAPES[(k * 3 + 1 + k // 10) % 10]
    if first == second:
        second = SHAPES[(SHAPES.index(second) + 1) % 10]
    return {
        "prompt_en": f"{article(first)} and {article(second)}",
        "dimension": ["multiple_objects"],
        "auxiliary_info": {"multiple_objects": {"object": f"{first} and {second}"}},
    }


def _person(rng: np.random.Generator, k: int) -> Entry:
    action = ACTIONS[k % 10]
    if k < len(ACTIONS):
        text = f"A person is {action}"
    else:
        color = COLORS[int(rng.integers(len(COLORS)))]
        text = f"{article(color).capitalize()} person is {action}"
    return {
        "prompt_en": text,
        "dimension": ["human_action"],
        "auxiliary_info": {"human_action": {"action": action}},
    }


def _moving(rng: np.random.Generator, k: int) -> Entry:
    scene = _draw(
        rng,
        held_out,
        shapes=(SHAPES[(k * 7) % 10],),
        action=ACTIONS[k % 9],
        style="cartoon",
        camera="static",
        scene=SCENES[(k * 3) % 8],
    )
    return {
        "prompt_en": caption(scene, Said(style=False, camera=False), _phrases(rng)),
        "dimension": ["subject_consistency", "dynamic_degree", "motion_smoothness"],
    }


def _object(rng: np.random.Generator, k: int) -> Entry:
    shape = SHAPES[k % 10]
    scene = SCENE_PHRASES[SCENES[int(rng.integers(8))]][0]
    return {
        "prompt_en": article(shape) if k < len(SHAPES) else f"{article(shape)} {scene}",
        "dimension": ["object_class"],
        "auxiliary_info": {"object_class": {"object": shape}},
    }


def _color(_rng: np.random.Generator, k: int) -> Entry:
    color, shape = COLORS[k % 8], SHAPES[(k * 3 + k // 8) % 10]
    return {
        "prompt_en": article(f"{color} {shape}"),
        "dimension": ["color"],
        "auxiliary_info": {"color": {"color": color, "object": shape}},
    }


def _style(_rng: np.random.Generator, k: int) -> Entry:
    style = STYLES[k % 5]
    scene = SCENE_PHRASES[SCENES[(k * 3) % 8]][0]
    return {
        "prompt_en": f"{article(SHAPES[(k * 3) % 10])} {scene}, {STYLE_PHRASES[style][0]}",
        "dimension": ["appearance_style"],
        "auxiliary_info": {"appearance_style": {"appearance_style": style}},
    }


def _camera(_rng: np.random.Generator, k: int) -> Entry:
    camera = CAMERAS[1 + k % 5]
    noun = article(f"{COLORS[k % 8]} {SHAPES[(k * 7 + 2) % 10]}")
    scene = SCENE_PHRASES[SCENES[(k * 5 + 1) % 8]][0]
    phrase = CAMERA_PHRASES[camera][k // 5 % 2]
    return {"prompt_en": f"{noun} {scene}, {phrase}", "dimension": ["temporal_style"]}


def _overall(rng: np.random.Generator, k: int) -> Entry:
    pair = k % 4 == 3
    fixed: dict[str, object] = {"relation": RELATIONS[k // 4 % 4]} if pair else {}
    if not pair:
        fixed["shapes"] = (SHAPES[(k * 3) % 10],)
        fixed["action"] = ACTIONS[(k * 7 + 2) % 10]
    scene = _draw(rng, lambda s: held_out(s) and s.style != "black and white", **fixed)
    said = Said(style=scene.style != "cartoon", camera=scene.camera != "static", action=not pair)
    return {
        "prompt_en": caption(scene, said, _phrases(rng)),
        "dimension": ["overall_consistency", "aesthetic_quality", "imaging_quality"],
    }


def _scenery(_rng: np.random.Generator, k: int) -> Entry:
    scene = SCENES[k % 8]
    text = article(scene)
    if k >= len(SCENES):
        noun = article(f"{COLORS[(k * 3) % 8]} {SHAPES[(k * 7) % 10]}")
        text = f"{noun} {SCENE_PHRASES[scene][k // 8 % 2]}"
    return {
        "prompt_en": text,
        "dimension": ["scene", "background_consistency"],
        "auxiliary_info": {"scene": {"scene": {"scene": scene}}},
    }


def _relation(rng: np.random.Generator, k: int) -> Entry:
    scene = _draw(rng, lambda s: s.relation is not None and held_out(s), relation=RELATIONS[k % 4])
    first, second = (sprite.shape for sprite in scene.sprites)
    return {
        "prompt_en": f"{article(first)} {scene.relation} {article(second)}",
        "dimension": ["spatial_relationship"],
        "auxiliary_info": {
            "spatial_relationship": {
                "spatial_relationship": {
                    "object_a": first,
                    "object_b": second,
                    "relationship": scene.relation,
                }
            }
        },
    }


BLOCKS: tuple[tuple[int, Callable[[np.random.Generator, int], Entry]], ...] = (
    (14, _still),
    (16, _objects),
    (20, _person),
    (18, _moving),
    (20, _object),
    (16, _color),
    (15, _style),
    (15, _camera),
    (16, _overall),
    (16, _scenery),
    (20, _relation),
)


def entries() -> Iterator[Entry]:
    """Every entry of the suite in order; no text occurs twice."""
    seen: set[str] = set()
    for number, (count, make) in enumerate(BLOCKS):
        rng = np.random.default_rng([SEED, number])
        made = k = 0
        while made < count:
            k += 1
            try:
                entry = make(rng, k - 1)
            except NoSuchSceneError:
                continue
            if entry["prompt_en"].lower() not in seen:
                seen.add(entry["prompt_en"].lower())
                made += 1
                yield entry


def write(folder: Path) -> int:
    """Write the suite and its manifest into `folder`; returns the number of prompts."""
    found = list(entries())
    data = (json.dumps(found, indent=1, ensure_ascii=False) + "\n").encode()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_bytes(data)
    (folder / "manifest.toml").write_text(
        "# Written by `turbo-train world suite`; do not edit by hand.\n"
        'name = "mini"\n'
        'title = "Mini world: all 16 VBench dimensions in a synthetic world"\n'
        'source = "turbo_train/world/suite.py"\n'
        'licence = "Apache-2.0"\n'
        f"count = {len(found)}\n"
        f'sha256 = "{hashlib.sha256(data).hexdigest()}"\n',
        encoding="utf-8",
    )
    return len(found)

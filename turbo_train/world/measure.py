"""How good is a text-to-video system of the mini world? Read its clips with the judges."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from turbo_eval.core.store import write_json_atomic
from turbo_eval.models.mini import CARD, MiniTextToVideo, read_card
from turbo_eval.models.protocol import Sampler
from turbo_train.world.captions import Said, caption
from turbo_train.world.reading import measure_teacher
from turbo_train.world.stream import Item, item

BATCH = 16


def held_out_prompts(seed: int, count: int) -> list[Item]:
    """Held-out items whose captions name the shapes, the colours, the action and the scene."""
    found: list[Item] = []
    for k in range(count):
        scene = item(seed, k, held=True).scene
        rng = np.random.default_rng([seed, k, 9])
        pair = len(scene.sprites) > 1
        said = Said(
            colors=scene.style != "black and white",
            style=scene.style != "cartoon",
            camera=scene.camera != "static",
            action=True,
            relation=pair,
        )
        found.append(Item(scene, caption(scene, said, tuple(rng.random(6))), said))
    return found


def measure(
    folder: Path,
    *,
    prompts: int,
    steps: int,
    guidance: float | None,
    seed: int,
    save: bool,
    say: Callable[[str], None],
    dtype: str = "float32",
) -> dict[str, Any]:
    """Draw one clip per held-out prompt, read it, and compare with what the prompt states.

    Args:
        folder: A packaged system.
        prompts: How many held-out prompts.
        steps: DDIM steps.
        guidance: Guidance scale; the system's own when None.
        seed: Stream of the prompts and first noise seed.
        save: Write the result into the system's card.
        say: Where a line of progress goes.
        dtype: Number format of the networks.
    """
    model = MiniTextToVideo("mini-teacher", folder, device="cpu", dtype=dtype)
    scale = model.info.guidance if guidance is None else guidance
    items = held_out_prompts(seed, prompts)
    clips = []
    started = time.monotonic()
    for start in range(0, prompts, BATCH):
        chunk = items[start : start + BATCH]
        noise = [seed * 100_000 + start + k for k in range(len(chunk))]
        sampler = Sampler(steps=steps, guidance=scale)
        clips.append(model.generate([entry.caption for entry in chunk], noise, sampler))
        say(f"drawn {start + len(chunk)} of {prompts}")
    result = {
        "prompts": prompts,
        "steps": steps,
        "guidance": scale,
        "seed": seed,
        "seconds": round(time.monotonic() - started, 1),
        **measure_teacher(np.concatenate(clips), [i.scene for i in items], [i.said for i in items]),
    }
    if save:
        card = read_card(folder)
        card["measured"] = result
        write_json_atomic(folder / CARD, json.loads(json.dumps(card)))
    return result

"""The endless stream of the mini world: item `index` of stream `seed` is always the same."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from turbo_train.world.captions import Said, random_caption
from turbo_train.world.facts import FRAMES, Scene
from turbo_train.world.render import render
from turbo_train.world.sample import held_out_scene, training_scene


@dataclass(frozen=True, slots=True)
class Item:
    """One item of the stream: the facts, the words, and (rendered on demand) the clip."""

    scene: Scene
    caption: str
    said: Said

    def clip(self) -> NDArray[np.uint8]:
        """The rendered clip: uint8 [T, 64, 64, 3]."""
        return render(self.scene)


def item(seed: int, index: int, *, frames: int = FRAMES, held: bool = False) -> Item:
    """Item `index` of stream `seed`; with `held` only held-out combinations, else none of them."""
    rng = np.random.default_rng([seed, index, int(held)])
    scene = held_out_scene(rng, frames=frames) if held else training_scene(rng, frames=frames)
    text, said = random_caption(scene, rng)
    return Item(scene, text, said)

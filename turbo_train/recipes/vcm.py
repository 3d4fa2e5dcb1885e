"""VCM: consistency distillation of a video teacher and nothing else (arXiv 2312.09109)."""

import torch

from turbo_train.data.batch import Batch
from turbo_train.recipes.common import Losses, Parts, distil, draw


def step(parts: Parts, batch: Batch, generator: torch.Generator) -> Losses:
    """The distance between both sides of one solver interval."""
    _, _, loss = distil(parts, draw(parts, batch, generator))
    return {"distillation": loss}

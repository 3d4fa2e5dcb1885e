"""DRaFT-1: reward fine-tuning through the last step of a full sampling chain, a baseline.

Source: DRaFT (arXiv 2309.17400), with K = 1.
"""

import torch

from turbo_train.data.batch import Batch
from turbo_train.recipes.common import Losses, Parts, last_step, latents_of
from turbo_train.recipes.instructvideo import chain_times
from turbo_train.rewards import reward_losses


def step(parts: Parts, batch: Batch, generator: torch.Generator) -> Losses:
    """Minus the scaled rewards of clips that were sampled from noise."""
    settings, chosen = parts.config.chain, parts.terms.settings
    shape = latents_of(parts, batch)[: chosen.clips].shape
    said = batch.captions[: chosen.clips]
    sample = torch.randn(shape, generator=generator).to(parts.device)
    text = parts.teacher.encode_text(said)
    clean = last_step(parts, sample, chain_times(settings.steps, 1.0), text)
    return reward_losses(parts.terms, clean, said, parts.teacher.decode, generator)

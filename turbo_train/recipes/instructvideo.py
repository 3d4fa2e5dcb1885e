"""InstructVideo: reward fine-tuning as editing, a baseline that T2V-Turbo argues against.

A real clip is noised part of the way, sampled back, and the gradient of the reward goes through
the last step only. One frame of each segment is read, those near the middle counting most.

Source: InstructVideo (arXiv 2312.12490).
"""

import torch

from turbo_train.consistency import add_noise
from turbo_train.data.batch import Batch
from turbo_train.recipes.common import Losses, Parts, last_step, latents_of
from turbo_train.rewards import weighted_frames


def chain_times(steps: int, start: float, *, train_steps: int = 1000) -> list[int]:
    """Timesteps of a DDIM chain of `steps` that begins at the share `start`, falling to 0."""
    spacing = train_steps // steps
    upper = max(1, round(steps * start))
    return [spacing * (k + 1) - 1 for k in range(upper)][::-1]


def step(parts: Parts, batch: Batch, generator: torch.Generator) -> Losses:
    """Minus the scaled rewards of clips that were edited by a partial chain."""
    settings, chosen = parts.config.chain, parts.terms.settings
    clean = latents_of(parts, batch)[: chosen.clips]
    said = list(batch.captions[: chosen.clips])
    text = parts.teacher.encode_text(said)
    times = chain_times(settings.steps, settings.start)
    noise = torch.randn(clean.shape, generator=generator).to(parts.device)
    first = torch.full((len(clean),), times[0], device=parts.device)
    sample = add_noise(clean, noise, first, parts.run.alphas_cumprod)
    edited = last_step(parts, sample, times, text)
    frames, weights = weighted_frames(
        edited.shape[2], settings.segments, settings.attenuation, generator
    )
    seen = edited[:, :, frames.to(parts.device)].permute(0, 2, 1, 3, 4)
    pictures = parts.teacher.decode(seen.flatten(0, 1))
    texts = [caption for caption in said for _ in frames]
    losses: Losses = {}
    for name, model in parts.terms.image.items():
        scores = model.score(pictures, texts).float().unflatten(0, seen.shape[:2])
        mean = (scores * weights.to(scores.device)).sum(1).mean()
        losses[f"reward/{name}"] = -mean * chosen.image[name]
    return losses

"""T2V-Turbo v2: the teacher's step is steered by the motion of the training clip.

Source: T2V-Turbo-v2 (arXiv 2410.05677), section 3. Theirs trains all weights; ours, like every
recipe here, trains a LoRA.
"""

import torch
from torch import Tensor

from turbo_eval.models.guidance import GUIDANCE_DIM
from turbo_train.consistency import guidance_embedding
from turbo_train.data.batch import Batch
from turbo_train.motion import effective_scale, guide_noise, invert, motion_score, temporal_layers
from turbo_train.recipes.common import Draw, Losses, Parts, distil, draw, rewarded
from turbo_train.student import as_teacher


def step(parts: Parts, batch: Batch, generator: torch.Generator) -> Losses:
    """Distillation towards the motion-guided teacher, minus the scaled rewards."""
    drawn = draw(parts, batch, generator)
    settings = parts.config.motion
    scale = effective_scale(
        drawn.index,
        torch.ones_like(drawn.index, dtype=torch.bool),
        num_steps=parts.run.solver.num_steps,
        scale=settings.scale,
        percentage=settings.percentage,
    )
    motion = guidance_embedding(scale.cpu(), GUIDANCE_DIM).to(parts.device)

    def change_noise(noisy: Tensor, noise: Tensor) -> Tensor:
        return _steer(parts, drawn, scale, noisy, noise)

    prediction, _, loss = distil(
        parts,
        drawn,
        embedding=torch.cat([drawn.embedding, motion], dim=1),
        change_noise=change_noise,
    )
    return {"distillation": loss, **rewarded(parts, prediction.model_pred, batch, generator)}


def _steer(parts: Parts, drawn: Draw, scale: Tensor, noisy: Tensor, noise: Tensor) -> Tensor:
    """Guided noise, moved towards the clip's motion where guidance is on."""
    active = scale.nonzero().flatten().tolist()
    score = torch.zeros_like(noise)
    unet = parts.teacher.unet
    # A compiled network does not see that its attention is exchanged, so it is called as it is.
    teacher = as_teacher(unet.forward if parts.config.accelerator.compile else unet)
    layers = temporal_layers(parts.teacher.unet)
    for k in active:
        one = slice(k, k + 1)
        text, empty = drawn.text[one], drawn.empty[one]
        at = parts.run.start(drawn.index[one])

        def to_noise(latents: Tensor, times: Tensor, empty: Tensor = empty) -> Tensor:
            return parts.run.noise(teacher(latents, times, empty), latents, times)

        def at_start(latents: Tensor, times: Tensor = at, text: Tensor = text) -> Tensor:
            return teacher(latents, times, text)

        reference = invert(to_noise, parts.run.solver, drawn.latents[one], int(drawn.index[k]) + 1)[
            -1
        ].to(noisy.dtype)
        score[one] = motion_score(at_start, layers, noisy[one], reference)[0]
    start = parts.run.start(drawn.index)
    return guide_noise(noise, score, scale, start, parts.run.alphas_cumprod)

"""What every recipe is given, and the pieces that several share."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from turbo_eval.models.guidance import GUIDANCE_DIM
from turbo_train import student as students
from turbo_train.config import RecipeName, TrainConfig
from turbo_train.consistency import guidance_embedding, l2, pseudo_huber
from turbo_train.data.batch import Batch
from turbo_train.distil import Distillation, Prediction, Target, make_target, predict
from turbo_train.rewards import RewardTerms, reward_losses
from turbo_train.solver import DDIMSolver
from turbo_train.teachers import TeacherParts

Losses = dict[str, Tensor]
"""Name -> scalar with a gradient; their sum is what is minimised."""


@dataclass(slots=True)
class Parts:
    """Everything a step needs beside its batch.

    Attributes:
        config: The run's settings.
        teacher: Frozen parts.
        network: The student as the loop calls it (wrapped for several processes).
        plain: The student itself, for calls without a gradient.
        run: Schedule and solver.
        terms: The rewards.
        empty_text: Hidden states of the empty caption [1, L, D].
        average: Averaged LoRA for the target, or None.
        rank, world: Which of how many processes this is.
    """

    config: TrainConfig
    teacher: TeacherParts
    network: nn.Module
    plain: nn.Module
    run: Distillation
    terms: RewardTerms
    empty_text: Tensor
    average: list[Tensor] | None = None
    rank: int = 0
    world: int = 1

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return self.empty_text.device


class Recipe(Protocol):
    """One step: losses of a batch. Everything random comes from `generator` (on the CPU)."""

    def __call__(self, parts: Parts, batch: Batch, generator: torch.Generator) -> Losses:
        """Losses of one batch; their sum is minimised."""
        ...


def get(name: RecipeName) -> Recipe:
    """The step function of a recipe."""
    return cast("Recipe", importlib.import_module(f"turbo_train.recipes.{name}").step)


def distillation(teacher: TeacherParts, config: TrainConfig) -> Distillation:
    """Schedule and solver of a run on the teacher's device."""
    table = teacher.alphas_cumprod
    solver = DDIMSolver(table, config.consistency.solver_steps).to(table.device)
    return Distillation(
        table, solver, teacher.prediction_type, round_table=config.compat == "authors"
    )


@dataclass(frozen=True, slots=True)
class Draw:
    """A batch with everything random of its step, on the device."""

    latents: Tensor
    noise: Tensor
    index: Tensor
    w: Tensor
    embedding: Tensor
    text: Tensor
    empty: Tensor


def latents_of(parts: Parts, batch: Batch) -> Tensor:
    """Scaled clean latents [B, C, F, h, w] of a batch, encoded where it holds pixels."""
    if batch.latents is not None:
        return batch.latents.to(parts.device, torch.float32)
    assert batch.pixels is not None
    encoded: Tensor = parts.teacher.encode(batch.pixels)
    return encoded


def draw(parts: Parts, batch: Batch, generator: torch.Generator) -> Draw:
    """Draw noise, interval and guidance scale of every clip of a batch."""
    settings, device = parts.config.consistency, parts.device
    latents = latents_of(parts, batch)
    count = len(latents)
    noise = torch.randn(latents.shape, generator=generator)
    index = torch.randint(0, settings.solver_steps, (count,), generator=generator)
    span = settings.w_max - settings.w_min
    w = span * torch.rand(count, generator=generator) + settings.w_min
    text = parts.teacher.encode_text(batch.captions)
    return Draw(
        latents=latents,
        noise=noise.to(device),
        index=index.to(device),
        w=w.to(device),
        embedding=guidance_embedding(w, GUIDANCE_DIM).to(device),
        text=text,
        empty=parts.empty_text.expand_as(text),
    )


def distil(
    parts: Parts,
    drawn: Draw,
    *,
    embedding: Tensor | None = None,
    change_noise: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> tuple[Prediction, Target, Tensor]:
    """Both sides of consistency distillation and their distance.

    Args:
        parts: See `Parts`.
        drawn: See `draw`.
        embedding: In place of the guidance embedding alone (v2).
        change_noise: (z_t, guided noise) -> guided noise (v2).
    """
    guidance = drawn.embedding if embedding is None else embedding
    settings = parts.config.consistency
    prediction = predict(
        students.as_student(parts.network),
        parts.run,
        drawn.latents,
        drawn.noise,
        drawn.index,
        drawn.text,
        guidance,
    )
    noisy = prediction.noisy.detach()
    with (
        students.averaged(parts.plain, parts.average),
        students.resting(parts.plain, parts.config.lora.dropout),
    ):
        target = make_target(
            students.as_teacher(parts.teacher.unet),
            students.as_student(parts.plain),
            parts.run,
            noisy,
            drawn.index,
            drawn.text,
            drawn.empty,
            drawn.w,
            guidance,
            change_noise=None if change_noise is None else lambda eps: change_noise(noisy, eps),
        )
    if settings.loss == "huber":
        loss = pseudo_huber(prediction.model_pred, target.target, settings.huber_c)
    else:
        loss = l2(prediction.model_pred, target.target)
    return prediction, target, loss


def video_share(parts: Parts) -> tuple[bool, bool, float]:
    """Who does what: (distils and image rewards, video rewards, factor on the video rewards).

    Ours: every process does everything. The authors' program gives a quarter of the processes the
    video reward alone and the others the rest, so that gradients are weighed 1 : scale : scale / 3.
    With one process the same objective is had by a third of the video scale.
    """
    if parts.config.compat != "authors" or not parts.config.rewards.video:
        return True, True, 1.0
    if parts.world < 4:
        return True, True, 1 / 3
    video_only = parts.rank >= parts.world - parts.world // 4
    return not video_only, video_only, 1.0


def rewarded(parts: Parts, clean: Tensor, batch: Batch, generator: torch.Generator) -> Losses:
    """Losses of the rewards that this process computes, on predicted clean latents."""
    first, video, factor = video_share(parts)
    terms = RewardTerms(
        parts.terms.settings,
        parts.terms.image if first else {},
        parts.terms.video if video else {},
    )
    losses = reward_losses(terms, clean, batch.captions, parts.teacher.decode, generator)
    return {
        name: loss * factor if name.removeprefix("reward/") in terms.video else loss
        for name, loss in losses.items()
    }


def ddim_step(parts: Parts, output: Tensor, sample: Tensor, now: int, then: int) -> Tensor:
    """One deterministic DDIM step between two timesteps; `then` below 0 gives clean latents."""
    at = torch.full((len(sample),), now, device=sample.device)
    original = parts.run.original(output, sample, at)
    if then < 0:
        return original
    noise = parts.run.noise(output, sample, at)
    table: Any = parts.run.alphas_cumprod[then]
    moved: Tensor = table.sqrt() * original + (1 - table).sqrt() * noise
    return moved


def guided(parts: Parts, network: nn.Module, sample: Tensor, t: int, text: Tensor) -> Tensor:
    """A network's prediction with classifier-free guidance in the usual (Imagen) form."""
    scale = parts.config.chain.guidance
    call = students.as_teacher(network)
    at = torch.full((len(sample),), t, device=sample.device)
    if scale == 1:
        return call(sample, at, text)
    both = call(
        torch.cat([sample, sample]),
        torch.cat([at, at]),
        torch.cat([text, parts.empty_text.expand_as(text)]),
    )
    conditional, unconditional = both.chunk(2)
    return unconditional + scale * (conditional - unconditional)


def last_step(parts: Parts, sample: Tensor, times: list[int], text: Tensor) -> Tensor:
    """Run a DDIM chain and return clean latents; only its last step carries a gradient."""
    with torch.no_grad(), students.resting(parts.plain, parts.config.lora.dropout):
        for now, then in zip(times[:-1], times[1:], strict=True):
            output = guided(parts, parts.plain, sample, now, text)
            sample = ddim_step(parts, output, sample, now, then)
    output = guided(parts, parts.network, sample, times[-1], text)
    return ddim_step(parts, output, sample, times[-1], -1)

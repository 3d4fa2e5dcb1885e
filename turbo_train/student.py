"""The student: a teacher's UNet with a guidance projection and LoRA, and nothing else to train."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.resnet import ResnetBlock2D, TemporalConvLayer
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from turbo_eval.models.guidance import GUIDANCE_DIM, add_guidance_projection
from turbo_eval.models.lora import add_lora, lora_parameters, merge, unmerge
from turbo_train import sharding
from turbo_train.config import Lora, RecipeName

HEAVY = (ResnetBlock2D, TemporalConvLayer, BasicTransformerBlock)
"""Blocks that are recomputed, or gathered from shards, one at a time."""
# Baselines sample like their teacher, so guidance is not built into their network.
_WITHOUT_EMBEDDING = ("instructvideo", "draft")


def embedding_width(recipe: RecipeName) -> int | None:
    """Width of the guidance embedding of a recipe's student; None for students without one.

    v2 tells its student the motion guidance scale too. Its two linear projections and the one that
    combines them are together one linear map of both embeddings, so ours is a projection of twice
    the width: the same functions, with one matrix.
    """
    if recipe in _WITHOUT_EMBEDDING:
        return None
    return 2 * GUIDANCE_DIM if recipe == "turbo_v2" else GUIDANCE_DIM


def make_student(unet: nn.Module, recipe: RecipeName, lora: Lora) -> nn.Module:
    """A copy of a teacher's UNet that starts as the teacher and trains only its LoRA.

    Args:
        unet: The teacher's; it stays as it is.
        recipe: Decides about the guidance embedding.
        lora: Rank and dropout. A is drawn from the global generator.

    Returns:
        The student, in train mode so that LoRA dropout acts; the base's own dropout stays off.
    """
    student = copy.deepcopy(unet)
    width = embedding_width(recipe)
    if width is not None:
        add_guidance_projection(student, width)
    add_lora(student, lora.rank, dropout=lora.dropout)
    return student


def train_mode(student: nn.Module, compat: str) -> None:
    """Switch dropout on: in the LoRA branches only, or (`authors`) in the whole network."""
    student.train(compat == "authors")
    if compat != "authors":
        for module in student.modules():
            if hasattr(module, "rate"):
                module.train()


def trainable(student: nn.Module) -> list[nn.Parameter]:
    """The LoRA weights, in float32."""
    weights = lora_parameters(student)
    for weight in weights:
        weight.data = weight.data.float()
    return weights


def as_student(network: nn.Module) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
    """(latents, timesteps, text, guidance embedding) -> prediction, in the latents' format."""

    def call(latents: Tensor, timesteps: Tensor, text: Tensor, guidance: Tensor) -> Tensor:
        output: Tensor = network(latents, timesteps, text, timestep_cond=guidance).sample
        return output.to(latents.dtype)

    return call


def as_teacher(network: Callable[..., Any]) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """(latents, timesteps, text) -> prediction, in the latents' format."""

    def call(latents: Tensor, timesteps: Tensor, text: Tensor) -> Tensor:
        output: Tensor = network(latents, timesteps, text).sample
        return output.to(latents.dtype)

    return call


def save_activations(network: nn.Module) -> None:
    """Recompute the heavy blocks in the backward pass instead of keeping their activations.

    diffusers' UNet for video has no such switch of its own. Blocks that run without a gradient
    are left alone. Outputs and gradients do not change, dropout included.
    """
    for module in network.modules():
        if isinstance(module, HEAVY) and "forward" not in module.__dict__:
            module.__dict__["forward"] = _recomputed(module.forward)


def _recomputed(forward: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(*args, **kwargs)
        return checkpoint(forward, *args, use_reentrant=False, **kwargs)

    return run


@contextmanager
def resting(student: nn.Module, dropout: float) -> Iterator[None]:
    """Merge the LoRA for calls without a gradient, which then cost what the teacher's do.

    Only where no dropout acts in the branches, since a merged layer has none, and where no weight
    is a shard. Afterwards the weights are the same tensors as before, so a backward pass that still
    waits is not disturbed.
    """
    if dropout or sharding.is_sharded(student):
        yield
        return
    originals = merge(student)
    try:
        yield
    finally:
        unmerge(student, originals)


@contextmanager
def averaged(student: nn.Module, average: list[Tensor] | None) -> Iterator[None]:
    """Let the student hold the averaged LoRA for a moment; nothing happens without one."""
    if average is None:
        yield
        return
    if sharding.is_sharded(student):
        with sharding.holding(student, average):
            yield
        return
    weights = lora_parameters(student)
    kept = [weight.data for weight in weights]
    for weight, mean in zip(weights, average, strict=True):
        weight.data = mean
    try:
        yield
    finally:
        for weight, value in zip(weights, kept, strict=True):
            weight.data = value

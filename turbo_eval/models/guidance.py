"""A place for the guidance scale in a teacher's UNet, so that one call does what guidance does."""

import math
from typing import Any

import torch
from diffusers.models.embeddings import TimestepEmbedding
from torch import Tensor, nn

from turbo_eval.core.errors import ConfigError

GUIDANCE_DIM = 256


def add_guidance_projection(unet: nn.Module, dim: int = GUIDANCE_DIM) -> nn.Module:
    """Give a diffusers UNet a projection of the guidance embedding, in place.

    The weight starts at zero, so the network's output is unchanged and a LoRA file that holds the
    projection's pair is complete by itself. (The authors draw it at random, train on top of it and
    do not save it.) A network that has one of this width already is left alone.

    Args:
        unet: A network with a `time_embedding` of diffusers' kind, such as `UNet3DConditionModel`.
        dim: Width of the embedding; see `turbo_eval.models.noise.guidance_embedding`.

    Returns:
        `unet`, whose `forward` now takes `timestep_cond` [B, dim].

    Raises:
        ConfigError: There is no such place, or it has another width.
    """
    network: Any = unet
    old: Any = getattr(network, "time_embedding", None)
    if not isinstance(old, TimestepEmbedding):
        raise ConfigError(
            f"{type(unet).__name__} has no time embedding that takes a guidance scale",
            fix="use a diffusers UNet",
        )
    if old.cond_proj is not None:
        width = int(old.cond_proj.weight.shape[1])
        if width != dim:
            raise ConfigError(f"the guidance projection is {width} wide", why=f"{dim} is asked for")
        return unet
    weight = old.linear_1.weight
    layer = nn.Linear(dim, weight.shape[1], bias=False, device=weight.device, dtype=weight.dtype)
    torch.nn.init.zeros_(layer.weight)
    # Its place among the siblings counts: LoRA lists without names go by the order of modules.
    children = [(name, child) for name, child in old.named_children() if name != "cond_proj"]
    for name, _ in children:
        delattr(old, name)
    del old.cond_proj
    for name, child in children:
        old.add_module(name, child)
        if name == "linear_1":
            old.add_module("cond_proj", layer)
    network.register_to_config(time_cond_proj_dim=dim)
    return unet


def random_projection(shape: tuple[int, ...], seed: int) -> Tensor:
    """A base weight as the authors' program draws it, but from a seed.

    Args:
        shape: (out, in).
        seed: Of the generator.

    Returns:
        float32, uniform in +-1 / sqrt(in), as torch initialises linear layers.
    """
    bound = 1 / math.sqrt(shape[-1])
    drawn: Tensor = torch.rand(shape, generator=torch.Generator().manual_seed(seed))
    return (2 * drawn - 1) * bound

"""Released LoRA lists: [B0, A0, B1, A1, ...] without names, and the order in which they go.

Source: the files that the authors of T2V-Turbo (arXiv 2405.18750) published.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from turbo_eval.core.errors import ConfigError, InputError
from turbo_eval.models.guidance import add_guidance_projection

_KINDS: Final = (nn.Linear, nn.Conv2d, nn.Conv3d)
_COND_PROJ: Final = "time_embedding.cond_proj"


def released_order(model: nn.Module) -> list[str]:
    """Names of the layers that get an adapter, in the order of released lists.

    It is the network's own `released_order()` where it has one (`VideoCrafterUNet`), else the
    order in which the modules were registered, which is right for diffusers' UNet of ModelScopeT2V.

    Args:
        model: A network, with or without adapters.
    """
    own = getattr(model, "released_order", None)
    if callable(own):
        return list(own())
    inner = tuple(f"{name}." for name, module in model.named_modules() if is_adapted(module))
    return [
        name
        for name, module in model.named_modules()
        if name
        and (is_adapted(module) or isinstance(module, _KINDS))
        and not (inner and name.startswith(inner))
    ]


def is_adapted(module: nn.Module) -> bool:
    """Whether a module is a layer with an adapter."""
    return isinstance(module, LoraLayer)


def plain_layer(module: nn.Module) -> Any:
    """The layer itself, below its adapter if it has one."""
    return module.get_base_layer() if isinstance(module, LoraLayer) else module


def layer_rank(weight: Tensor, rank: int) -> int:
    """The rank of a layer's adapter when `rank` is asked for: at most its smaller side."""
    return min(rank, weight.shape[0], weight.shape[1])


def expected_shapes(
    model: nn.Module, rank: int
) -> Iterator[tuple[str, tuple[int, ...], tuple[int, ...]]]:
    """Name, shape of B and shape of A of each adapter, in released order.

    Args:
        model: A network, with or without adapters.
        rank: The rank asked for; narrow layers get less.
    """
    for name in released_order(model):
        weight = plain_layer(model.get_submodule(name)).weight
        low = layer_rank(weight, rank)
        ones = (1,) * (weight.ndim - 2)
        yield name, (weight.shape[0], low, *ones), (low, *weight.shape[1:])


def shape_error(name: str, found: Sequence[int], wanted: Sequence[int]) -> InputError:
    """The error for a tensor that does not fit a layer."""
    return InputError(
        f"LoRA tensor for {name} has shape {tuple(found)}",
        why=f"this network needs {tuple(wanted)}",
        fix="check that the LoRA was trained on this network and that its list is in order",
    )


def as_list(tensors: Sequence[Tensor] | Mapping[str, Tensor]) -> list[Tensor]:
    """A released list as a list; the sorted keys of a mapping give the order."""
    if isinstance(tensors, Mapping):
        return [tensors[key] for key in sorted(tensors)]
    return list(tensors)


def check_released(
    model: nn.Module, tensors: Sequence[Tensor] | Mapping[str, Tensor]
) -> list[tuple[str, Tensor, Tensor]]:
    """Pair a released list with the network's layers.

    Args:
        model: A network, with or without adapters.
        tensors: [B0, A0, ...], or a mapping whose sorted keys give that order.

    Returns:
        Triples of layer, B and A.

    Raises:
        InputError: Wrong number of tensors, something that is no tensor, or a wrong shape: the
            first layer where list and network part is named.
    """
    given = as_list(tensors)
    order = released_order(model)
    if len(given) != 2 * len(order):
        raise InputError(
            f"the LoRA list has {len(given)} tensors",
            why=f"this network needs {2 * len(order)}, two for each of {len(order)} layers",
            fix="check that it was trained on this network",
        )
    for position, tensor in enumerate(given):
        if not isinstance(tensor, Tensor) or tensor.ndim < 2:
            raise InputError(f"entry {position} of the LoRA list is no weight tensor")
    # Layers differ in width, so the largest rank is the one asked for; narrow layers have less.
    rank = max(down.shape[0] for down in given[1::2])
    pairs = []
    for (name, up_shape, down_shape), up, down in zip(
        expected_shapes(model, rank), given[::2], given[1::2], strict=True
    ):
        if tuple(up.shape) != up_shape:
            raise shape_error(f"{name} (up)", up.shape, up_shape)
        if tuple(down.shape) != down_shape:
            raise shape_error(f"{name} (down)", down.shape, down_shape)
        pairs.append((name, up, down))
    return pairs


def merged_weight(weight: Tensor, up: Tensor, down: Tensor) -> Tensor:
    """W + B A, with the kernels of a convolution flattened; in the number format of `weight`."""
    delta = up.float().flatten(1) @ down.float().flatten(1)
    return (weight.float() + delta.reshape(weight.shape)).to(weight.dtype)


@torch.no_grad()
def load_released(unet: nn.Module, tensors: Sequence[Tensor] | Mapping[str, Tensor]) -> nn.Module:
    """Merge a released `unet_lora.pt` into a plain teacher, in place.

    The released lists hold the guidance projection's pair but not its base weight, which the
    authors drew at random and did not save. A teacher without the projection gets one of zeros
    first; one that has it keeps its base weight.

    Args:
        unet: `VideoCrafterUNet` or diffusers' `UNet3DConditionModel`, without adapters.
        tensors: [B0, A0, B1, A1, ...] in the authors' order.

    Returns:
        `unet` with merged weights and no adapters.

    Raises:
        InputError: The list does not fit; see `check_released`. The weights are unchanged then.
    """
    given = as_list(tensors)
    missing = _missing_projection(unet)
    if missing is not None and len(given) == 2 * (len(released_order(unet)) + 1):
        pair = given[2 * missing + 1]
        if isinstance(pair, Tensor) and pair.ndim == 2:
            add_guidance_projection(unet, int(pair.shape[1]))
    for name, up, down in check_released(unet, given):
        weight = unet.get_submodule(name).weight
        if not isinstance(weight, nn.Parameter):
            raise ConfigError(f"{name} has no weight to merge into")
        weight.data = merged_weight(weight.data, up.to(weight.device), down.to(weight.device))
    return unet


def _missing_projection(unet: nn.Module) -> int | None:
    """Where in the list the pair of the guidance projection would stand; None if it is there."""
    order = released_order(unet)
    if _COND_PROJ in order:
        return None
    for before in ("time_embedding.fps_embedding.linear_2", "time_embedding.linear_1"):
        if before in order:
            return order.index(before) + 1
    return None

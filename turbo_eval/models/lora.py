"""Low-rank adapters with the semantics of T2V-Turbo, on top of peft's layers.

y = W x + dropout(B A x): no alpha / rank factor, dropout on the branch's output and none in 3-D
convolutions, A drawn from N(0, 1 / rank), B zero, rank at most the smaller side of the layer. Every
linear layer and every 2-D and 3-D convolution has one (for VideoCrafter2 except for two layers that
its own tree holds as 1-D convolutions). A released file is a list [B0, A0, B1, A1, ...] without
names; `released_order` is the order in which it goes through the network.

Source: T2V-Turbo (arXiv 2405.18750), section 4, and the authors' published files.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor, nn
from torch.nn import functional as F

from turbo_eval.core.errors import ConfigError, InputError, UsageError
from turbo_eval.models.lora_released import (
    check_released,
    expected_shapes,
    is_adapted,
    layer_rank,
    load_released,
    merged_weight,
    plain_layer,
    released_order,
    shape_error,
)

__all__ = [
    "DROPOUT",
    "adapted",
    "add_lora",
    "check_released",
    "expected_shapes",
    "load_list",
    "load_named_lora",
    "load_released",
    "lora_parameters",
    "merge",
    "merged_weight",
    "named_lora",
    "released_order",
    "unmerge",
    "without_adapters",
]

DROPOUT: Final = 0.1
_ADAPTER: Final = "default"


class _DropoutLinear(nn.Linear):
    """The up projection of a linear layer; dropout acts on what it returns."""

    rate: float

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(super().forward(x), self.rate, self.training)


class _DropoutConv2d(nn.Conv2d):
    """The up projection of a 2-D convolution; dropout acts on what it returns."""

    rate: float

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(super().forward(x), self.rate, self.training)


def add_lora(model: nn.Module, rank: int, *, dropout: float = DROPOUT) -> nn.Module:
    """Freeze a network and give every layer of `released_order` a trainable adapter, in place.

    Its output is unchanged at first, since every B is zero. A is drawn from the global generator.

    Args:
        model: A network without adapters.
        rank: T2V-Turbo uses 64 for VideoCrafter2 and 32 for ModelScopeT2V.
        dropout: On the branches of linear layers and 2-D convolutions, in train mode.

    Returns:
        `model`; only its adapters (`lora_parameters`) require gradients.

    Raises:
        UsageError: `rank` or `dropout` is out of range.
        ConfigError: The network has adapters already, or a layer that none is defined for.
    """
    if rank < 1:
        raise UsageError(f"LoRA rank {rank}", fix="choose 1 or more")
    if not 0 <= dropout < 1:
        raise UsageError(f"LoRA dropout {dropout}", fix="choose a value from 0 to below 1")
    if any(is_adapted(module) for module in model.modules()):
        raise ConfigError("the network has LoRA adapters already", fix="merge or remove them first")
    ranks: dict[str, int] = {}
    for name in released_order(model):
        layer = model.get_submodule(name)
        if isinstance(layer, nn.Conv2d | nn.Conv3d) and (
            layer.groups != 1 or set(layer.dilation) != {1}
        ):
            raise ConfigError(f"no LoRA for {name}", why="it is a grouped or dilated convolution")
        ranks[name] = layer_rank(plain_layer(layer).weight, rank)
    narrow = {f"^{re.escape(name)}$": low for name, low in ranks.items() if low != rank}
    config = LoraConfig(
        r=rank,
        lora_alpha=rank,
        target_modules="|".join(re.escape(name) for name in ranks),
        lora_dropout=0.0,
        bias="none",
        init_lora_weights="gaussian",
        rank_pattern=narrow,
        alpha_pattern=narrow,
    )
    inject_adapter_in_model(config, model, adapter_name=_ADAPTER)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for name, layer in adapted(model):
        if layer.r[_ADAPTER] != ranks[name] or layer.scaling[_ADAPTER] != 1.0:
            raise ConfigError(
                f"LoRA of {name} has rank {layer.r[_ADAPTER]} and scale {layer.scaling[_ADAPTER]}",
                why=f"{ranks[name]} and 1 were asked of peft",
                fix="install a tested version of peft (constraints.txt)",
            )
        # peft makes new layers in train mode; the network's own mode decides about dropout.
        layer.train(layer.get_base_layer().training)
        _drop_output(layer, dropout)
    for parameter in lora_parameters(model):
        parameter.requires_grad_(True)
    return model


def _drop_output(layer: Any, rate: float) -> None:
    """Put dropout behind B, where the authors have it; peft's own stands before A."""
    up = layer.lora_B[_ADAPTER]
    new: _DropoutLinear | _DropoutConv2d
    if isinstance(up, nn.Linear):
        new = _DropoutLinear(up.in_features, up.out_features, bias=False, device="meta")
    elif isinstance(up, nn.Conv2d):
        new = _DropoutConv2d(up.in_channels, up.out_channels, 1, bias=False, device="meta")
    else:
        return
    new.rate, new.weight = rate, up.weight
    new.train(layer.training)
    layer.lora_B[_ADAPTER] = new


def adapted(model: nn.Module) -> Iterator[tuple[str, Any]]:
    """Name and peft layer of every adapter, in released order.

    Raises:
        ConfigError: A layer of the order has none.
    """
    for name in released_order(model):
        layer = model.get_submodule(name)
        if not is_adapted(layer):
            raise ConfigError(f"{name} has no LoRA adapter", fix="call add_lora first")
        yield name, layer


def _pair(layer: Any) -> tuple[nn.Parameter, nn.Parameter]:
    return layer.lora_B[_ADAPTER].weight, layer.lora_A[_ADAPTER].weight


def lora_parameters(model: nn.Module) -> list[nn.Parameter]:
    """The adapters' weights in the order of released lists: [B0, A0, B1, A1, ...]."""
    return [weight for _, layer in adapted(model) for weight in _pair(layer)]


def named_lora(model: nn.Module) -> dict[str, Tensor]:
    """The adapters' weights as `LAYER.lora_B.weight` and `LAYER.lora_A.weight`, detached.

    This is what our own files hold: names make the order irrelevant.
    """
    found: dict[str, Tensor] = {}
    for name, layer in adapted(model):
        up, down = _pair(layer)
        found[f"{name}.lora_B.weight"] = up.detach()
        found[f"{name}.lora_A.weight"] = down.detach()
    return found


def load_named_lora(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy weights as `named_lora` gives them into a network with adapters.

    Raises:
        InputError: A name is missing or left over, or a shape differs; nothing is changed then.
    """
    wanted = named_lora(model)
    odd = sorted(wanted.keys() ^ tensors.keys())
    if odd:
        raise InputError(
            f"the LoRA has {len(odd)} names too many or too few",
            why=f"such as {', '.join(odd[:3])}",
            fix="check that it was trained on this network",
        )
    for name, target in wanted.items():
        if tensors[name].shape != target.shape:
            raise shape_error(name, tensors[name].shape, target.shape)
    with torch.no_grad():
        for name, target in wanted.items():
            target.copy_(tensors[name])


@torch.no_grad()
def load_list(model: nn.Module, tensors: Sequence[Tensor] | Mapping[str, Tensor]) -> None:
    """Copy a released list into a network with adapters; errors as in `check_released`."""
    pairs = check_released(model, tensors)
    layers = dict(adapted(model))
    for name, up, down in pairs:
        for mine, theirs in zip(_pair(layers[name]), (up, down), strict=True):
            if mine.shape != theirs.shape:
                raise shape_error(name, theirs.shape, mine.shape)
    for name, up, down in pairs:
        mine_up, mine_down = _pair(layers[name])
        mine_up.copy_(up)
        mine_down.copy_(down)


@torch.no_grad()
def merge(model: nn.Module) -> dict[str, Tensor]:
    """Add every adapter to its layer's weight; the adapters stay in place, but rest.

    A merged layer is evaluated without branch and dropout, so a call costs what the teacher's does.

    Returns:
        The weights as they were, by layer, for `unmerge`.

    Raises:
        ConfigError: There are no adapters, or they are merged already.
    """
    layers = list(adapted(model))
    if any(layer.merged for _, layer in layers):
        raise ConfigError("the LoRA is merged already", fix="call unmerge first")
    originals: dict[str, Tensor] = {}
    for name, layer in layers:
        weight = layer.get_base_layer().weight
        originals[name] = weight.data
        up, down = _pair(layer)
        weight.data = merged_weight(weight.data, up.data, down.data)
        layer.merged_adapters.append(_ADAPTER)
    return originals


@torch.no_grad()
def unmerge(model: nn.Module, originals: Mapping[str, Tensor]) -> None:
    """Undo `merge` to the bit, by putting back the weights that it returned.

    Raises:
        ConfigError: The LoRA is not merged, or `originals` belongs to another network.
    """
    layers = dict(adapted(model))
    if not all(layer.merged for layer in layers.values()) or layers.keys() != originals.keys():
        raise ConfigError(
            "the LoRA cannot be taken out",
            why="it is not merged, or these weights are another network's",
        )
    for name, layer in layers.items():
        layer.get_base_layer().weight.data = originals[name]
        layer.merged_adapters.clear()


def without_adapters(model: nn.Module) -> nn.Module:
    """Merge the adapters unless they are, and put the plain layers back, in place.

    Returns:
        `model` with the module tree and the state-dict names that it had before `add_lora`.
    """
    layers = list(adapted(model))
    if not all(layer.merged for _, layer in layers):
        merge(model)
    for name, layer in layers:
        parent, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(parent), leaf, layer.get_base_layer())
    if hasattr(model, "peft_config"):
        del model.peft_config
    return model

"""Sharded runs (`accelerator.sharding = "fsdp"`): every process holds a part of the student.

The student's blocks are gathered when they are called and let go afterwards; the LoRA, its
gradients and its optimizer state stay shards. The teacher, the autoencoder and the rewards are
whole in every process. Checkpoints hold whole tensors, so they are the same files as those of any
other run and may be read by any number of processes.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy
from torch.distributed.tensor import DTensor, distribute_tensor

from turbo_eval.models.lora import lora_parameters

_VIEW = "FSDP2-wrapped module"
"""Start of torch's warning about outputs that are views; nothing here changes one in place."""


def make_plugin() -> Any:
    """What accelerate is told: FSDP 2, one unit per heavy block.

    The number format is left to autocast, as in every other run, so that losses agree.
    """
    from accelerate.utils import FullyShardedDataParallelPlugin

    return FullyShardedDataParallelPlugin(
        fsdp_version=2,
        reshard_after_forward=True,
        auto_wrap_policy="transformer_based_wrap",
        mixed_precision_policy=MixedPrecisionPolicy(),
        state_dict_type="FULL_STATE_DICT",
        cpu_ram_efficient_loading=False,
    )


def use_on_cpu(accelerator: Any, plugin: Any) -> None:
    """Let accelerate shard over CPU processes too; it switches the plugin on for devices only.

    Torch's sharding works over gloo just the same.
    """
    from accelerate.utils import DistributedType

    accelerator.state.distributed_type = DistributedType.FSDP
    accelerator.state.fsdp_plugin = plugin


def name_units(accelerator: Any, network: nn.Module, kinds: tuple[type, ...]) -> None:
    """Tell a sharding accelerator which blocks of a network are gathered together.

    Args:
        accelerator: Of the run; one that does not shard is left alone.
        network: The student.
        kinds: Classes of its heavy blocks; those that it does not have are left out.
    """
    if not accelerator.is_fsdp2:
        return
    warnings.filterwarnings("ignore", message=_VIEW, category=UserWarning)
    found = {type(module).__name__ for module in network.modules() if isinstance(module, kinds)}
    accelerator.state.fsdp_plugin.transformer_cls_names_to_wrap = sorted(found)


def is_sharded(network: nn.Module) -> bool:
    """Whether a network's weights are spread over the processes."""
    return isinstance(network, FSDPModule)


def whole(value: Any) -> Any:
    """A tensor, or nested dicts and lists of some, gathered from all processes.

    Every process must call it with the same structure, since gathering is done together.
    """
    if isinstance(value, DTensor):
        return value.full_tensor()
    if isinstance(value, Mapping):
        return {key: whole(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(whole(inner) for inner in value)
    return value


def shard_like(value: Tensor, parameter: Tensor) -> Tensor:
    """This process's part of a whole tensor, laid out as `parameter`; itself if that is whole."""
    if not isinstance(parameter, DTensor):
        return value.to(parameter.device)
    return distribute_tensor(
        value.to(parameter.device), parameter.device_mesh, parameter.placements
    )


def load_optimizer(optimizer: Any, state: Mapping[str, Any]) -> None:
    """Give an optimizer the whole state of a checkpoint, each tensor sharded as its weight is.

    Args:
        optimizer: Of the run, after accelerate prepared it.
        state: A state dict with whole tensors.
    """
    inner = getattr(optimizer, "optimizer", optimizer)
    weights = [weight for group in inner.param_groups for weight in group["params"]]
    if not any(isinstance(weight, DTensor) for weight in weights):
        inner.load_state_dict(dict(state))
        return

    def place(value: Tensor, weight: Tensor) -> Tensor:
        # The step count is one number; moments have the weight's shape.
        return shard_like(value, weight) if value.shape == weight.shape else value

    placed = {
        index: {name: place(value, weights[index]) for name, value in entry.items()}
        for index, entry in state["state"].items()
    }
    inner.load_state_dict({**state, "state": placed})


@contextmanager
def holding(network: nn.Module, values: Sequence[Tensor]) -> Iterator[None]:
    """Let a sharded student's LoRA hold other values for a moment.

    Args:
        network: A sharded student between calls.
        values: Shards in the order of `lora_parameters`.
    """
    # What is still gathered from the last call would hide the new values.
    _let_go(network)
    weights = lora_parameters(network)
    kept = [weight.detach().clone() for weight in weights]
    _copy(weights, values)
    try:
        yield
    finally:
        _let_go(network)
        _copy(weights, kept)


@torch.no_grad()
def _copy(weights: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    for weight, value in zip(weights, values, strict=True):
        weight.copy_(value)


def _let_go(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, FSDPModule):
            module.reshard()

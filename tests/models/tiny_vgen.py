"""Small random files in the format in which InstructVideo is published, and spoilt ones."""

import io
from typing import Any

import torch
from torch import Tensor

from tests.models.tiny_vc2 import renamed_back
from turbo_eval.models.vgen import lora_names, vgen_modules

State = dict[str, Tensor]


def vgen_state(unet: Any, rank: int = 4, seed: int = 3) -> State:
    """The tensors of diffusers' network under VGen's names, with random LoRA beside them."""
    modules = vgen_modules(unet.config)
    generator = torch.Generator().manual_seed(seed)
    state = renamed_back(unet, modules, 1)
    for module, up, down in lora_names(modules):
        out, into = unet.get_submodule(module.ours).weight.shape
        state[up] = torch.randn(out, rank, generator=generator) * 0.2
        state[down] = torch.randn(rank, into, generator=generator) * 0.2
    return state


def lora_of(state: State) -> State:
    """The LoRA alone."""
    return {name: tensor for name, tensor in state.items() if "_lora." in name}


def without(state: State, name: str) -> State:
    """All tensors but one."""
    return {key: tensor for key, tensor in state.items() if key != name}


def shaped(state: State, name: str, shape: tuple[int, ...]) -> State:
    """All tensors, one of them of this shape."""
    return {**state, name: torch.zeros(shape)}


def cut(state: State) -> bytes:
    """A file whose end is missing."""
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()[:-4000]

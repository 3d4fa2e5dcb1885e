"""ModelScopeT2V's UNet under VGen's names, with LoRA beside its attentions: InstructVideo's file.

The file holds the whole network of ModelScopeT2V as the authors' program calls its parts, and for
each of the four projections of every attention a pair of matrices, W + B A when merged. Its
network is diffusers' `UNet3DConditionModel`; what differs is names, and projections around the
attention over time that are convolutions of width 1 there.

Source: InstructVideo (arXiv 2312.12490), and the public program of its authors (VGen).
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor

from turbo_eval.core.errors import InputError
from turbo_eval.models.checkpoint import part, read_tensors, refused
from turbo_eval.models.lora_released import merged_weight, shape_error
from turbo_eval.models.lvdm_names import Module, fitted, rename, unet_modules

if TYPE_CHECKING:
    from diffusers import UNet3DConditionModel

_DOWN: Final = "_lora.down_linear.weight"
_UP: Final = "_lora.up_linear.weight"
_PROJECTIONS: Final = (".to_q", ".to_k", ".to_v", ".to_out.0")
_FIX: Final = "check that it is InstructVideo's file, whole and unchanged"


def vgen_modules(config: Mapping[str, Any]) -> list[Module]:
    """Every module with parameters, by VGen's name and by diffusers'.

    VGen's names are lvdm's (`unet_modules`), but for the first attention over time, which stands
    beside the first convolution, for downsampling blocks, which are no lists, and for the frame
    rate, which ModelScopeT2V is not told.

    Args:
        config: Of diffusers' `UNet3DConditionModel`.
    """
    widths = list(config["block_out_channels"])
    modules = unet_modules(
        multipliers=[width // widths[0] for width in widths],
        layers=config["layers_per_block"],
        attends=["CrossAttn" in kind for kind in config["down_block_types"]],
        guidance=False,
    )
    found = []
    for module in modules:
        if module.lvdm.startswith("fps_embedding."):
            continue
        name = module.lvdm.replace("init_attn.0.", "input_blocks.0.1.")
        name = re.sub(r"^(input_blocks\.\d+)\.0\.op$", r"\1.op", name)
        over_time = "temp_attentions." in module.ours or module.ours.startswith("transformer_in.")
        squeeze = over_time and module.ours.endswith((".proj_in", ".proj_out"))
        found.append(Module(name, module.ours, squeeze=squeeze))
    return found


def lora_names(modules: list[Module]) -> Iterator[tuple[Module, str, str]]:
    """Each projection that has LoRA, with the names of its B (up) and A (down)."""
    for module in modules:
        if module.ours.endswith(_PROJECTIONS):
            stem = module.lvdm.removesuffix(".0")
            yield module, stem + _UP, stem + _DOWN


def is_lora_only(state: Mapping[str, Tensor]) -> bool:
    """Whether a file holds nothing but LoRA, so that the network itself comes from elsewhere."""
    return all(name.endswith((_DOWN, _UP)) for name in state)


def read_vgen(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by VGen's names, mapped where possible.

    A checkpoint of its training holds them beside the optimizer's state, and training on several
    devices leaves a prefix in names.

    Args:
        path: A file of `torch.save` or of safetensors; no code in it runs.

    Raises:
        PrerequisiteError: It is missing, cut off, damaged, holds code or no named tensors.
    """
    state, prefix = read_tensors(path, wrapper="state_dict"), "module."
    return part(state, prefix) if all(n.startswith(prefix) for n in state) else state


def check_pairs(state: Mapping[str, Tensor], modules: list[Module]) -> None:
    """Compare the names of LoRA with the projections that have it.

    Raises:
        InputError: Some are missing, or belong to nothing; the first three are named.
    """
    wanted = [name for _, up, down in lora_names(modules) for name in (up, down)]
    given = [name for name in state if "_lora." in name]
    if not given:
        raise InputError(
            "it has no LoRA", why="it is ModelScopeT2V's own network, or another fine-tuned one"
        )
    missing = [name for name in wanted if name not in state]
    unknown = sorted(set(given) - set(wanted))
    for fault, names in (("lacks", missing), ("has unknown", unknown)):
        if names:
            raise InputError(
                f"the LoRA {fault} {len(names)} tensors",
                why=f"such as {', '.join(names[:3])}",
                fix=_FIX,
            )


def merged(
    name: str, weight: Tensor, state: Mapping[str, Tensor], names: tuple[str, str]
) -> Tensor:
    """W + B A of one projection, float32.

    The authors multiply by nothing: their scale is left open, which means 1.

    Args:
        name: The projection, for messages.
        weight: W [out, in].
        state: The file's tensors.
        names: Of B [out, rank] and A [rank, in].

    Raises:
        InputError: Shapes do not fit each other or the weight.
    """
    up, down = state[names[0]], state[names[1]]
    rank = int(down.shape[0]) if down.ndim else 0
    for half, found, wanted in (
        ("up", up, (weight.shape[0], rank)),
        ("down", down, (rank, weight.shape[1])),
    ):
        if tuple(found.shape) != wanted:
            raise shape_error(f"{name} ({half})", found.shape, wanted)
    return merged_weight(weight.float(), up, down)


def whole_unet(state: Mapping[str, Tensor], folder: Path) -> "UNet3DConditionModel":
    """Build the network of a whole file: renamed, merged, in float32 on the CPU.

    Args:
        state: The file's tensors by VGen's names.
        folder: ModelScope's `unet` folder, for its configuration; its weights are not read.

    Returns:
        The network in evaluation mode.

    Raises:
        PrerequisiteError: The configuration cannot be read.
        InputError: A tensor is missing, left over or of another shape.
    """
    from diffusers import UNet3DConditionModel

    try:
        config: Any = UNet3DConditionModel.load_config(folder, local_files_only=True)
        with torch.device("meta"):
            unet: Any = UNet3DConditionModel.from_config(config)
    except (OSError, ValueError, TypeError) as error:
        line = str(error).strip().partition("\n")[0][:200]
        raise refused(folder, f"its configuration cannot be used ({line})") from error
    modules = vgen_modules(unet.config)
    plain = {name: tensor for name, tensor in state.items() if "_lora." not in name}
    renamed = fitted(unet, rename(plain, modules, "UNet", family="VGen"), "UNet")
    check_pairs(state, modules)
    # Copies: the file is mapped, and may be replaced while the network lives.
    tensors = {name: tensor.to(torch.float32, copy=True) for name, tensor in renamed.items()}
    for module, up, down in lora_names(modules):
        key = f"{module.ours}.weight"
        tensors[key] = merged(module.lvdm, tensors[key], state, (up, down))
    unet.load_state_dict(tensors, strict=True, assign=True)
    built: UNet3DConditionModel = unet.eval()
    return built


@torch.no_grad()
def merge_onto(unet: "UNet3DConditionModel", state: Mapping[str, Tensor]) -> None:
    """Merge a file that holds LoRA alone into ModelScope's network, in place.

    Args:
        unet: diffusers' network, in any number format.
        state: The file's tensors by VGen's names.

    Raises:
        InputError: A tensor is missing, left over or of another shape; nothing is changed then.
    """
    modules = vgen_modules(unet.config)
    check_pairs(state, modules)
    found: list[tuple[Tensor, Tensor]] = []
    for module, up, down in lora_names(modules):
        weight = unet.get_submodule(module.ours).weight
        assert isinstance(weight, Tensor)
        found.append((weight, merged(module.lvdm, weight, state, (up, down))))
    for weight, value in found:
        weight.copy_(value)

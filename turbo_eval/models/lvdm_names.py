"""How the modules of lvdm's video UNet (VideoCrafter2) are called, there and in diffusers' tree.

One table, in lvdm's order of registration, serves two ends: checkpoints are renamed by it, and
released LoRA files, which are lists without names in just that order, are read by it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from turbo_eval.core.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Module:
    """One module with parameters.

    Attributes:
        lvdm: Its name in lvdm.
        ours: Its name in `VideoCrafterUNet`.
        wrapped: Whether released LoRA files have a pair for it (linear layers and 2-D and 3-D
            convolutions have one; norms and 1-D convolutions have none).
        squeeze: Whether its weight loses the last axis on the way to ours.
    """

    lvdm: str
    ours: str
    wrapped: bool = True
    squeeze: bool = False


def _attention(name: str) -> Iterator[tuple[str, bool]]:
    for part in ("to_q", "to_k", "to_v", "to_out.0"):
        yield f"{name}.{part}", True


def _transformer(lvdm: str, ours: str, *, convolved: bool = False) -> Iterator[Module]:
    yield Module(f"{lvdm}.norm", f"{ours}.norm", wrapped=False)
    yield Module(f"{lvdm}.proj_in", f"{ours}.proj_in", not convolved, convolved)
    block = "transformer_blocks.0"
    leaves = [
        *_attention("attn1"),
        ("ff.net.0.proj", True),
        ("ff.net.2", True),
        *_attention("attn2"),
        ("norm1", False),
        ("norm2", False),
        ("norm3", False),
    ]
    for leaf, wrapped in leaves:
        yield Module(f"{lvdm}.{block}.{leaf}", f"{ours}.{block}.{leaf}", wrapped)
    yield Module(f"{lvdm}.proj_out", f"{ours}.proj_out", not convolved, convolved)


def _residual(lvdm: str, block: str, position: int, *, shortcut: bool) -> Iterator[Module]:
    resnet, temporal = f"{block}.resnets.{position}", f"{block}.temp_convs.{position}"
    yield Module(f"{lvdm}.in_layers.0", f"{resnet}.norm1", wrapped=False)
    yield Module(f"{lvdm}.in_layers.2", f"{resnet}.conv1")
    yield Module(f"{lvdm}.emb_layers.1", f"{resnet}.time_emb_proj")
    yield Module(f"{lvdm}.out_layers.0", f"{resnet}.norm2", wrapped=False)
    yield Module(f"{lvdm}.out_layers.3", f"{resnet}.conv2")
    if shortcut:
        yield Module(f"{lvdm}.skip_connection", f"{resnet}.conv_shortcut")
    for number, convolution in ((1, 2), (2, 3), (3, 3), (4, 3)):
        theirs, here = f"{lvdm}.temopral_conv.conv{number}", f"{temporal}.conv{number}"
        yield Module(f"{theirs}.0", f"{here}.0", wrapped=False)
        yield Module(f"{theirs}.{convolution}", f"{here}.{convolution}")


def _layer(
    lvdm: str, block: str, position: int, *, shortcut: bool, attends: bool
) -> Iterator[Module]:
    yield from _residual(f"{lvdm}.0", block, position, shortcut=shortcut)
    if attends:
        yield from _transformer(f"{lvdm}.1", f"{block}.attentions.{position}")
        yield from _transformer(f"{lvdm}.2", f"{block}.temp_attentions.{position}")


def _conditioning(*, guidance: bool, motion: bool) -> Iterator[Module]:
    yield Module("time_embed.0", "time_embedding.linear_1")
    yield Module("time_embed.2", "time_embedding.linear_2")
    yield Module("fps_embedding.0", "time_embedding.fps_embedding.linear_1")
    yield Module("fps_embedding.2", "time_embedding.fps_embedding.linear_2")
    if guidance:
        yield Module("time_cond_proj", "time_embedding.cond_proj")
    if motion:
        yield Module("motion_cond_proj", "time_embedding.motion_cond_proj")
        yield Module("combine_proj", "time_embedding.combine_proj")


def unet_modules(
    *,
    multipliers: Sequence[int],
    layers: int,
    attends: Sequence[bool],
    guidance: bool,
    motion: bool = False,
) -> list[Module]:
    """Every module with parameters, in lvdm's order of registration.

    Args:
        multipliers: Channels of each level over those of the first.
        layers: Residual blocks per level on the way down.
        attends: Whether a level has attention.
        guidance: Whether there is a projection of the guidance embedding.
        motion: Whether there are the two projections of v2's motion embedding.

    Source: the published VideoCrafter2 checkpoint's names.
    """
    found = list(_conditioning(guidance=guidance, motion=motion))
    found.append(Module("input_blocks.0.0", "conv_in"))
    number, last = 1, len(multipliers) - 1
    for level, width in enumerate(multipliers):
        block = f"down_blocks.{level}"
        widens = level > 0 and width != multipliers[level - 1]
        for position in range(layers):
            name = f"input_blocks.{number}"
            shortcut = widens and position == 0
            found += _layer(name, block, position, shortcut=shortcut, attends=attends[level])
            number += 1
        if level < last:
            found.append(Module(f"input_blocks.{number}.0.op", f"{block}.downsamplers.0.conv"))
            number += 1
    found += _transformer("init_attn.0", "transformer_in", convolved=True)
    found += _residual("middle_block.0", "mid_block", 0, shortcut=False)
    found += _transformer("middle_block.1", "mid_block.attentions.0")
    found += _transformer("middle_block.2", "mid_block.temp_attentions.0")
    found += _residual("middle_block.3", "mid_block", 1, shortcut=False)
    number = 0
    for rank, level in enumerate(reversed(range(len(multipliers)))):
        block = f"up_blocks.{rank}"
        for position in range(layers + 1):
            name = f"output_blocks.{number}"
            # Skips are concatenated on the way up, so the number of channels always changes.
            found += _layer(name, block, position, shortcut=True, attends=attends[level])
            if position == layers and level > 0:
                after = 3 if attends[level] else 1
                found.append(Module(f"{name}.{after}.conv", f"{block}.upsamplers.0.conv"))
            number += 1
    found.append(Module("out.0", "conv_norm_out", wrapped=False))
    found.append(Module("out.2", "conv_out"))
    return found


def attends_of(config: Mapping[str, Any]) -> list[bool]:
    """Per level, whether lvdm's configuration gives it attention (by its downsampling factor)."""
    factors = {int(factor) for factor in config["attention_resolutions"]}
    return [2**level in factors for level in range(len(config["channel_mult"]))]


def rename(
    state: Mapping[str, "Tensor"],
    modules: Sequence[Module],
    what: str,
    *,
    family: str = "VideoCrafter2",
) -> dict[str, "Tensor"]:
    """Tensors of lvdm under our names; no data is copied.

    Args:
        state: Tensors by lvdm's names, without the network's prefix.
        modules: The network's, such as `unet_modules` gives.
        what: The network, for messages.
        family: Whose checkpoints have such names, for messages.

    Raises:
        InputError: A tensor is missing or left over; the first three are named.
    """
    renamed: dict[str, Tensor] = {}
    left, missing = set(state), []
    for module in modules:
        weight = f"{module.lvdm}.weight"
        if weight not in state:
            missing.append(weight)
        for part in ("weight", "bias"):
            key = f"{module.lvdm}.{part}"
            if key in left:
                left.remove(key)
                tensor = state[key]
                squeeze = module.squeeze and part == "weight"
                renamed[f"{module.ours}.{part}"] = tensor.flatten(1) if squeeze else tensor
    for fault, names in (("lacks", missing), ("has unknown", sorted(left))):
        if names:
            raise InputError(
                f"the {what}'s checkpoint {fault} {len(names)} tensors",
                why=f"such as {', '.join(names[:3])}",
                fix=f"check that it is a {family} checkpoint of this configuration",
            )
    return renamed


def fitted(network: "nn.Module", renamed: dict[str, "Tensor"], what: str) -> dict[str, "Tensor"]:
    """The same tensors, after their shapes were compared with the network's.

    Args:
        network: The network, with or without storage.
        renamed: From `rename`.
        what: The network, for messages.

    Raises:
        InputError: A tensor is missing or of another shape.
    """
    for name, parameter in network.named_parameters():
        if name not in renamed or renamed[name].shape != parameter.shape:
            found = tuple(renamed[name].shape) if name in renamed else "missing"
            raise InputError(
                f"{name} of the {what} is {found}",
                why=f"the configuration asks for {tuple(parameter.shape)}",
                fix="check that checkpoint and configuration belong together",
            )
    return renamed

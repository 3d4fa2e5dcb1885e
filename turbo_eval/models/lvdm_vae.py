"""VideoCrafter2's autoencoder, Stable Diffusion's KL one, read into diffusers' `AutoencoderKL`.

Source: the published VideoCrafter2 checkpoint's names.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from turbo_eval.core.errors import ConfigError
from turbo_eval.models.lvdm_names import Module, fitted, rename

PREFIX = "first_stage_model."
"""What the autoencoder's names start with in a whole checkpoint."""
_NEEDED = ("ch", "ch_mult", "num_res_blocks", "z_channels")


def _resnet(lvdm: str, ours: str, *, shortcut: bool) -> Iterator[Module]:
    for leaf in ("norm1", "conv1", "norm2", "conv2"):
        yield Module(f"{lvdm}.{leaf}", f"{ours}.{leaf}", wrapped=False)
    if shortcut:
        yield Module(f"{lvdm}.nin_shortcut", f"{ours}.conv_shortcut", wrapped=False)


def _middle(lvdm: str, ours: str) -> Iterator[Module]:
    yield from _resnet(f"{lvdm}.block_1", f"{ours}.resnets.0", shortcut=False)
    attention = f"{ours}.attentions.0"
    yield Module(f"{lvdm}.attn_1.norm", f"{attention}.group_norm", wrapped=False)
    for theirs, leaf in (("q", "to_q"), ("k", "to_k"), ("v", "to_v"), ("proj_out", "to_out.0")):
        # 1 x 1 convolutions there, linear layers here.
        yield Module(f"{lvdm}.attn_1.{theirs}", f"{attention}.{leaf}", wrapped=False, squeeze=True)
    yield from _resnet(f"{lvdm}.block_2", f"{ours}.resnets.1", shortcut=False)


def vae_modules(multipliers: Sequence[int], layers: int) -> list[Module]:
    """The autoencoder's modules under both names.

    Args:
        multipliers: Width of each level over the first one's.
        layers: Residual blocks per level of the encoder; the decoder has one more.
    """
    last = len(multipliers) - 1
    found: list[Module] = []
    for side in ("encoder", "decoder"):
        found.append(Module(f"{side}.conv_in", f"{side}.conv_in", wrapped=False))
        found += _middle(f"{side}.mid", f"{side}.mid_block")
        found.append(Module(f"{side}.norm_out", f"{side}.conv_norm_out", wrapped=False))
        found.append(Module(f"{side}.conv_out", f"{side}.conv_out", wrapped=False))
    for level, width in enumerate(multipliers):
        lvdm, ours = f"encoder.down.{level}", f"encoder.down_blocks.{level}"
        widens = width != multipliers[max(level - 1, 0)]
        for j in range(layers):
            names = f"{lvdm}.block.{j}", f"{ours}.resnets.{j}"
            found += _resnet(*names, shortcut=widens and j == 0)
        if level < last:
            names = f"{lvdm}.downsample.conv", f"{ours}.downsamplers.0.conv"
            found.append(Module(*names, wrapped=False))
        # lvdm counts the decoder's levels as the encoder's, diffusers the other way round.
        lvdm, ours = f"decoder.up.{level}", f"decoder.up_blocks.{last - level}"
        narrows = width != multipliers[min(level + 1, last)]
        for j in range(layers + 1):
            names = f"{lvdm}.block.{j}", f"{ours}.resnets.{j}"
            found += _resnet(*names, shortcut=narrows and j == 0)
        if level > 0:
            names = f"{lvdm}.upsample.conv", f"{ours}.upsamplers.0.conv"
            found.append(Module(*names, wrapped=False))
    return [
        *found,
        Module("quant_conv", "quant_conv", wrapped=False),
        Module("post_quant_conv", "post_quant_conv", wrapped=False),
    ]


def _checked(config: Mapping[str, Any]) -> Mapping[str, Any]:
    parts: Mapping[str, Any] = config.get("ddconfig") or {}
    missing = [f"ddconfig.{key}" for key in _NEEDED if key not in parts]
    if missing:
        raise ConfigError(
            f"the autoencoder's configuration lacks {', '.join(missing)}",
            fix="give the first_stage_config part of VideoCrafter2's configuration",
        )
    for key, wanted in (("double_z", True), ("attn_resolutions", [])):
        if parts.get(key, wanted) != wanted:
            raise ConfigError(
                f"{key}={parts[key]!r} in the autoencoder's configuration",
                why=f"VideoCrafter2 has {wanted!r}, and nothing else is built here",
            )
    if config.get("embed_dim", parts["z_channels"]) != parts["z_channels"]:
        raise ConfigError(
            f"embed_dim={config['embed_dim']} and z_channels={parts['z_channels']} differ",
            why="diffusers' autoencoder has one width for both",
        )
    if parts["ch_mult"][0] != 1:
        raise ConfigError(
            f"ch_mult={parts['ch_mult']} starts with {parts['ch_mult'][0]}",
            why="diffusers' autoencoder starts with 1",
        )
    return parts


def prepare_vae(
    state_dict: Mapping[str, Tensor], config: Mapping[str, Any]
) -> tuple[nn.Module, dict[str, Tensor]]:
    """The autoencoder without storage, and the checkpoint's tensors under its names.

    Arguments and errors as in `vae_from_lvdm`.
    """
    parts = _checked(config)
    levels = len(parts["ch_mult"])
    with torch.device("meta"):
        vae: nn.Module = AutoencoderKL(
            in_channels=parts.get("in_channels", 3),
            out_channels=parts.get("out_ch", 3),
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
            block_out_channels=tuple(parts["ch"] * m for m in parts["ch_mult"]),
            layers_per_block=parts["num_res_blocks"],
            latent_channels=parts["z_channels"],
            sample_size=parts.get("resolution", 256),
            scaling_factor=config.get("scale_factor", 0.18215),
        )
    modules = vae_modules(parts["ch_mult"], parts["num_res_blocks"])
    return vae, fitted(vae, rename(state_dict, modules, "autoencoder"), "autoencoder")


def vae_from_lvdm(state_dict: Mapping[str, Tensor], config: Mapping[str, Any]) -> AutoencoderKL:
    """Build the autoencoder from lvdm's weights.

    Args:
        state_dict: Tensors by lvdm's names, without the prefix `first_stage_model.`.
        config: lvdm's configuration: `ddconfig` (`ch`, `ch_mult`, `num_res_blocks`, `z_channels`),
            `embed_dim` and `scale_factor`.

    Returns:
        diffusers' `AutoencoderKL` in eval mode, in the number format of the tensors.

    Raises:
        ConfigError: An option is missing or is not one of VideoCrafter2's.
        InputError: Tensors are missing, left over or of another shape.
    """
    vae, tensors = prepare_vae(state_dict, config)
    # Copies, so that two networks built from one checkpoint share no memory.
    vae.load_state_dict({k: v.clone() for k, v in tensors.items()}, strict=True, assign=True)
    return vae.eval()

"""VideoCrafter2's networks from lvdm's weights.

The UNet is `VideoCrafterUNet`, the autoencoder (`vae_from_lvdm`) diffusers' own.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from turbo_eval.core.errors import ConfigError
from turbo_eval.models.lvdm_names import attends_of, fitted, rename
from turbo_eval.models.lvdm_vae import vae_from_lvdm
from turbo_eval.models.videocrafter_unet import VideoCrafterUNet, tell_frame_rate

__all__ = [
    "VideoCrafterUNet",
    "prepare_unet",
    "tell_frame_rate",
    "unet_from_lvdm",
    "vae_from_lvdm",
]

# Options of lvdm that change the network; only the published values are built here.
_FIXED: dict[str, Any] = {
    "transformer_depth": 1,
    "use_linear": True,
    "temporal_conv": True,
    "temporal_attention": True,
    "temporal_selfatt_only": True,
    "use_relative_position": False,
    "use_causal_attention": False,
    "addition_attention": True,
    "fps_cond": True,
}
_NEEDED = (
    "in_channels",
    "out_channels",
    "model_channels",
    "attention_resolutions",
    "num_res_blocks",
    "channel_mult",
    "num_head_channels",
    "context_dim",
)


def _check_config(config: Mapping[str, Any]) -> None:
    missing = [key for key in _NEEDED if key not in config]
    if missing:
        raise ConfigError(
            f"the UNet's configuration lacks {', '.join(missing)}",
            fix="give the unet_config part of VideoCrafter2's configuration",
        )
    for key, wanted in _FIXED.items():
        if config.get(key, wanted) != wanted:
            raise ConfigError(
                f"{key}={config[key]!r} in the UNet's configuration",
                why=f"VideoCrafter2 has {wanted!r}, and nothing else is built here",
            )


def _width(state: Mapping[str, Tensor], key: str, configured: int | None) -> int | None:
    return int(state[key].shape[1]) if key in state else configured


def prepare_unet(
    state_dict: Mapping[str, Tensor], config: Mapping[str, Any]
) -> tuple[VideoCrafterUNet, dict[str, Tensor]]:
    """The network without storage, and the checkpoint's tensors under its names.

    Arguments and errors as in `unet_from_lvdm`.
    """
    _check_config(config)
    guidance = _width(state_dict, "time_cond_proj.weight", config.get("time_cond_proj_dim"))
    motion = _width(state_dict, "motion_cond_proj.weight", config.get("motion_cond_proj_dim"))
    attends = attends_of(config)
    with torch.device("meta"):
        unet: VideoCrafterUNet = VideoCrafterUNet(
            in_channels=config["in_channels"],
            out_channels=config["out_channels"],
            down_block_types=tuple("CrossAttnDownBlock3D" if a else "DownBlock3D" for a in attends),
            up_block_types=tuple(
                "CrossAttnUpBlock3D" if a else "UpBlock3D" for a in reversed(attends)
            ),
            block_out_channels=tuple(config["model_channels"] * m for m in config["channel_mult"]),
            layers_per_block=config["num_res_blocks"],
            cross_attention_dim=config["context_dim"],
            attention_head_dim=config["num_head_channels"],
            time_cond_proj_dim=guidance,
            motion_cond_proj_dim=motion,
        )
    tensors = dict(state_dict)
    if guidance is not None and "time_cond_proj.weight" not in tensors:
        example = tensors.get("time_embed.0.weight", torch.empty(0))
        tensors["time_cond_proj.weight"] = example.new_zeros(config["model_channels"], guidance)
    return unet, fitted(unet, rename(tensors, unet.released_modules(), "UNet"), "UNet")


def unet_from_lvdm(state_dict: Mapping[str, Tensor], config: Mapping[str, Any]) -> VideoCrafterUNet:
    """Build the network from lvdm's weights.

    A guidance projection that the configuration asks for and the checkpoint lacks (the published
    teacher's) starts at zero, so the network stays the teacher until it is trained. Widths of the
    projections are those of the weights where there are weights.

    Args:
        state_dict: Tensors by lvdm's names, without a prefix.
        config: lvdm's UNet configuration (`model_channels`, `channel_mult`, ...).

    Returns:
        The network in eval mode, in the number format of the tensors.

    Raises:
        ConfigError: An option is missing or is not one of VideoCrafter2's.
        InputError: Tensors are missing, left over or of another shape.
    """
    unet, tensors = prepare_unet(state_dict, config)
    # Copies, so that a teacher and a student built from one checkpoint share no memory.
    unet.load_state_dict({k: v.clone() for k, v in tensors.items()}, strict=True, assign=True)
    unet.eval()
    return unet

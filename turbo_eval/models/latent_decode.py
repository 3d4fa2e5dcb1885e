"""From latents to frames, as the published programs do it."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from turbo_eval.core.errors import InputError
from turbo_eval.models.protocol import Frames


def decode_frames(vae: Any, latents: Tensor, dtype: str, name: str) -> Frames:
    """Decode one frame at a time, and round down.

    Args:
        vae: diffusers' `AutoencoderKL`, on its device.
        latents: [B, C, F, h, w], scaled as the UNet has them.
        dtype: torch's name of the number format that the decoder runs in.
        name: The system, for messages.

    Returns:
        uint8 [B, F, H, W, 3].

    Raises:
        InputError: The latents or frames hold numbers that are not finite.
    """
    flat = latents.permute(0, 2, 1, 3, 4).flatten(0, 1) / vae.config.scaling_factor
    images = []
    for latent in flat.split(1):
        image = vae.decode(latent.to(getattr(torch, dtype))).sample.float()
        if not math.isfinite(float(image.sum())):
            raise InputError(
                f"model {name} drew frames that are no numbers",
                why="the network overflowed or its weights are damaged",
                fix="use --dtype float32 or bfloat16, or check the weights",
            )
        pixels = (image.clamp(-1, 1) + 1) / 2 * 255
        images.append(pixels.to(torch.uint8).permute(0, 2, 3, 1).cpu())
    frames: Frames = torch.cat(images).unflatten(0, (len(latents), -1)).numpy()
    return np.ascontiguousarray(frames)

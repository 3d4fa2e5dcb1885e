"""DINO ViT-B/16: the [CLS] features of frames (subject consistency).

timm has the blocks under the same names; the embedding is written here, because the original
interpolates its position table by a scale factor with 0.1 added and cuts off what is no whole
patch, and timm does neither.

Source: Caron et al. 2021 (arXiv 2104.14294); `vision_transformer.py` of facebookresearch/dino.
"""

from typing import Any, ClassVar, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from turbo_eval.backbones.official.frames import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Judge,
    normalised,
    pieces,
    resized_frames,
)
from turbo_eval.backbones.official.weights import load_strict
from turbo_eval.backbones.protocol import Features
from turbo_eval.core.records import Prompt
from turbo_eval.video.clip import Clip

PATCH: Final = 16
GRID: Final = 14
"""Patches a side at the size it was trained on, 224."""
AT_ONCE: Final = 8
"""Frames of one forward pass; it bounds memory, not results."""


def make_network() -> nn.Module:
    """The untrained network without memory (on the `meta` device)."""
    from timm.models.vision_transformer import VisionTransformer

    with torch.device("meta"):
        network: nn.Module = VisionTransformer(patch_size=PATCH, num_classes=0)
    return network


def layout() -> dict[str, Tensor]:
    """The official state, untrained."""
    return dict(make_network().state_dict())


def prepare(frames: NDArray[np.uint8], device: str = "cpu") -> Tensor:
    """VBench's dino-tensor transform: shorter side 224, bilinear without antialiasing, no crop.

    Args:
        frames: uint8 [N, H, W, 3].
        device: Where to compute.

    Returns:
        float32 [N, 3, h, w], ImageNet's scale.
    """
    pictures = resized_frames(frames, 224, "bilinear", device) / 255
    return normalised(pictures, IMAGENET_MEAN, IMAGENET_STD)


def positions(table: Tensor, height: int, width: int) -> Tensor:
    """The position table for another number of patches.

    Args:
        table: [1, 1 + 196, D], the class token's first.
        height: Of the picture in pixels.
        width: Of the picture in pixels.

    Returns:
        [1, 1 + (height // 16) * (width // 16), D].
    """
    rows, columns = height // PATCH, width // PATCH
    # The original asks whether the count fits and the picture is square, nothing else.
    if rows * columns == GRID * GRID and height == width:
        return table
    grid = table[:, 1:].reshape(1, GRID, GRID, -1).permute(0, 3, 1, 2)
    resized = F.interpolate(
        grid, scale_factor=((rows + 0.1) / GRID, (columns + 0.1) / GRID), mode="bicubic"
    )
    return torch.cat([table[:, :1], resized.flatten(2).transpose(1, 2)], 1)


def embed(network: Any, pictures: Tensor) -> Tensor:
    """[CLS] features [N, 768] after the last norm, of pictures [N, 3, H, W] of at least 16."""
    height, width = pictures.shape[-2:]
    # The patch convolution has no padding, so it leaves out the rest on the right and below.
    patches = network.patch_embed.proj(pictures).flatten(2).transpose(1, 2)
    first = network.cls_token.expand(len(pictures), -1, -1)
    x = torch.cat([first, patches], 1) + positions(network.pos_embed, height, width)
    result: Tensor = network.norm(network.blocks(x))[:, 0]
    return result


class Dino(Judge):
    """Features of single frames."""

    role: ClassVar[str] = "frame_features"

    def build(self, *states: dict[str, Tensor]) -> nn.Module:
        """Make the network; names are the official ones."""
        return load_strict(make_network(), states[0], self.files[0])

    def look(self, network: nn.Module, clip: Clip, prompt: Prompt) -> Features:  # noqa: ARG002
        """Features of every frame.

        Returns:
            `features` float32 [T, 768], not normalised.
        """
        parts = [
            embed(network, prepare(part, self.device)) for part in pieces(clip.frames, AT_ONCE)
        ]
        return {"features": torch.cat(parts).cpu().numpy()}

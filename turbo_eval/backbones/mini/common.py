"""What the parts of the mini judges share: pixels in, and the blocks of small networks."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from turbo_eval.video.sample import middle_indices

SIZE = 64
"""Height and width in pixels at which every network looks."""
SAMPLED = 16
"""Frames of a clip at which VBench's detector and captioner look."""


def pixels(frames: NDArray[np.uint8], size: int = SIZE) -> Tensor:
    """Frames as the networks see them.

    Args:
        frames: uint8 [N, H, W, 3], RGB, any size.
        size: Wanted height and width; others are resized without keeping the aspect.

    Returns:
        float32 [N, 3, size, size] in -1..1, channels last in memory.
    """
    picture = torch.from_numpy(np.array(frames)).permute(0, 3, 1, 2).float()
    if picture.shape[-2:] != (size, size):
        picture = nn.functional.interpolate(
            picture, (size, size), mode="bilinear", antialias=True, align_corners=False
        )
    return (picture / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def device_of(module: nn.Module) -> torch.device:
    """The device that a network's weights are on."""
    return next(module.parameters()).device


def sampled(length: int, n: int = SAMPLED) -> tuple[list[int], list[int]]:
    """The frames that VBench samples, each looked at once.

    Args:
        length: Frames of the clip.
        n: Frames wanted.

    Returns:
        The distinct frame numbers, and for each of the n samples its place among them.
    """
    wanted = middle_indices(length, n)
    distinct = sorted(set(wanted))
    return distinct, [distinct.index(frame) for frame in wanted]


def conv(inside: int, outside: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution, group norm, SiLU; padded so that stride 1 keeps the size."""
    return nn.Sequential(
        nn.Conv2d(inside, outside, kernel, stride, kernel // 2),
        nn.GroupNorm(max(1, outside // 12), outside),
        nn.SiLU(),
    )


class Residual(nn.Module):
    """Two 3 x 3 convolutions around a shortcut; input and output [N, width, H, W]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = conv(width, width)
        self.second = nn.Sequential(
            nn.Conv2d(width, width, 3, 1, 1), nn.GroupNorm(max(1, width // 12), width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return SiLU(x + what two convolutions make of x)."""
        return nn.functional.silu(x + self.second(self.first(x)))

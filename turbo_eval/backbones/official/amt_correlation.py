"""How well each place of one frame fits each place of another, and looking it up along a flow.

Source: Li et al. 2023 (AMT, arXiv 2304.09790), after Teed & Deng 2020 (RAFT, arXiv 2003.12039).
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

KEPT_NUMBERS = 2**25
"""A correlation volume of up to this many numbers (128 MiB) is made once and kept.

A larger one is made anew, a few rows at a time, at each look-up: 1920 x 1080 frames would need
two volumes of 4 GB and as much again for their pyramids.
"""


def pixel_grid(height: int, width: int, device: torch.device) -> Tensor:
    """Position of each pixel, [1, 2, height, width] float32: x, then y."""
    y, x = torch.meshgrid(
        torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij"
    )
    return torch.stack([x, y])[None].float()


class Correlation:
    """Correlation of every place of a frame with every place of another one, in a pyramid.

    Averaging over the places of the other frame and multiplying features are both linear, so the
    features are averaged instead of the volume.

    Args:
        asked: Features [N, C, h, w] of the frame whose places ask.
        answering: Features [N, C, h, w] of the other frame.
        levels: Levels of the pyramid, each half the size of the one before.
        radius: Places to each side of a looked-up position that are returned.
        kept: Largest volume, in numbers, that is kept (see `KEPT_NUMBERS`).
    """

    def __init__(
        self, asked: Tensor, answering: Tensor, levels: int, radius: int, kept: int = KEPT_NUMBERS
    ) -> None:
        number, channels, height, width = asked.shape
        self.asked = asked.flatten(2).transpose(1, 2) / math.sqrt(channels)
        self.pyramid = [answering]
        for _ in range(levels - 1):
            self.pyramid.append(F.avg_pool2d(self.pyramid[-1], 2, 2))
        places = height * width
        self.rows = max(1, kept // (number * places))
        everything = slice(0, places)
        self.volumes = (
            [self._volume(level, everything) for level in self.pyramid]
            if self.rows >= places
            else []
        )
        steps = torch.linspace(-radius, radius, 2 * radius + 1, device=asked.device)
        # The first axis of the window moves along x, as in RAFT; the weights expect that order.
        self.window = torch.stack(torch.meshgrid(steps, steps, indexing="ij"), -1)

    def _volume(self, level: Tensor, rows: slice) -> Tensor:
        """Correlation of some asking places with a level: [N * places, 1, h, w]."""
        height, width = level.shape[-2:]
        volume = self.asked[:, rows] @ level.flatten(2)
        return volume.reshape(-1, 1, height, width)

    def __call__(self, positions: Tensor) -> Tensor:
        """Look up a window around one position for each asking place.

        Args:
            positions: [N, 2, h, w], x and y in pixels of the finest level.

        Returns:
            [N, levels * (2 radius + 1)^2, h, w]; beyond the border lie zeros.
        """
        number, _, height, width = positions.shape
        flat = positions.flatten(2).transpose(1, 2)
        parts = []
        for first in range(0, height * width, self.rows):
            rows = slice(first, min(first + self.rows, height * width))
            centres = flat[:, rows].reshape(-1, 1, 1, 2)
            found = [
                _sample(
                    self.volumes[k] if self.volumes else self._volume(level, rows),
                    centres / 2**k + self.window,
                )
                for k, level in enumerate(self.pyramid)
            ]
            parts.append(torch.cat(found, 1).unflatten(0, (number, -1)))
        return torch.cat(parts, 1).transpose(1, 2).reshape(number, -1, height, width)


def _sample(volume: Tensor, positions: Tensor) -> Tensor:
    """Bilinear values [P, k * k] of `volume` [P, 1, h, w] at `positions` [P, k, k, 2] in pixels."""
    height, width = volume.shape[-2:]
    scale = positions.new_tensor([width - 1, height - 1])
    values = F.grid_sample(volume, 2 * positions / scale - 1, align_corners=True)
    return values.flatten(1)

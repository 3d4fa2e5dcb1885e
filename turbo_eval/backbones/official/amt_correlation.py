"""How well each place of one frame fits each place of another, and looking it up along a flow.

Source: Li et al. 2023 (AMT, arXiv 2304.09790), after Teed & Deng 2020 (RAFT, arXiv 2003.12039).
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

KEPT_NUMBERS = 2**25
"""A correlation volume of up to this many numbers (128 MiB) is made once and kept.

Where it would be larger, only what is looked up is multiplied: 1920 x 1080 frames would need two
volumes of 4 GB and a third as much again for their pyramids.
"""
PLACES_AT_ONCE = 1024
"""Places that ask together where no volume is kept; it bounds memory, not results."""


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
        self.radius = radius
        self.asked = asked.flatten(2).transpose(1, 2) / math.sqrt(channels)
        self.pyramid = [answering]
        for _ in range(levels - 1):
            self.pyramid.append(F.avg_pool2d(self.pyramid[-1], 2, 2))
        self.volumes: list[Tensor] = []
        if number * (height * width) ** 2 <= kept:
            self.volumes = [
                (self.asked @ level.flatten(2)).reshape(-1, 1, *level.shape[-2:])
                for level in self.pyramid
            ]

    def __call__(self, positions: Tensor) -> Tensor:
        """Look up a window around one position for each asking place.

        Args:
            positions: [N, 2, h, w], x and y in pixels of the finest level.

        Returns:
            [N, levels * (2 radius + 1)^2, h, w]; beyond the border lie zeros.
        """
        number, _, height, width = positions.shape
        centres = positions.flatten(2).transpose(1, 2)
        look_up = self._from_volume if self.volumes else self._from_features
        found = [look_up(k, centres / 2**k) for k in range(len(self.pyramid))]
        return torch.cat(found, 2).transpose(1, 2).reshape(number, -1, height, width)

    def _from_volume(self, level: int, centres: Tensor) -> Tensor:
        """Windows [N, P, (2 radius + 1)^2] around `centres` [N, P, 2] in pixels of the level."""
        volume = self.volumes[level]
        height, width = volume.shape[-2:]
        steps = torch.arange(-self.radius, self.radius + 1, device=centres.device).float()
        # The first axis of the window moves along x, as in RAFT; the weights expect that order.
        window = torch.stack(torch.meshgrid(steps, steps, indexing="ij"), -1)
        where = centres.reshape(-1, 1, 1, 2) + window
        scale = centres.new_tensor([width - 1, height - 1])
        values = F.grid_sample(volume, 2 * where / scale - 1, align_corners=True)
        return values.view(*centres.shape[:2], -1)

    def _from_features(self, level: int, centres: Tensor) -> Tensor:
        """The same, multiplying only the features that each window covers.

        All positions of a window lie equally far between pixels, so one product with each of its
        (2 radius + 2)^2 pixels is enough; they are mixed afterwards.
        """
        features = self.pyramid[level]
        number, channels, height, width = features.shape
        taps = 2 * self.radius + 2
        # Zeros around, wide enough for a window that lies outside altogether.
        padded = F.pad(features, (taps,) * 4).permute(0, 2, 3, 1).reshape(number, -1, channels)
        whole = centres.floor()
        rest = (centres - whole)[..., None]
        limits = centres.new_tensor([width, height])
        corner = (whole - self.radius).clamp(min=-taps).minimum(limits).long() + taps
        steps = torch.arange(taps, device=centres.device)
        columns = (corner[..., 0, None] + steps)[..., :, None]
        rows = (corner[..., 1, None] + steps)[..., None, :]
        pixels = (rows * (width + 2 * taps) + columns).flatten(2)
        parts = []
        for asked, index, source in zip(self.asked, pixels, padded, strict=True):
            products = [
                (source[some] @ asker[:, :, None])[..., 0]
                for some, asker in zip(
                    index.split(PLACES_AT_ONCE), asked.split(PLACES_AT_ONCE), strict=True
                )
            ]
            parts.append(torch.cat(products))
        values: Tensor = torch.stack(parts).unflatten(2, (taps, taps))
        x, y = rest[..., 0, :, None], rest[..., 1, :, None]
        values = values[..., :-1, :] * (1 - x) + values[..., 1:, :] * x
        values = values[..., :-1] * (1 - y) + values[..., 1:] * y
        return values.flatten(2)

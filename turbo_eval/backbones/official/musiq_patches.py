"""A picture as MUSIQ sees it: patches of the picture at three sizes, each with its place.

Source: Ke et al. 2021, "MUSIQ: Multi-scale Image Quality Transformer" (arXiv 2108.05997), with the
resizing of the PyTorch port that VBench uses (bicubic without antialiasing, where the paper's own
program resizes with a Gaussian).
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

PATCH = 32
"""Height and width of a patch in pixels."""
GRID = 10
"""Places along a side that positions are hashed to."""
LONGER_SIDES = (224, 384)
"""Longer sides in pixels of the two resized copies; the third copy is the picture itself."""


@dataclass(frozen=True)
class Patches:
    """What the network reads.

    Attributes:
        pixels: [N, L, 3, 32, 32], -1..1; zeros stand for what lies beyond the picture.
        places: int64 [L], row-major cell of the 10 x 10 grid.
        scales: int64 [L], which copy: 0, 1 (resized) or 2 (full size).
    """

    pixels: Tensor
    places: Tensor
    scales: Tensor


def cells(count: int) -> Tensor:
    """Grid cell of each of `count` patches along a side, int64 [count] in 0..9."""
    grid = torch.arange(GRID, dtype=torch.float32)[None, None]
    return F.interpolate(grid, count, mode="nearest")[0, 0].long()


def cut(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Cut pictures into patches, row by row.

    Args:
        pictures: [N, 3, h, w]; the sides are filled up to multiples of 32 with zeros, half (the
            smaller half first) before and half behind.

    Returns:
        Patches [N, L, 3, 32, 32] and their places int64 [L].
    """
    height, width = pictures.shape[-2:]
    down, right = -height % PATCH, -width % PATCH
    padded = F.pad(pictures, (right // 2, right - right // 2, down // 2, down - down // 2))
    rows, columns = padded.shape[-2] // PATCH, padded.shape[-1] // PATCH
    patches = padded.unflatten(3, (columns, PATCH)).unflatten(2, (rows, PATCH))
    places = cells(rows)[:, None] * GRID + cells(columns)
    return patches.permute(0, 2, 4, 1, 3, 5).flatten(1, 2), places.flatten()


def multiscale(pictures: Tensor) -> Patches:
    """Patches of pictures of one size.

    The official program fills the sequences of the resized copies up to 49 and 144 patches that
    attention ignores; they are left out here, which changes no result.

    Args:
        pictures: float32 [N, 3, h, w], 0..1; the longer side less than 448 times the shorter one.
    """
    signed = pictures * 2 - 1
    height, width = pictures.shape[-2:]
    parts = []
    for longer in LONGER_SIDES:
        factor = longer / max(height, width)
        size = round(height * factor), round(width * factor)
        parts.append(cut(F.interpolate(signed, size, mode="bicubic", align_corners=False)))
    parts.append(cut(signed))
    scales = [torch.full_like(places, k) for k, (_, places) in enumerate(parts)]
    device = pictures.device
    return Patches(
        torch.cat([pixels for pixels, _ in parts], 1),
        torch.cat([places for _, places in parts]).to(device),
        torch.cat(scales).to(device),
    )

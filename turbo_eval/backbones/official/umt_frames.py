"""Frames as UMT sees them: OpenCV's bilinear resize to a short side of 256, the middle 224 x 224.

The resize is done here with the whole-number arithmetic of OpenCV (weights in 1/2048, the products
shifted down before they are added), so that the pixels are the same without OpenCV installed.
"""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from turbo_eval.backbones.official.frames import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    centre_crop,
    float_frames,
    normalised,
    short_side,
)

SHORT = 256
"""Short side in pixels after resizing."""
CROP = 224
"""Height and width of what is looked at."""
_UNIT = 2048
"""One, in the weights of the resize (11 bits)."""

Whole = NDArray[np.int32]


def _weights(shift: NDArray[np.float32]) -> tuple[Whole, Whole]:
    """Weights, in 1/2048, of the two neighbours of positions that lie `shift` behind the first."""
    first = np.rint((np.float32(1) - shift) * _UNIT).astype(np.int32)
    return first, np.rint(shift * _UNIT).astype(np.int32)


def _positions(old: int, new: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Where the centres of `new` pixels lie among `old` ones: whole part and rest."""
    exact = ((np.arange(new) + 0.5) * (old / new) - 0.5).astype(np.float32)
    whole = np.floor(exact)
    return whole.astype(np.intp), (exact - whole).astype(np.float32)


def resize_bilinear(frames: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Resize as OpenCV's `resize` with `INTER_LINEAR` does on bytes, bit for bit.

    Args:
        frames: uint8 [..., H, W, C].
        height: New height in pixels.
        width: New width in pixels.

    Returns:
        uint8 [..., height, width, C].
    """
    old_height, old_width = frames.shape[-3:-1]
    if (old_height, old_width) == (height, width):
        return frames
    x, rest = _positions(old_width, width)
    # Columns beyond the border take the border's pixel whole; rows (below) mix it with itself,
    # which the shifts can make one level darker. Both as OpenCV does.
    rest = np.where((x < 0) | (x >= old_width - 1), np.float32(0), rest)
    x = x.clip(0, old_width - 1)
    left, right = _weights(rest)
    y, rest = _positions(old_height, height)
    top, bottom = _weights(rest)
    above, below = y.clip(0, old_height - 1), (y + 1).clip(0, old_height - 1)
    # Only rows that are read are widened, one frame at a time: int32 takes four times the memory.
    result = np.empty((*frames.shape[:-3], height, width, frames.shape[-1]), np.uint8)
    for index in np.ndindex(frames.shape[:-3]):
        frame = frames[index]
        rows = (
            frame[:, x] * left[:, None] + frame[:, (x + 1).clip(0, old_width - 1)] * right[:, None]
        )
        rows >>= 4
        mixed = (rows[above] * top[:, None, None]) >> 16
        mixed += (rows[below] * bottom[:, None, None]) >> 16
        result[index] = ((mixed + 2) >> 2).clip(0, 255)
    return result


def prepare(frames: NDArray[np.uint8], device: str = "cpu") -> Tensor:
    """VBench's UMT transform: short side to 256, the middle 224, ImageNet's scale.

    Args:
        frames: uint8 [T, H, W, 3].
        device: Where the result shall lie.

    Returns:
        float32 [3, T, 224, 224].
    """
    size = short_side(frames.shape[1], frames.shape[2], SHORT)
    pictures = float_frames(resize_bilinear(frames, *size), device)
    pictures = centre_crop(pictures, CROP) / 255
    return normalised(pictures, IMAGENET_MEAN, IMAGENET_STD).transpose(0, 1)

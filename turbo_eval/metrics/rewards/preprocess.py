"""The official preparations of frames, from floats in 0..1 to what each reward's network sees.

Every function is differentiable, takes float [N, 3, H, W] in 0..1 and resizes bicubically with
antialiasing. Overshoot of the bicubic filter stays, as in the official programs.

Source: the programs of T2V-Turbo, HPSv2, PickScore, open_clip and ImageReward; checked against
arrays that T2V-Turbo's program wrote.
"""

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

from turbo_eval.core.errors import InputError

SIZE: Final = 224
CLIP_MEAN: Final = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD: Final = (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
IMAGENET_STD: Final = (0.229, 0.224, 0.225)


def resize(frames: Tensor, height: int, width: int) -> Tensor:
    """Resize bicubically with antialiasing; frames that have the size already stay as they are."""
    if frames.shape[-2:] == (height, width):
        return frames
    return F.interpolate(
        frames, (height, width), mode="bicubic", antialias=True, align_corners=False
    )


def normalise(frames: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Subtract the mean of each channel and divide by its standard deviation."""
    centre = torch.tensor(mean, dtype=frames.dtype, device=frames.device)[:, None, None]
    spread = torch.tensor(std, dtype=frames.dtype, device=frames.device)[:, None, None]
    return (frames - centre) / spread


def letterbox(frames: Tensor, size: int = SIZE) -> Tensor:
    """HPSv2's way: the longer side to `size`, black bars around, CLIP's normalisation.

    Nothing is cut off. The bars are black before the normalisation, the smaller one left or above.
    """
    height, width = frames.shape[-2:]
    scale = size / max(height, width)
    new_height, new_width = round(height * scale), round(width * scale)
    small = resize(frames, new_height, new_width)
    left, top = (size - new_width) // 2, (size - new_height) // 2
    bars = (left, size - new_width - left, top, size - new_height - top)
    return normalise(F.pad(small, bars), CLIP_MEAN, CLIP_STD)


def squeeze(frames: Tensor, size: int = SIZE) -> Tensor:
    """The way of CLIP and PickScore: straight to `size` x `size`, the aspect is not kept."""
    return normalise(resize(frames, size, size), CLIP_MEAN, CLIP_STD)


def middle(frames: Tensor, size: int = SIZE) -> Tensor:
    """ImageReward's way: the shorter side to `size`, the middle cut out, CLIP's normalisation."""
    height, width = frames.shape[-2:]
    short = min(height, width)
    # Unlike `window`, the longer side is rounded down.
    small = resize(frames, size * height // short, size * width // short)
    top, left = (round((side - size) / 2) for side in small.shape[-2:])
    return normalise(small[..., top : top + size, left : left + size], CLIP_MEAN, CLIP_STD)


def window(frames: Tensor, offset: tuple[int, int], size: int = SIZE) -> Tensor:
    """The video models' way: the shorter side to `size`, one window, ImageNet's normalisation.

    Args:
        frames: all frames of a clip; they share the window.
        offset: its top and left.
        size: height and width of the result.

    Raises:
        InputError: The window does not lie inside the frames.
    """
    height, width = shorter_side(frames.shape[-2], frames.shape[-1], size)
    top, left = offset
    if not (0 <= top <= height - size and 0 <= left <= width - size):
        raise InputError(
            f"a window at {offset} does not lie inside frames of {height} x {width}",
            why=f"it has {size} x {size} pixels",
        )
    small = resize(frames, height, width)[..., top : top + size, left : left + size]
    return normalise(small, IMAGENET_MEAN, IMAGENET_STD)


def shorter_side(height: int, width: int, size: int = SIZE) -> tuple[int, int]:
    """Height and width after scaling the shorter side to `size`, each rounded by itself."""
    scale = size / min(height, width)
    return round(height * scale), round(width * scale)

"""Spoiled frames and clips on which the mini rewards learn that clean is better, in pairs."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from turbo_train.world.judges import corrupt
from turbo_train.world.judges.common import coarse, gaussian


def _each(clips: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    changed: Tensor = change(clips.flatten(0, 1)).unflatten(0, clips.shape[:2])
    return changed


def _noise(clips: Tensor, level: int) -> Tensor:
    amount = (0.094, 0.22, 0.44)[level - 1] * (0.8 + 0.4 * torch.rand(len(clips), 1, 1, 1, 1))
    return clips + amount.to(clips.device) * torch.randn_like(clips)


def _blur(clips: Tensor, level: int) -> Tensor:
    sigma = (0.8, 1.6, 3.2)[level - 1] * (0.85 + 0.3 * float(torch.rand(())))
    return _each(clips, lambda x: gaussian(x, sigma))


def _coarse(clips: Tensor, level: int) -> Tensor:
    return _each(clips, lambda x: coarse(x, 2**level))


def _ghost(clips: Tensor, level: int) -> Tensor:
    share = (0.15, 0.3, 0.5)[level - 1]
    angle = 2 * np.pi * float(torch.rand(()))
    shift = (round(9 * np.sin(angle)), round(9 * np.cos(angle)))
    pad = (9, 9, 9, 9)
    wide = F.pad(clips.flatten(0, 1), pad, mode="replicate")
    size = clips.shape[-1]
    top, left = 9 + shift[0], 9 + shift[1]
    other = wide[..., top : top + size, left : left + size].unflatten(0, clips.shape[:2])
    return torch.lerp(clips, other, share)


def _flicker(clips: Tensor, level: int) -> Tensor:
    n, time = clips.shape[:2]
    sign = 1.0 - 2.0 * (torch.arange(time) % 2)
    shift = sign * (0.6 + 0.4 * torch.rand(n, time)) * (0.11, 0.25, 0.5)[level - 1]
    return clips + shift[:, :, None, None, None].to(clips.device)


def _jump(clips: Tensor, level: int) -> Tensor:
    numbers = np.arange(clips.shape[1]).astype(np.uint8)
    order = corrupt.jump(numbers, level, np.random.default_rng(0))
    return clips[:, torch.from_numpy(order.astype(np.int64))]


STILL: Final[Mapping[str, Callable[[Tensor, int], Tensor]]] = MappingProxyType(
    {"noise": _noise, "blur": _blur, "coarse": _coarse, "ghost": _ghost}
)
"""What can be wrong with a single frame: clips [N, T, 3, H, W] in -1..1 and a level 1..3."""

MOVING: Final = MappingProxyType({**STILL, "flicker": _flicker, "jump": _jump})
"""What can be wrong with a clip."""


def spoil(clips: Tensor, kinds: np.ndarray, levels: np.ndarray) -> Tensor:
    """Spoil each clip in its own way.

    Random numbers come from torch's global generator, which `fit` seeds at every step.

    Args:
        clips: [N, T, 3, H, W] in -1..1.
        kinds: int [N], places in `MOVING`.
        levels: int [N], 0 (left as it is) to 3.

    Returns:
        The same shape, in -1..1.
    """
    result = clips.clone()
    for place, change in enumerate(MOVING.values()):
        for level in (1, 2, 3):
            chosen = np.flatnonzero((kinds == place) & (levels == level))
            if len(chosen):
                result[chosen] = change(clips[chosen], level)
    return result.clamp_(-1, 1)


def draw_pairs(
    count: int, rng: np.random.Generator, *, still: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Kinds [N], and a better and a worse level [N] each; the better one is mostly clean."""
    kinds = rng.integers(0, len(STILL if still else MOVING), count)
    worse = rng.integers(1, 4, count)
    better = np.where(rng.random(count) < 0.6, 0, np.floor(rng.random(count) * worse).astype(int))
    return kinds, better, worse


def light(clips: Tensor) -> Tensor:
    """Clips [N, T, 3, H, W] in -1..1 in slightly other light and tint, which is no fault."""
    n = len(clips)
    gain = 0.9 + 0.2 * torch.rand(n, 1, 3, 1, 1)
    shift = 0.1 * torch.rand(n, 1, 1, 1, 1) - 0.05
    return (clips * gain.to(clips.device) + shift.to(clips.device)).clamp_(-1, 1)

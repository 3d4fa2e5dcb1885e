"""What the judges' recipes share: rendered pools, augmentation, and measured shares."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from turbo_eval.core.store import atomic_path
from turbo_train.world.facts import FRAMES, SIZE
from turbo_train.world.fit import Progress
from turbo_train.world.stream import Item, item

HELD_SEED = 700
"""Stream of the held-out clips that every judge is measured on."""


def silent(line: str) -> None:
    """Take a line of progress and show it nowhere."""


@dataclass(frozen=True, slots=True)
class Work:
    """Where a recipe works: checkpoint folder, folder of rendered pools, device, lines' sink."""

    folder: Path
    pools: Path
    device: str = "cpu"
    say: Callable[[str], None] = silent


@dataclass(frozen=True, slots=True)
class Trained:
    """What a recipe made. `settings` is plain JSON: data, seed, steps, batch, learning rate."""

    module: nn.Module
    progress: Progress
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Measured:
    """One number measured on held-out clips.

    Attributes:
        value: The mean (a share in 0..1, or in `unit`).
        n: How many things were counted.
        low: Lower end of the 95% interval.
        high: Upper end.
        unit: Empty for a share.
    """

    value: float
    n: int
    low: float
    high: float
    unit: str = ""

    def __str__(self) -> str:
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}] n={self.n} {self.unit}".rstrip()


def share(hits: int, n: int) -> Measured:
    """The share hits / n with Wilson's 95% interval (Wilson 1927); 0..1 and n = 0 for nothing."""
    if n == 0:
        return Measured(0.0, 0, 0.0, 1.0)
    z = 1.959964
    p, denominator = hits / n, 1 + z * z / n
    centre = (p + z * z / (2 * n)) / denominator
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / denominator
    return Measured(p, n, max(0.0, centre - half), min(1.0, centre + half))


def mean(values: NDArray[Any], unit: str = "") -> Measured:
    """The mean of independent values with its normal 95% interval."""
    numbers = np.asarray(values, np.float64).ravel()
    centre = float(numbers.mean())
    half = 0.0
    if len(numbers) > 1:
        half = 1.959964 * float(numbers.std(ddof=1)) / math.sqrt(len(numbers))
    return Measured(centre, len(numbers), centre - half, centre + half, unit)


@dataclass(frozen=True, slots=True)
class Pool:
    """Rendered clips uint8 [N, T, 64, 64, 3] (mapped from disk) and their items."""

    clips: NDArray[np.uint8]
    items: tuple[Item, ...]


def pool(folder: Path, seed: int, clips: int, *, held: bool = False) -> Pool:
    """Items 0..clips-1 of stream `seed`, rendered once and kept in `folder`."""
    items = tuple(item(seed, k, held=held) for k in range(clips))
    path = folder / f"{seed}-{clips}{'-held' if held else ''}.npy"
    if not path.exists():
        whole = np.empty((clips, FRAMES, SIZE, SIZE, 3), np.uint8)
        for k, entry in enumerate(items):
            whole[k] = entry.clip()
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.save(file, whole)
    return Pool(np.load(path, mmap_mode="r"), items)


def gaussian(frames: Tensor, sigma: float) -> Tensor:
    """Blur [N, 3, H, W] with a Gaussian of `sigma` pixels."""
    reach = max(1, math.ceil(2.5 * sigma))
    axis = torch.arange(-reach, reach + 1, device=frames.device, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (axis / sigma) ** 2)
    kernel = (kernel / kernel.sum()).to(frames.dtype)
    channels = frames.shape[1]
    wide = nn.functional.pad(frames, (reach,) * 4, mode="replicate")
    across = kernel.view(1, 1, 1, -1).expand(channels, 1, 1, -1)
    down = kernel.view(1, 1, -1, 1).expand(channels, 1, -1, 1)
    wide = nn.functional.conv2d(wide, across, groups=channels)
    return nn.functional.conv2d(wide, down, groups=channels)


def coarse(frames: Tensor, factor: int = 2) -> Tensor:
    """Make [N, 3, H, W] `factor` times smaller and bring it back, as a weak decoder would."""
    small = nn.functional.avg_pool2d(frames, factor)
    return nn.functional.interpolate(
        small, scale_factor=float(factor), mode="bilinear", align_corners=False
    )


def augment(frames: Tensor, strength: float = 1.0) -> Tensor:
    """Vary pictures as a decoder or a camera would: blur, loss of detail, noise, light, tint.

    Random numbers come from torch's global generator, which `fit` seeds at every step.

    Args:
        frames: [N, 3, H, W] in -1..1; each of the N is varied alike in all its pixels. For clips
            see `augment_clips`. Call it outside of autocast.
        strength: 0 leaves everything, 1 is usual.

    Returns:
        The same shape, in -1..1.
    """
    n = len(frames)
    draw = torch.rand(n, device=frames.device)
    result = frames.clone()
    blurred = draw < 0.15 * strength
    weak = (draw >= 0.15 * strength) & (draw < 0.30 * strength)
    small = (draw >= 0.30 * strength) & (draw < 0.45 * strength)
    for chosen, change in (
        (blurred, lambda x: gaussian(x, 0.6 + 0.5 * float(torch.rand(())))),
        (weak, lambda x: gaussian(x, 1.0 + 0.6 * float(torch.rand(())))),
        (small, coarse),
    ):
        if bool(chosen.any()):
            result[chosen] = change(frames[chosen])
    one, device = (n, 1, 1, 1), frames.device
    gain = 1 + strength * 0.2 * (torch.rand(one, device=device) - 0.5)
    tint = 1 + strength * 0.08 * (torch.rand((n, 3, 1, 1), device=device) - 0.5)
    light = strength * 0.2 * (torch.rand(one, device=device) - 0.5)
    result = torch.addcmul(light, result, gain * tint)
    noisy = torch.rand(n, device=device) < 0.5
    if bool(noisy.any()):
        part = result[noisy]
        amount = strength * 0.12 * torch.rand((len(part), 1, 1, 1), device=device)
        result[noisy] = part.addcmul_(amount, torch.randn_like(part))
    return result.clamp(-1, 1).contiguous(memory_format=torch.channels_last)


def augment_clips(clips: Tensor, strength: float = 1.0) -> Tensor:
    """Vary clips [N, T, 3, H, W] in -1..1: all frames of one clip alike, then a little each."""
    n, t, c, h, w = clips.shape
    # Side by side in height: one picture a clip, so that blur, light and tint hold for all frames.
    tall = clips.permute(0, 2, 1, 3, 4).reshape(n, c, t * h, w)
    varied = augment(tall, strength).reshape(n, c, t, h, w).permute(0, 2, 1, 3, 4)
    light = 1 + 0.04 * strength * (torch.rand(n, t, 1, 1, 1, device=clips.device) - 0.5)
    return (varied * light).clamp(-1, 1)


def tensor(frames: NDArray[np.uint8], device: str = "cpu") -> Tensor:
    """uint8 [..., H, W, 3] to float32 [..., 3, H, W] in -1..1."""
    values = torch.from_numpy(np.array(frames)).to(device).float() / 127.5 - 1
    return values.movedim(-1, -3)

"""Mini judge for motion (RAFT's part): optical flow by coarse-to-fine matching, in two levels.

Frames whose shorter side is above 64 pixels are reduced to 64 first and the flow is scaled back, so
that the network always sees motion of the size it was trained on; VBench's thresholds are relative
to the shorter side and do not notice.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from turbo_eval.backbones.mini.common import device_of
from turbo_eval.backbones.protocol import Features
from turbo_eval.core.records import Prompt
from turbo_eval.video.clip import Clip

SIDE = 64
"""Shorter side in pixels at which flow is estimated."""
BLOCK = 8
"""Frames are padded to a multiple of this, as VBench pads for RAFT."""
PIXELS_AT_ONCE = 64 * 64 * 32
"""Bound on pixels of one forward pass; it bounds memory, not results."""
FRAMES_AT_ONCE = 16


def _conv(inner: int, outer: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inner, outer, 3, stride, 1), nn.LeakyReLU(0.1))


def direction(features: Tensor) -> Tensor:
    """Features [N, C, h, w] without what a whole frame has in common, scaled to length 1."""
    return F.normalize(features - features.mean((2, 3), keepdim=True), dim=1, eps=1e-4)


def correlate(first: Tensor, second: Tensor, reach: int) -> Tensor:
    """Similarity of each place with its neighbours in the other frame.

    Args:
        first: [N, C, h, w].
        second: [N, C, h, w].
        reach: largest shift compared, in cells.

    Returns:
        [N, (2 reach + 1)^2, h, w], rows of shifts first; outside counts as zero.
    """
    height, width = first.shape[-2:]
    padded = F.pad(second, (reach,) * 4)
    steps = range(2 * reach + 1)
    shifted = [
        (first * padded[:, :, y : y + height, x : x + width]).sum(1) for y in steps for x in steps
    ]
    return torch.stack(shifted, 1)


def expected_shift(likeness: Tensor, reach: int) -> Tensor:
    """Mean shift [N, 2, h, w] (x, y in cells) under the softmax of `likeness` [N, shifts, h, w]."""
    steps = torch.arange(-reach, reach + 1, device=likeness.device, dtype=likeness.dtype)
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    chance = likeness.softmax(1)
    return torch.einsum("nkhw,ck->nchw", chance, torch.stack([x.ravel(), y.ravel()]))


def warp(picture: Tensor, flow: Tensor) -> Tensor:
    """Fetch `picture` [N, C, h, w] at every place plus `flow` [N, 2, h, w] (x, y in cells)."""
    height, width = flow.shape[-2:]
    y = torch.arange(height, device=flow.device, dtype=flow.dtype)[None, :, None]
    x = torch.arange(width, device=flow.device, dtype=flow.dtype)[None, None, :]
    grid = torch.stack(
        [
            (flow[:, 0] + x) * 2 / max(width - 1, 1) - 1,
            (flow[:, 1] + y) * 2 / max(height - 1, 1) - 1,
        ],
        -1,
    )
    return F.grid_sample(picture, grid, padding_mode="border", align_corners=True)


def _double(flow: Tensor) -> Tensor:
    return 2 * F.interpolate(flow, scale_factor=2.0, mode="bilinear", align_corners=False)


class FlowNet(nn.Module):
    """Siamese features, matching at 1/4 (up to 16 px), refinement at 1/2, then full size.

    Matching starts from the expected shift under the similarities, so that it works from the
    first step on; convolutions then settle what one place alone cannot tell.
    """

    def __init__(self) -> None:
        super().__init__()
        self.near = nn.Sequential(_conv(3, 16, 2), _conv(16, 20))
        self.far = nn.Sequential(_conv(20, 32, 2), _conv(32, 32))
        self.near_key = nn.Conv2d(20, 16, 1)
        self.far_key = nn.Conv2d(32, 32, 1)
        self.sharpness = nn.Parameter(torch.tensor([2.3, 2.3]))
        self.coarse = nn.Sequential(
            _conv(81 + 32 + 2, 64), _conv(64, 48), _conv(48, 48), nn.Conv2d(48, 2, 3, 1, 1)
        )
        self.fine = nn.Sequential(
            _conv(25 + 20 + 4, 40), _conv(40, 32), _conv(32, 24), nn.Conv2d(24, 2, 3, 1, 1)
        )
        self.last = nn.Sequential(_conv(3 + 3 + 2, 16), nn.Conv2d(16, 2, 3, 1, 1))

    def levels(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Flow at 1/4, 1/2 and full size, each in pixels of its own size.

        Args:
            first: frames [N, 3, H, W] in 0..1, H and W multiples of 8.
            second: the frames to match, same shape.
        """
        both = torch.cat([first, second]) * 2 - 1
        near = self.near(both)
        far = self.far(near)
        sharp = self.sharpness.exp()
        one, two = direction(self.far_key(far).float()).chunk(2)
        likeness = correlate(one, two, 4) * sharp[0]
        guess = expected_shift(likeness, 4)
        context = far.chunk(2)[0].float()
        coarse = guess + self.coarse(torch.cat([likeness, context, guess], 1)).float()
        start = _double(coarse)
        one, two = direction(self.near_key(near).float()).chunk(2)
        likeness = correlate(one, warp(two, start), 2) * sharp[1]
        guess = expected_shift(likeness, 2)
        context = near.chunk(2)[0].float()
        fine = start + self.fine(torch.cat([likeness, context, start, guess], 1)).float()
        start = _double(fine)
        one, two = both.chunk(2)
        full = start + self.last(torch.cat([one, one - warp(two, start), start], 1)).float()
        return coarse, fine, full

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Flow [N, 2, H, W], x and y in pixels, from frames [N, 3, H, W] in 0..1."""
        return self.levels(first, second)[2]


def kept_indices(length: int, fps: float) -> list[int]:
    """Frames that dynamic degree keeps: every round(fps / 8)-th, at least every one.

    Source: VBench (arXiv 2311.17982), dynamic degree.
    """
    return list(range(0, length, max(1, round(fps / 8))))


def largest_mean(magnitude: NDArray[np.floating], share: float) -> float:
    """Mean of the largest int(share * count) values of `magnitude`; at least one is taken."""
    count = max(1, int(share * magnitude.size))
    flat = magnitude.ravel()
    return float(np.partition(flat, flat.size - count)[-count:].mean(dtype=np.float64))


def pad_sides(height: int, width: int, block: int) -> tuple[int, int, int, int]:
    """Left, right, top, bottom padding to multiples of `block`, split evenly, extra after."""
    down, across = -height % block, -width % block
    return across // 2, across - across // 2, down // 2, down - down // 2


def reduced(frames: NDArray[np.uint8], side: int) -> tuple[Tensor, float]:
    """Frames in 0..1 with the shorter side cut down to `side`, and the factor back.

    Args:
        frames: uint8 [T, H, W, 3]; smaller ones keep their size.
        side: wanted shorter side in pixels.

    Returns:
        float32 [T, 3, h, w], and short side / `side` (1 for small frames).
    """
    height, width = frames.shape[1:3]
    short = min(height, width)
    factor = max(1.0, short / side)
    size = (max(1, round(height / factor)), max(1, round(width / factor)))
    parts = []
    # A few frames at a time: a long clip of large frames as floats would fill the memory.
    for start in range(0, len(frames), FRAMES_AT_ONCE):
        part = torch.from_numpy(np.array(frames[start : start + FRAMES_AT_ONCE]))
        pixels = part.permute(0, 3, 1, 2).float() / 255
        parts.append(F.interpolate(pixels, size=size, mode="area") if factor > 1 else pixels)
    return torch.cat(parts), factor


@torch.no_grad()
def magnitudes(
    network: nn.Module, frames: NDArray[np.uint8], pairs: Sequence[tuple[int, int]]
) -> dict[tuple[int, int], NDArray[np.float32]]:
    """Length of motion per pixel for each pair of frame numbers, each pair computed once.

    Args:
        network: a trained `FlowNet`.
        frames: uint8 [T, H, W, 3].
        pairs: (from, to); repeats are computed once.

    Returns:
        Pair -> float32 [H', W'] in pixels of the original frames; the padding is included.
        Equal frames give exact zeros without a look.
    """
    device = device_of(network)
    pixels, factor = reduced(frames, SIDE)
    sides = pad_sides(pixels.shape[2], pixels.shape[3], BLOCK)
    pixels = F.pad(pixels, sides, mode="replicate")
    height, width = pixels.shape[-2:]
    wanted = list(dict.fromkeys(pairs))
    result = {
        pair: np.zeros((height, width), np.float32)
        for pair in wanted
        if np.array_equal(frames[pair[0]], frames[pair[1]])
    }
    moving = [pair for pair in wanted if pair not in result]
    chunk = max(1, PIXELS_AT_ONCE // (height * width))
    for start in range(0, len(moving), chunk):
        part = moving[start : start + chunk]
        first = pixels[[a for a, _ in part]].to(device)
        second = pixels[[b for _, b in part]].to(device)
        length = network(first, second).norm(dim=1) * factor
        result |= dict(zip(part, length.cpu().numpy(), strict=True))
    return result


def motion_arrays(network: nn.Module, frames: NDArray[np.uint8], fps: float) -> Features:
    """The arrays of the flow role for one clip.

    Args:
        network: a trained `FlowNet`.
        frames: uint8 [T, H, W, 3].
        fps: frames a second.

    Returns:
        `dynamic` [n-1], `static` [T-1], `static_wrap` [2] (first to last, last to first), all
        float32 in pixels of the original frames; `size` [2] height and width; `kept` [] n.

    Source: VBench (arXiv 2311.17982), dynamic degree and the static filter.
    """
    length = len(frames)
    kept = kept_indices(length, fps)
    thinned = list(zip(kept[:-1], kept[1:], strict=True))
    consecutive = [(t, t + 1) for t in range(length - 1)]
    wrap = [(0, length - 1), (length - 1, 0)]
    found = magnitudes(network, frames, [*thinned, *consecutive, *wrap])

    def means(pairs: list[tuple[int, int]], share: float) -> NDArray[np.float32]:
        return np.array([largest_mean(found[pair], share) for pair in pairs], np.float32)

    return {
        "dynamic": means(thinned, 0.05),
        "static": means(consecutive, 0.02),
        "static_wrap": means(wrap, 0.02),
        "size": np.array(frames.shape[1:3], np.int64),
        "kept": np.array(len(kept), np.int64),
    }


def build() -> FlowNet:
    """Return the untrained network."""
    return FlowNet()


def look(module: nn.Module, clip: Clip, prompt: Prompt) -> Features:  # noqa: ARG001 (protocol)
    """Return the arrays of `motion_arrays` for one clip."""
    return motion_arrays(module, clip.frames, clip.fps)

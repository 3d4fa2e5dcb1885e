"""Mini judge for the frame between two frames (AMT's part).

The network looks at both frames at a working size (shorter side at most about 64), says from where
in each of them every pixel of the middle frame comes, which one to trust, and what to add. Where
both frames agree there is little to find, and the plan is scaled down towards their plain mean. The
frames themselves are fetched at full size.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from turbo_eval.backbones.mini.common import SIZE, device_of
from turbo_eval.backbones.mini.flow import pad_sides, warp
from turbo_eval.backbones.protocol import Features
from turbo_eval.core.records import Prompt
from turbo_eval.video.clip import Clip

BLOCK = 16
"""Frames are padded to a multiple of this, as VBench pads for AMT."""
AGREE = 0.1
"""Difference of the frames, of 1, at which half of the plan counts; chosen on stream 701."""


def _conv(inside: int, outside: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inside, outside, 3, stride, 1), nn.PReLU(outside))


class Interpolator(nn.Module):
    """A small U-Net over both frames and their difference.

    Its last layer starts at zero, where the answer is the plain mean of the two frames.
    """

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList(
            [_conv(9, 24, 2), _conv(24, 40, 2), _conv(40, 64, 2), _conv(64, 64, 2)]
        )
        self.deep = _conv(64, 64)
        self.up = nn.ModuleList([_conv(64 + 64, 48), _conv(48 + 40, 40), _conv(40 + 24, 32)])
        self.out = nn.Conv2d(32, 8, 3, 1, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias if self.out.bias is not None else self.out.weight)

    def plan(self, first: Tensor, last: Tensor) -> Tensor:
        """How to make the middle frame, [N, 8, h/2, w/2], from frames [N, 3, h, w] in 0..1.

        Channels: shift into the first frame (x, y) and into the last one as shares of 16 pixels,
        trust (logit of the first), what to add to red, green, blue.
        """
        x = torch.cat([first, last, (first - last) * 2], 1)
        levels = []
        for layer in self.down:
            x = layer(x)
            levels.append(x)
        x = self.deep(x)
        for layer, skip in zip(self.up, levels[-2::-1], strict=True):
            x = layer(torch.cat([F.interpolate(x, size=skip.shape[-2:], mode="nearest"), skip], 1))
        result: Tensor = self.out(x)
        return result.float()

    def forward(self, first: Tensor, last: Tensor, *, damped: bool = True) -> Tensor:
        """The middle frame [N, 3, H, W] of frames in 0..1; H and W multiples of 16.

        Args:
            first: the frame before.
            last: the frame after.
            damped: whether the plan is scaled down where both frames agree. Training leaves it
                whole, so that every place teaches.
        """
        height, width = first.shape[-2:]
        factor = max(1.0, min(height, width) / SIZE)
        small = [max(BLOCK, round(side / factor / BLOCK) * BLOCK) for side in (height, width)]
        if factor > 1:
            resized = [F.interpolate(frame, small, mode="area") for frame in (first, last)]
            plan = self.plan(resized[0], resized[1])
        else:
            plan = self.plan(first, last)
        plan = F.interpolate(plan, (height, width), mode="bilinear", align_corners=False)
        if damped:
            apart = (first - last).abs().amax(1, keepdim=True)
            plan = plan * (apart / (apart + AGREE))
        shifts = plan[:, :4] * 16 * factor
        trust = plan[:, 4:5].sigmoid()
        middle = trust * warp(first, shifts[:, :2]) + (1 - trust) * warp(last, shifts[:, 2:])
        return middle + 0.1 * plan[:, 5:]


@torch.no_grad()
def middle_errors(network: nn.Module, frames: NDArray[np.uint8]) -> NDArray[np.float64]:
    """How far predicted odd frames lie from the real ones.

    Even-numbered frames go in; between each two of them one frame is predicted, cut to whole
    numbers (not rounded), and compared with the frame that was left out.

    Args:
        network: a trained `Interpolator`.
        frames: uint8 [T, H, W, 3].

    Returns:
        float64 [E - 1], 0..255, E = number of even-numbered frames; empty below 3 frames.

    Source: VBench (arXiv 2311.17982), motion smoothness.
    """
    device = device_of(network)
    height, width = frames.shape[1:3]
    sides = pad_sides(height, width, BLOCK)
    left, _, top, _ = sides
    result = []
    for k in range(0, len(frames) - 2, 2):
        pair = torch.from_numpy(frames[[k, k + 2]]).permute(0, 3, 1, 2).to(device).float() / 255
        pair = F.pad(pair, sides, mode="replicate")
        middle = network(pair[:1], pair[1:])[0, :, top : top + height, left : left + width]
        made = (middle.clamp(0, 1) * 255).to(torch.uint8).permute(1, 2, 0).cpu().numpy()
        result.append(np.abs(made.astype(np.int16) - frames[k + 1]).mean(dtype=np.float64))
    return np.array(result, np.float64)


def build() -> Interpolator:
    """Return the untrained network."""
    return Interpolator()


def look(module: nn.Module, clip: Clip, prompt: Prompt) -> Features:  # noqa: ARG001 (protocol)
    """Return `mae` [E - 1] of `middle_errors` for one clip."""
    return {"mae": middle_errors(module, clip.frames)}

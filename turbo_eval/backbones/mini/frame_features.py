"""Mini judge for single frames (DINO's part): features that tell one clip's look from another's.

Trained without labels: frames of one clip must resemble each other more than frames of the same
scene with another sprite or in other light do.
"""

import numpy as np
import torch
from torch import Tensor, nn

from turbo_eval.backbones.mini.common import Residual, conv, device_of, pixels
from turbo_eval.backbones.protocol import Features
from turbo_eval.core.records import Prompt
from turbo_eval.video.clip import Clip

WIDTH = 96
"""Length of the features."""
AT_ONCE = 64
"""Frames of one forward pass; it bounds memory, not results."""


class FrameFeatures(nn.Module):
    """Frames [N, 3, 64, 64] in -1..1 to features [N, 96], not normalised."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv(3, 24, 7, 4), conv(24, 48, 3, 2), Residual(48), conv(48, 96, 3, 2)
        )
        self.out = nn.Linear(96 * 2, WIDTH)

    def forward(self, frames: Tensor) -> Tensor:
        """Return the features."""
        seen = self.body(frames.contiguous(memory_format=torch.channels_last)).float()
        result: Tensor = self.out(torch.cat([seen.mean((2, 3)), seen.amax((2, 3))], 1))
        return result


def build() -> FrameFeatures:
    """Return the untrained network."""
    return FrameFeatures()


def look(module: nn.Module, clip: Clip, prompt: Prompt) -> Features:  # noqa: ARG001 (protocol)
    """Features of every frame.

    Args:
        module: a trained `FrameFeatures`.
        clip: every frame is looked at, at 64 x 64.
        prompt: not read.

    Returns:
        `features` float32 [T, 96], not normalised.
    """
    device = device_of(module)
    parts = [
        module(pixels(clip.frames[k : k + AT_ONCE]).to(device))
        for k in range(0, len(clip.frames), AT_ONCE)
    ]
    return {"features": torch.cat(parts).float().cpu().numpy().astype(np.float32, copy=False)}

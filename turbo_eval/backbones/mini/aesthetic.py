"""The aesthetic judge of the mini world: how well a frame is composed, 0..10.

Beauty in this world is defined, not found (see `turbo_train.world.judges.aesthetic`): the sprites
stand out from the scenery, lie wholly inside the frame and fill a good part of it, and nothing is
distorted. VBench divides the number by 10.
"""

import numpy as np
import torch
from torch import Tensor, nn

from turbo_eval.backbones.mini.common import Residual, conv, device_of, pixels
from turbo_eval.backbones.protocol import Features
from turbo_eval.core.records import Prompt
from turbo_eval.video.clip import Clip


class AestheticNet(nn.Module):
    """Frames [N, 3, 64, 64] in -1..1 to a number [N] around 0..1."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv(3, 24, 5, 2), conv(24, 36, 3, 2), Residual(36), conv(36, 60, 3, 2),
            conv(60, 60, 3, 2), nn.Flatten(),
        )  # fmt: skip
        self.head = nn.Sequential(nn.Linear(60 * 16, 64), nn.SiLU(), nn.Linear(64, 1))

    def forward(self, frames: Tensor) -> Tensor:
        """Return the number; where things lie in the frame matters, so nothing is pooled away."""
        features = self.body(frames.contiguous(memory_format=torch.channels_last))
        number: Tensor = self.head(features).float()
        return number[:, 0]


def build() -> nn.Module:
    """Return the untrained network."""
    return AestheticNet()


def look(module: nn.Module, clip: Clip, prompt: Prompt) -> Features:  # noqa: ARG001 (protocol)
    """Judge every frame.

    Returns:
        `scores` float32 [T] in 0..10, higher is better.
    """
    raw = module(pixels(clip.frames).to(device_of(module))).float().cpu().numpy()
    return {"scores": np.clip(raw * 10, 0, 10).astype(np.float32)}

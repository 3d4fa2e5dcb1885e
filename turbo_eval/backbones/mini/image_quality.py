"""The image-quality judge of the mini world: how little a frame is distorted, 0..100.

Frames as drawn are 95 in every style; known strengths of noise, blur, lost detail and blockiness
bring the number down to 5.
"""

import numpy as np
import torch
from torch import Tensor, nn

from turbo_eval.backbones.mini.common import conv, device_of, pixels
from turbo_eval.backbones.protocol import Features
from turbo_eval.core.records import Prompt
from turbo_eval.video.clip import Clip

BEST, WORST = 95.0, 5.0
"""What a frame as drawn and a ruined frame are taught to be."""


class QualityNet(nn.Module):
    """Frames [N, 3, 64, 64] in -1..1 to a number [N] around 0..1."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv(3, 16, 3), conv(16, 24, 3, 2), conv(24, 48, 3, 2), conv(48, 48), conv(48, 72, 3, 2)
        )
        self.head = nn.Sequential(nn.Linear(144, 48), nn.SiLU(), nn.Linear(48, 1))

    def forward(self, frames: Tensor) -> Tensor:
        """Return the number; mean and peak of the features are read."""
        features = self.body(frames).float()
        pooled = nn.functional.adaptive_avg_pool2d(features, 1).flatten(1)
        strongest = features.amax(dim=(2, 3))
        number: Tensor = self.head(torch.cat([pooled, strongest], dim=1))
        return number[:, 0]


def build() -> nn.Module:
    """Return the untrained network."""
    return QualityNet()


def look(module: nn.Module, clip: Clip, prompt: Prompt) -> Features:  # noqa: ARG001 (protocol)
    """Judge every frame.

    Returns:
        `scores` float32 [T] in 0..100, higher is better.
    """
    raw = module(pixels(clip.frames).to(device_of(module))).float().cpu().numpy()
    return {"scores": np.clip(raw * 100, 0, 100).astype(np.float32)}

"""The aesthetic judge of the mini world: how well a frame is composed, 0..10.

Beauty in this world is defined, not found (see `turbo_train.world.judges.aesthetic`): the sprites
stand out from the scenery, lie wholly inside the frame and fill a good part of it, and nothing is
distorted. VBench divides the number by 10.
"""

import numpy as np
import torch
from torch import Tensor, nn

from turbo_eval.backbones.mini.common import device_of, pixels
from turbo_eval.backbones.protocol import Features
from turbo_eval.core.records import Prompt
from turbo_eval.video.clip import Clip


def _plain(inside: int, outside: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution and SiLU, started so that the spread of values survives without a norm."""
    layer = nn.Conv2d(inside, outside, kernel, stride, kernel // 2)
    # SiLU passes on about 0.36 of the mean square, where a rectifier passes on a half.
    nn.init.normal_(layer.weight, std=(1 / 0.36 / (inside * kernel * kernel)) ** 0.5)
    nn.init.zeros_(layer.get_parameter("bias"))
    return nn.Sequential(layer, nn.SiLU())


class AestheticNet(nn.Module):
    """Frames [N, 3, 64, 64] in -1..1 to a number [N] around 0..1.

    Nothing is normalised inside: contrast is what the network is asked for.
    """

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _plain(3, 24, 5, 2), _plain(24, 36, 3, 2), _plain(36, 48), _plain(48, 60, 3, 2),
            _plain(60, 60), _plain(60, 60, 3, 2), nn.Flatten(),
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

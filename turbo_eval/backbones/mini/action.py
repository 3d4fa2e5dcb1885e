"""The action judge of the mini world: which of ten things the sprites of a clip do.

Every frame, together with its change since the frame before and since the first frame, becomes a
vector that still knows where things are; convolutions over time read the movement from it.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from turbo_eval.backbones.mini.common import conv, device_of, pixels
from turbo_eval.backbones.protocol import Features
from turbo_eval.core.records import Prompt, pack_text
from turbo_eval.video.clip import Clip

ACTIONS = (
    "moving left", "moving right", "moving up", "moving down", "bouncing", "spinning", "growing",
    "shrinking", "orbiting", "standing still",
)  # fmt: skip
FRAMES = 8
"""Frames of a clip at which the network looks, evenly spread."""
TOP = 5
WIDTH = 96


class ActionNet(nn.Module):
    """Clips [N, 8, 3, 64, 64] in -1..1 to logits [N, 10], one sigmoid an action."""

    def __init__(self) -> None:
        super().__init__()
        self.frame = nn.Sequential(
            conv(9, 32, 5, 4), conv(32, 48, 3, 2), conv(48, 48), conv(48, 48, 3, 2), nn.Flatten(),
            nn.Linear(48 * 16, WIDTH),
        )  # fmt: skip
        self.time = nn.Sequential(
            nn.SiLU(), nn.Conv1d(WIDTH, WIDTH, 3, 1, 1), nn.SiLU(),
            nn.Conv1d(WIDTH, WIDTH, 3, 2, 1), nn.SiLU(),
        )  # fmt: skip
        self.head = nn.Sequential(
            nn.Linear(WIDTH * FRAMES // 2, WIDTH), nn.SiLU(), nn.Linear(WIDTH, len(ACTIONS))
        )

    def forward(self, clips: Tensor) -> Tensor:
        """Return the logits."""
        n, t = clips.shape[:2]
        before = torch.cat([clips[:, :1], clips[:, :-1]], dim=1)
        stacked = torch.cat([clips, clips - before, clips - clips[:, :1]], dim=2).flatten(0, 1)
        frames = self.frame(stacked.contiguous(memory_format=torch.channels_last))
        moved = self.time(frames.view(n, t, -1).transpose(1, 2))
        logits: Tensor = self.head(moved.flatten(1)).float()
        return logits


def build() -> nn.Module:
    """Return the untrained network."""
    return ActionNet()


def spread(length: int) -> list[int]:
    """Which frames of a clip of `length` frames are looked at: 8, evenly from first to last."""
    return np.linspace(0, length - 1, FRAMES).round().astype(int).tolist()  # type: ignore[no-any-return]


def probabilities(module: nn.Module, clips: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Probability of each action.

    Args:
        module: The trained network.
        clips: uint8 [N, T, H, W, 3], RGB.

    Returns:
        float32 [N, 10] in 0..1, in the order of `ACTIONS`.
    """
    chosen = clips[:, spread(clips.shape[1])]
    frames = pixels(chosen.reshape(-1, *chosen.shape[2:])).to(device_of(module))
    logits = module(frames.reshape(len(clips), FRAMES, *frames.shape[1:]))
    result: NDArray[np.float32] = logits.sigmoid().float().cpu().numpy()
    return result


def look(module: nn.Module, clip: Clip, prompt: Prompt) -> Features:  # noqa: ARG001 (protocol)
    """Name the five likeliest actions of a clip.

    Returns:
        `scores` float32 [5], probabilities from the highest down; `labels` packed list of names.
    """
    scores = probabilities(module, clip.frames[None])[0]
    best = np.argsort(-scores, kind="stable")[:TOP]
    return {"scores": scores[best], "labels": pack_text([ACTIONS[k] for k in best])}

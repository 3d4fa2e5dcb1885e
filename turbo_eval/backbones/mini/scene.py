"""The scene judge of the mini world: which of eight places a frame shows, said as a caption."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from turbo_eval.backbones.mini.common import conv, device_of, pixels, sampled
from turbo_eval.backbones.protocol import Features
from turbo_eval.core.records import Prompt, pack_text
from turbo_eval.video.clip import Clip

SCENES = ("beach", "forest", "desert", "night sky", "snow field", "city", "ocean", "meadow")
SURE = 0.5
"""Below this probability a caption names no place."""
UNSURE = "a picture of something"


class SceneNet(nn.Module):
    """Frames [N, 3, 64, 64] in -1..1 to logits [N, 8]."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv(3, 24, 5, 2), conv(24, 36, 3, 2), conv(36, 48, 3, 2), conv(48, 72, 3, 2)
        )
        self.head = nn.Linear(72, len(SCENES))

    def forward(self, frames: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.head(self.body(frames).float().mean(dim=(2, 3)))
        return logits


def build() -> nn.Module:
    """Return the untrained network."""
    return SceneNet()


def probabilities(module: nn.Module, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Probability of each place for uint8 frames [N, H, W, 3]: float32 [N, 8]."""
    logits = module(pixels(frames).to(device_of(module)))
    result: NDArray[np.float32] = logits.softmax(dim=1).float().cpu().numpy()
    return result


def look(module: nn.Module, clip: Clip, prompt: Prompt) -> Features:  # noqa: ARG001 (protocol)
    """Caption 16 sampled frames.

    Returns:
        `captions`: packed list of 16 texts such as "a picture of a night sky"; a frame whose
        place is not clear gives a caption without a place. Each sample has its own caption.
    """
    distinct, order = sampled(len(clip.frames))
    captions = [caption(row) for row in probabilities(module, clip.frames[distinct])]
    return {"captions": pack_text([captions[k] for k in order])}


def caption(scores: NDArray[np.float32]) -> str:
    """The caption of a frame with these probabilities [8]."""
    best = int(scores.argmax())
    if scores[best] < SURE:
        return UNSURE
    name = SCENES[best]
    return f"a picture of {'an' if name[0] in 'aeiou' else 'a'} {name}"

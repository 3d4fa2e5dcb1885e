"""Official judge for technical quality: MUSIQ trained on SPAQ, on every frame."""

from typing import ClassVar, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from turbo_eval.backbones.official.frames import Judge, float_frames, pieces
from turbo_eval.backbones.official.musiq_network import MUSIQ
from turbo_eval.backbones.official.musiq_patches import LONGER_SIDES, multiscale
from turbo_eval.backbones.official.weights import load_strict
from turbo_eval.backbones.protocol import Features
from turbo_eval.core.errors import InputError
from turbo_eval.core.records import Prompt
from turbo_eval.video.clip import Clip

LONGEST: Final = 512
"""Frames with a longer side above this many pixels are reduced to it (VBench's mode "longer")."""
FRAMES_AT_ONCE: Final = 8
"""Frames of one pass; it bounds memory, not results."""


def reduced(frame: NDArray[np.uint8], device: str) -> Tensor:
    """A frame uint8 [H, W, 3] as float32 [1, 3, h, w] in 0..1, its longer side at most 512.

    Bilinear without antialiasing; both sides are cut to whole pixels.
    """
    picture = float_frames(frame[None], device)
    height, width = frame.shape[:2]
    if max(height, width) > LONGEST:
        factor = LONGEST / max(height, width)
        size = int(factor * height), int(factor * width)
        picture = F.interpolate(picture, size, mode="bilinear", align_corners=False)
    return picture / 255


def make_network() -> nn.Module:
    """The untrained network without memory (on the `meta` device)."""
    with torch.device("meta"):
        return MUSIQ()


def layout() -> dict[str, Tensor]:
    """The official state, untrained."""
    return dict(make_network().state_dict())


class ImageQuality(Judge):
    """Says how good each frame is technically."""

    role: ClassVar[str] = "image_quality"

    def build(self, *states: dict[str, Tensor]) -> nn.Module:
        """Make the network."""
        return load_strict(make_network(), states[0], self.files[0])

    def look(self, network: nn.Module, clip: Clip, prompt: Prompt) -> Features:  # noqa: ARG002
        """The quality of every frame.

        Args:
            network: MUSIQ.
            clip: All its frames are looked at.
            prompt: Not used.

        Returns:
            `scores` float32 [T], 0..100 with the published weights.

        Raises:
            InputError: The frames are so narrow that the smallest copy would have no pixels.
        """
        height, width = clip.frames.shape[1:3]
        if round(min(height, width) * min(LONGER_SIDES) / max(height, width)) == 0:
            raise InputError(
                f"frames of {width} x {height} pixels have no technical quality",
                why=f"reduced to a longer side of {min(LONGER_SIDES)} they would be empty",
                fix="leave out imaging_quality, or give frames of a usual shape",
            )
        parts = []
        for frames in pieces(clip.frames, FRAMES_AT_ONCE):
            pictures = torch.cat([reduced(frame, self.device) for frame in frames])
            parts.append(network(multiscale(pictures)).float().cpu())
        return {"scores": torch.cat(parts).numpy()}

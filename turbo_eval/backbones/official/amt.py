"""Official judge for smooth motion: AMT-S predicts every second frame from its neighbours."""

from typing import ClassVar, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from turbo_eval.backbones.official.amt_network import AMT, LEVELS, MULTIPLE
from turbo_eval.backbones.official.frames import Judge, float_frames
from turbo_eval.backbones.official.weights import load_strict
from turbo_eval.backbones.protocol import Features
from turbo_eval.core.errors import InputError
from turbo_eval.core.records import Prompt
from turbo_eval.video.clip import Clip

SMALLEST: Final = 8 * 2**LEVELS
"""Padded sides below this leave one place or none at the coarsest level of the correlation."""
PIXELS_AT_ONCE: Final = 2**21
"""Pixels of the pairs that pass an accelerator together; the CPU takes one pair at a time."""


def padding(height: int, width: int, multiple: int = MULTIPLE) -> tuple[int, int, int, int]:
    """Pixels to add left, right, above, below, so that both sides become multiples of `multiple`.

    What is odd goes right and below.
    """
    right, down = -width % multiple, -height % multiple
    return right // 2, right - right // 2, down // 2, down - down // 2


def make_network() -> nn.Module:
    """The untrained network without memory (on the `meta` device)."""
    with torch.device("meta"):
        return AMT()


def layout() -> dict[str, Tensor]:
    """The official state, untrained."""
    return dict(make_network().state_dict())


class Interpolation(Judge):
    """Says how far predicted frames lie from the real ones."""

    role: ClassVar[str] = "interpolation"

    def build(self, *states: dict[str, Tensor]) -> nn.Module:
        """Make the network."""
        return load_strict(make_network(), states[0], self.files[0])

    def look(self, network: nn.Module, clip: Clip, prompt: Prompt) -> Features:  # noqa: ARG002
        """Predict the odd frames from the even ones and compare.

        VBench's program reduces large frames where a GPU has little memory; here frames always
        keep their size, as they do there when its command line is used.

        Args:
            network: AMT.
            clip: With an even number of frames the last one is not looked at.
            prompt: Not used.

        Returns:
            `mae` float64 [E - 1], mean absolute difference of prediction k and frame 2 k + 1,
            0..255, for E even-numbered frames; empty below 3 frames.

        Raises:
            InputError: A side of the frames is below 113 pixels.
        """
        height, width = clip.frames.shape[1:3]
        left, right, top, bottom = padding(height, width)
        if min(height + top + bottom, width + left + right) < SMALLEST:
            raise InputError(
                f"frames of {width} x {height} pixels are too small to interpolate",
                why=f"AMT needs at least {SMALLEST - MULTIPLE + 1} pixels a side; VBench's own "
                "program fails or gives numbers without meaning",
                fix="leave out motion_smoothness, or give larger frames",
            )
        firsts = range(0, len(clip.frames) - 2, 2)
        at_once = 1
        if torch.device(self.device).type != "cpu":
            at_once = max(1, PIXELS_AT_ONCE // (height * width))
        errors: list[float] = []
        for start in range(0, len(firsts), at_once):
            chosen = np.array(firsts[start : start + at_once])
            ends = [
                F.pad(
                    float_frames(clip.frames[chosen + step], self.device) / 255,
                    (left, right, top, bottom),
                    mode="replicate",
                )
                for step in (0, 2)
            ]
            made = network(*ends)[:, :, top : top + height, left : left + width]
            # Cut to whole numbers, not rounded, as VBench does.
            whole = (made * 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
            for picture, index in zip(whole, chosen + 1, strict=True):
                difference = np.abs(picture.astype(np.int16) - clip.frames[index])
                errors.append(float(difference.mean(dtype=np.float64)))
        return {"mae": np.array(errors, np.float64)}

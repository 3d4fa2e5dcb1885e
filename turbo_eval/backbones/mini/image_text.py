"""Mini judge for pictures and words (CLIP B/32's part): frames and phrases in one space.

A plain stack of convolutions sees single frames; the text passes word vectors and two convolutions
over neighbouring words. Frames are prepared in VBench's two ways, which differ for clips that are
not 64 x 64: bicubic without antialiasing ("clip-tensor") and antialiased ("clip-PIL"), both with
the shorter side at 64 and the middle cut out.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from turbo_eval.backbones.mini import words
from turbo_eval.backbones.mini.common import SIZE, Residual, conv, device_of
from turbo_eval.backbones.protocol import Features
from turbo_eval.core.records import Prompt
from turbo_eval.video.clip import Clip

LENGTH = 32
"""Words of a text that are read."""
WIDTH = 64
"""Length of the features."""
TEXT_WIDTH = 80
AT_ONCE = 64
"""Frames of one forward pass; it bounds memory, not results."""


class ImageText(nn.Module):
    """Frames and word numbers to features of one space.

    Args:
        known: the words of the text side; their checksum is kept with the weights.
    """

    checksum: Tensor

    def __init__(self, known: Sequence[str]) -> None:
        super().__init__()
        self.frames = nn.Sequential(
            conv(3, 24, 5, 2), conv(24, 48, 3, 2), conv(48, 72, 3, 2), Residual(72),
            conv(72, 96, 3, 2),
        )  # fmt: skip
        self.image_out = nn.Sequential(nn.Linear(96 * 2, 128), nn.SiLU(), nn.Linear(128, WIDTH))
        self.embedding = nn.Embedding(len(known) + 2, TEXT_WIDTH, padding_idx=words.PAD)
        self.nearby = nn.ModuleList(
            nn.Conv1d(TEXT_WIDTH, TEXT_WIDTH, width, padding=width // 2) for width in (3, 5)
        )
        self.text_out = nn.Linear(TEXT_WIDTH * 2, WIDTH)
        self.log_scale = nn.Parameter(torch.tensor(2.3))
        self.register_buffer("checksum", torch.tensor(words.checksum(known)))

    def pooled(self, frames: Tensor) -> Tensor:
        """What was seen, [N, 192], from frames [N, 3, 64, 64] in -1..1."""
        seen = self.frames(frames.contiguous(memory_format=torch.channels_last)).float()
        return torch.cat([seen.mean((2, 3)), seen.amax((2, 3))], 1)

    def image(self, frames: Tensor) -> Tensor:
        """Features [N, 64], not normalised, of frames [N, 3, 64, 64] in -1..1."""
        result: Tensor = self.image_out(self.pooled(frames))
        return result

    def text(self, numbers: Tensor) -> Tensor:
        """Features [N, 64], not normalised, of word numbers int64 [N, L]."""
        keep = (numbers != words.PAD)[:, None].float()
        hidden = self.embedding(numbers).mT * keep
        for layer in self.nearby:
            hidden = (hidden + F.gelu(layer(hidden))) * keep
        mean = hidden.sum(2) / keep.sum(2)
        most = hidden.masked_fill(keep == 0, float("-inf")).amax(2)
        result: Tensor = self.text_out(torch.cat([mean, most], 1))
        return result


def prepared(frames: NDArray[np.uint8], *, antialias: bool) -> Tensor:
    """Frames as the network sees them: bicubic to a shorter side of 64, the middle cut out.

    Args:
        frames: uint8 [N, H, W, 3], any size.
        antialias: False as in VBench's "clip-tensor" path, where overshoot stays; True as in its
            "clip-PIL" path, where values are rounded to whole numbers in 0..255.

    Returns:
        float32 [N, 3, 64, 64], -1..1 but for overshoot.
    """
    picture = torch.from_numpy(np.array(frames)).permute(0, 3, 1, 2).float()
    height, width = picture.shape[-2:]
    short = min(height, width)
    if short != SIZE:
        size = (int(SIZE * height / short), int(SIZE * width / short))
        picture = F.interpolate(
            picture, size, mode="bicubic", align_corners=False, antialias=antialias
        )
    if antialias:
        picture = picture.round().clamp(0, 255)
    top, left = (round((side - SIZE) / 2) for side in picture.shape[-2:])
    return picture[:, :, top : top + SIZE, left : left + SIZE] / 127.5 - 1


def style_phrase(auxiliary: Mapping[str, Any]) -> str | None:
    """The phrase of the fact appearance_style, flat or nested as in VBench; None if absent."""
    fact = auxiliary.get("appearance_style")
    if isinstance(fact, Mapping):
        fact = fact.get("appearance_style")
    return fact if isinstance(fact, str) and fact else None


@cache
def _known() -> tuple[str, ...]:
    return words.load()


def build() -> ImageText:
    """Return the untrained network for the shipped word list."""
    return ImageText(_known())


def look(module: nn.Module, clip: Clip, prompt: Prompt) -> Features:
    """Features of every frame, and of the prompt's style phrase.

    Args:
        module: a trained `ImageText`.
        clip: every frame is looked at.
        prompt: only its auxiliary fact appearance_style is read.

    Returns:
        `features` [T, 64] and `style_features` [T, 64] float32 (the two preparations, equal for
        clips of 64 x 64), `logit_scale` [] and, if the prompt names a style, `style_text` [64].
        Nothing is normalised.

    Raises:
        PrerequisiteError: the word list does not belong to the weights.
    """
    assert isinstance(module, ImageText)
    words.check(_known(), int(module.checksum))
    device = device_of(module)

    def see(antialias: bool) -> NDArray[np.float32]:
        parts = [
            module.image(prepared(clip.frames[k : k + AT_ONCE], antialias=antialias).to(device))
            for k in range(0, len(clip.frames), AT_ONCE)
        ]
        seen: NDArray[np.float32] = torch.cat(parts).float().cpu().numpy()
        return seen

    features = see(False)
    same = clip.frames.shape[1:3] == (SIZE, SIZE)
    result: Features = {
        "features": features,
        "style_features": features.copy() if same else see(True),
        "logit_scale": np.array(float(module.log_scale.exp().clamp(max=100)), np.float32),
    }
    phrase = style_phrase(prompt.auxiliary)
    if phrase is not None:
        numbers = torch.from_numpy(words.encode([phrase], _known(), LENGTH)).to(device)
        result["style_text"] = module.text(numbers)[0].float().cpu().numpy()
    return result

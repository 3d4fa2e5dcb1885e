"""Mini judge for clips and captions (ViCLIP's part): both in one space, compared by cosine.

Frames pass small 2D convolutions that see the neighbouring frames through shifted channels; the
text passes a two-layer transformer.
"""

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from turbo_eval.backbones.mini import words
from turbo_eval.backbones.mini.common import conv, device_of, pixels
from turbo_eval.backbones.protocol import Features
from turbo_eval.core.records import Prompt
from turbo_eval.video.clip import Clip
from turbo_eval.video.sample import middle_indices

FRAMES = 8
"""Frames of a clip that are looked at (VBench's sampling for ViCLIP)."""
LENGTH = 32
"""Words of a caption that are read (ViCLIP reads 32 tokens)."""
WIDTH = 64
"""Length of the features."""
TEXT_WIDTH = 96


class Shifted(nn.Module):
    """A convolution that sees a quarter of its channels one frame earlier, a quarter one later."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.part = inside // 4
        self.body = conv(inside, outside, 3, stride)

    def forward(self, x: Tensor) -> Tensor:
        """[N * FRAMES, inside, h, w] to [N * FRAMES, outside, h / stride, w / stride]."""
        clips = x.unflatten(0, (-1, FRAMES))
        before = F.pad(clips[:, :-1, : self.part], (0, 0, 0, 0, 0, 0, 1, 0))
        after = F.pad(clips[:, 1:, self.part : 2 * self.part], (0, 0, 0, 0, 0, 0, 0, 1))
        mixed = torch.cat([before, after, clips[:, :, 2 * self.part :]], 2).flatten(0, 1)
        result: Tensor = self.body(mixed.contiguous(memory_format=torch.channels_last))
        return result


class VideoText(nn.Module):
    """Clips and word numbers to features of one space.

    Args:
        known: the words of the text side; their checksum is kept with the weights.
    """

    checksum: Tensor

    def __init__(self, known: Sequence[str]) -> None:
        super().__init__()
        self.frames = nn.Sequential(
            conv(3, 36, 7, 4), Shifted(36, 72, 2), Shifted(72, 72, 1), Shifted(72, 96, 2),
            Shifted(96, 96, 1),
        )  # fmt: skip
        self.video_out = nn.Linear(96 * 4, WIDTH)
        self.embedding = nn.Embedding(len(known) + 2, TEXT_WIDTH)
        self.position = nn.Parameter(0.1 * torch.randn(LENGTH, TEXT_WIDTH))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                TEXT_WIDTH, 4, 2 * TEXT_WIDTH, 0.0, "gelu", batch_first=True, norm_first=True
            )
            for _ in range(2)
        )
        self.text_out = nn.Linear(TEXT_WIDTH, WIDTH)
        self.logit_scale = nn.Parameter(torch.tensor(2.3))
        self.register_buffer("checksum", torch.tensor(words.checksum(known)))

    def pooled(self, clips: Tensor) -> Tensor:
        """What was seen, [N, 384], from clips [N, 8, 3, 64, 64] in -1..1."""
        flat = clips.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        seen = self.frames(flat).float().unflatten(0, (-1, FRAMES))
        mean, most = seen.mean((-1, -2)), seen.amax((-1, -2))
        half = FRAMES // 2
        turn = most[:, half:].mean(1) - most[:, :half].mean(1)
        return torch.cat([mean.mean(1), most.mean(1), most.amax(1), turn], 1)

    def video(self, clips: Tensor) -> Tensor:
        """Features [N, 64], not normalised, of clips [N, 8, 3, 64, 64] in -1..1."""
        result: Tensor = self.video_out(self.pooled(clips))
        return result

    def text(self, numbers: Tensor) -> Tensor:
        """Features [N, 64], not normalised, of word numbers int64 [N, 32]."""
        empty = numbers == words.PAD
        hidden = self.embedding(numbers) + self.position[: numbers.shape[1]]
        for layer in self.layers:
            hidden = layer(hidden, src_key_padding_mask=empty)
        keep = (~empty)[..., None].float()
        result: Tensor = self.text_out((hidden * keep).sum(1) / keep.sum(1))
        return result


@cache
def _known() -> tuple[str, ...]:
    return words.load()


def build() -> VideoText:
    """Return the untrained network for the shipped word list."""
    return VideoText(_known())


def look(module: nn.Module, clip: Clip, prompt: Prompt) -> Features:
    """Features of a clip and of its prompt.

    Args:
        module: a trained `VideoText`.
        clip: 8 middle frames are looked at, as VBench samples for ViCLIP.
        prompt: its whole text is read, up to 32 words.

    Returns:
        `video` [64] and `text` [64] float32, not normalised.

    Raises:
        PrerequisiteError: the word list does not belong to the weights.
    """
    assert isinstance(module, VideoText)
    words.check(_known(), int(module.checksum))
    device = device_of(module)
    frames = clip.frames[middle_indices(len(clip.frames), FRAMES)]
    numbers = torch.from_numpy(words.encode([prompt.text], _known(), LENGTH)).to(device)
    return {
        "video": module.video(pixels(frames)[None].to(device))[0].float().cpu().numpy(),
        "text": module.text(numbers)[0].float().cpu().numpy(),
    }

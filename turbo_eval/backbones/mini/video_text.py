"""Mini judge for clips and captions (ViCLIP's part): both in one space, compared by cosine.

Single frames pass one stack of 2D convolutions, the brightness of all frames at once another one;
the text passes a two-layer transformer.
"""

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from turbo_eval.backbones.mini import words
from turbo_eval.backbones.mini.common import SIZE, Residual, conv, device_of, pixels
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
TEXT_WIDTH = 80
LOOK, MOTION = 60, 84
"""Channels that leave the two streams of pictures."""
LOOKED_AT = (0, 2, 5, 7)
"""Which of the frames are looked at one by one."""


def brightness(clips: Tensor) -> Tensor:
    """Grey at half the size, [N, T, H / 2, W / 2], of clips [N, T, 3, H, W]; same range."""
    return F.avg_pool2d(clips.mean(2), 2)


def even_contrast(grey: Tensor) -> Tensor:
    """Brightness [N, T, h, w] with the same contrast everywhere, so that dim scenery counts too.

    From each pixel the mean of its neighbourhood (9 x 9, all frames) is taken away, and what is
    left is divided by the neighbourhood's spread, but not by less than about a hundredth of the
    range -1..1, where noise would be all there is.
    """

    def near(picture: Tensor) -> Tensor:
        whole = picture.mean(1, keepdim=True)
        return F.avg_pool2d(whole, 9, 1, 4, count_include_pad=False)

    rest = grey - near(grey)
    return rest / (near(rest.square()) + 0.0004).sqrt()


class VideoText(nn.Module):
    """Clips and word numbers to features of one space.

    Two streams look at a clip. One sees four frames in colour. The other sees the brightness of all
    frames at once, as it is and with even contrast, at half size and stacked as channels: its very
    first filters span the whole clip, so the direction of a slow pan is there before anything is
    averaged. It is told where each pixel lies and its means are kept for each quarter of the
    picture, since a zoom moves every side elsewhere.

    Args:
        known: the words of the text side; their checksum is kept with the weights.
    """

    checksum: Tensor
    places: Tensor

    def __init__(self, known: Sequence[str]) -> None:
        super().__init__()
        self.look = nn.Sequential(
            conv(3, 24, 5, 2), conv(24, 36, 3, 2), conv(36, LOOK, 3, 2), Residual(LOOK)
        )
        self.motion = nn.Sequential(
            conv(2 * FRAMES + 2, 36, 7, 2), conv(36, 60, 3, 2), Residual(60), conv(60, MOTION)
        )  # fmt: skip
        self.video_out = nn.Linear(2 * LOOK + 5 * MOTION, WIDTH)
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
        half = SIZE // 2
        axis = torch.linspace(-1, 1, half)
        places = torch.stack([axis.expand(half, half), axis[:, None].expand(half, half)])
        self.register_buffer("places", places, persistent=False)

    def seen(self, frames: Tensor) -> Tensor:
        """What single frames [N, 3, 64, 64] in -1..1 show: [N, LOOK, 8, 8]."""
        result: Tensor = self.look(frames.contiguous(memory_format=torch.channels_last))
        return result.float()

    def moved(self, grey: Tensor) -> Tensor:
        """What the frames of clips show together, [N, MOTION, 8, 8], from their `brightness`."""
        centred = grey - grey.mean((1, 2, 3), keepdim=True)
        stack = [centred, even_contrast(grey), self.places.expand(len(grey), -1, -1, -1)]
        together = torch.cat(stack, 1).contiguous(memory_format=torch.channels_last)
        result: Tensor = self.motion(together)
        return result.float()

    def pooled(self, seen: Tensor, moved: Tensor) -> Tensor:
        """One row a clip, [N, 2 * LOOK + 5 * MOTION], from both streams.

        Args:
            seen: `seen` of as many frames of each clip as one likes, clip by clip.
            moved: `moved` of the clips.
        """
        frames = torch.cat([seen.mean((2, 3)), seen.amax((2, 3))], 1)
        frames = frames.unflatten(0, (len(moved), -1)).mean(1)
        quarters = F.adaptive_avg_pool2d(moved, 2).flatten(1)
        return torch.cat([frames, quarters, moved.amax((2, 3))], 1)

    def video(self, clips: Tensor) -> Tensor:
        """Features [N, 64], not normalised, of clips [N, 8, 3, 64, 64] in -1..1."""
        seen = self.seen(torch.stack([clips[:, k] for k in LOOKED_AT], 1).flatten(0, 1))
        result: Tensor = self.video_out(self.pooled(seen, self.moved(brightness(clips))))
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

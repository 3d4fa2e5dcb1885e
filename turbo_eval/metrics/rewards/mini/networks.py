"""The networks of the mini world's rewards, unlike those of its judges on purpose.

A student that pleases its reward must still convince judges that see differently: frames pass
residual convolutions and attention pooling, clips are seen as pairs of frames whose moments are
mixed, and words pass a recurrent network that reads in both directions.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from turbo_eval.backbones.mini import words

SIZE = 64
"""Height and width in pixels at which both rewards look."""
LENGTH = 40
"""Words of a prompt that are read."""
WIDTH = 64
"""Length of the features."""
FRAMES = 8
"""Frames of a clip that the video reward looks at."""


class Block(nn.Module):
    """Two 3 x 3 convolutions behind a group norm, added to the input [N, width, H, W]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, width)
        self.first = nn.Conv2d(width, width, 3, 1, 1)
        self.second = nn.Conv2d(width, width, 3, 1, 1)
        # A block starts as the identity.
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return x + what the convolutions make of x."""
        return x + cast("Tensor", self.second(F.gelu(self.first(F.gelu(self.norm(x))))))


def down(inside: int, outside: int, kernel: int, *, norm: bool = True) -> nn.Sequential:
    """A convolution to half the height and width, group norm if wanted, GELU."""
    layers: list[nn.Module] = [nn.Conv2d(inside, outside, kernel, 2, kernel // 2)]
    if norm:
        layers.append(nn.GroupNorm(8, outside))
    return nn.Sequential(*layers, nn.GELU())


class AttentionPool(nn.Module):
    """Learned questions look over all places: tokens [N, T, width] to [N, questions * width]."""

    def __init__(self, width: int, questions: int, places: int) -> None:
        super().__init__()
        self.questions = nn.Parameter(torch.randn(questions, width) / width**0.5)
        self.position = nn.Parameter(torch.zeros(places, width))
        self.norm = nn.LayerNorm(width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return what every question found, side by side."""
        tokens = self.norm(tokens)
        keys = self.key(tokens + self.position)
        weights = (keys @ self.questions.T).softmax(1)
        found: Tensor = weights.mT @ self.value(tokens)
        return found.flatten(1)


class OverTime(nn.Module):
    """All moments of one place through a small network, added to the input [N * T, width, h, w]."""

    def __init__(self, width: int, moments: int) -> None:
        super().__init__()
        self.moments = moments
        self.norm = nn.GroupNorm(8, width * moments)
        self.mix = nn.Conv2d(width * moments, 2 * width, 1)
        self.out = nn.Conv2d(2 * width, width * moments, 1)
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return x + what the network makes of the moments; a direction of motion shows here."""
        clips = x.unflatten(0, (-1, self.moments)).flatten(1, 2)
        mixed: Tensor = self.out(F.gelu(self.mix(self.norm(clips))))
        both: Tensor = (clips + mixed).unflatten(1, (self.moments, -1))
        return both.flatten(0, 1)


class Reader(nn.Module):
    """A two-way recurrent reader: word numbers int64 [N, L] to features [N, WIDTH]."""

    def __init__(self, known: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(known + 2, width, padding_idx=words.PAD)
        self.cells = nn.GRU(width, width, batch_first=True, bidirectional=True)
        self.out = nn.Linear(4 * width, WIDTH)

    def forward(self, numbers: Tensor) -> Tensor:
        """Read each text up to its own end, so that no text's features depend on another's."""
        lengths = (numbers != words.PAD).sum(1)
        packed = nn.utils.rnn.pack_padded_sequence(
            self.embedding(numbers), lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        states, _ = nn.utils.rnn.pad_packed_sequence(self.cells(packed)[0], batch_first=True)
        keep = (numbers != words.PAD)[:, : states.shape[1], None]
        mean = (states * keep).sum(1) / lengths[:, None]
        most = states.masked_fill(~keep, float("-inf")).amax(1)
        return cast("Tensor", self.out(torch.cat([mean, most], 1)))


class _Matching(nn.Module, ABC):
    """What both rewards share: the reader, the way out of the eyes, and the cosine's factor."""

    checksum: Tensor
    seen: int

    def __init__(self, known: Sequence[str], seen: int, text_width: int) -> None:
        super().__init__()
        self.seen = seen
        self.picture_out = nn.Linear(seen, WIDTH)
        self.text = Reader(len(known), text_width)
        self.log_scale = nn.Parameter(torch.tensor(2.3))
        self.register_buffer("checksum", torch.tensor(words.checksum(known)))

    @abstractmethod
    def pooled(self, pictures: Tensor) -> Tensor:
        """What was seen, [N, seen]."""

    def picture(self, pictures: Tensor) -> Tensor:
        """Features [N, WIDTH], not normalised, of pictures or clips in -1..1."""
        return cast("Tensor", self.picture_out(self.pooled(pictures)))


class MiniImage(_Matching):
    """Single frames against prompts.

    Args:
        known: the words of the reader; their checksum is kept with the weights.
    """

    def __init__(self, known: Sequence[str]) -> None:
        super().__init__(known, seen=6 * 96, text_width=64)
        self.eyes = nn.Sequential(
            down(3, 32, 5, norm=False),
            down(32, 64, 3),
            down(64, 96, 3),
            Block(96),
            Block(96),
        )
        self.look = AttentionPool(96, 6, (SIZE // 8) ** 2)

    def pooled(self, pictures: Tensor) -> Tensor:
        """What was seen, [N, 576], of frames [N, 3, 64, 64] in -1..1."""
        grid = self.eyes(pictures.contiguous(memory_format=torch.channels_last))
        return cast("Tensor", self.look(grid.flatten(2).mT).float())


class MiniVideo(_Matching):
    """Clips of 8 frames, seen as 4 moments of two frames, against prompts.

    Args:
        known: the words of the reader; their checksum is kept with the weights.
    """

    def __init__(self, known: Sequence[str]) -> None:
        super().__init__(known, seen=8 * 96, text_width=80)
        moments = FRAMES // 2
        self.eyes = nn.Sequential(
            down(6, 32, 5, norm=False),
            down(32, 64, 3),
            down(64, 96, 3),
            Block(96),
            OverTime(96, moments),
            Block(96),
            OverTime(96, moments),
        )
        self.look = AttentionPool(96, 8, moments * (SIZE // 8) ** 2)

    def pooled(self, pictures: Tensor) -> Tensor:
        """What was seen, [N, 768], of clips [N, 8, 3, 64, 64] in -1..1."""
        moments = pictures.unflatten(1, (FRAMES // 2, 2)).flatten(2, 3).flatten(0, 1)
        grid = self.eyes(moments.contiguous(memory_format=torch.channels_last))
        tokens = grid.flatten(2).mT.unflatten(0, (-1, FRAMES // 2)).flatten(1, 2)
        return cast("Tensor", self.look(tokens).float())

"""A plain vision transformer for detection, with a feature pyramid made of its last map.

Source: Li et al. 2022, ViTDet (arXiv 2203.16527); relative positions: Li et al. 2021, MViTv2
(arXiv 2112.01526). Names are those of GRiT's checkpoint.
"""

import math
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from turbo_eval.backbones.official.tag2text.swin import Mlp

PATCH: Final = 16
"""Pixels along a side of a patch."""
_SCORES_AT_ONCE: Final = 1 << 24
"""Scores of an attention that are held at once, so that large frames need no gigabytes."""


class Attention(nn.Module):
    """Attention among the patches of a rectangle, with a bias for rows apart and columns apart.

    Args:
        width: Channels.
        heads: Into which the width is split.
        side: Patches along a side for which the biases were trained.
    """

    def __init__(self, width: int, heads: int, side: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * side - 1, width // heads))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * side - 1, width // heads))

    def mix(self, parts: Tensor) -> Tensor:
        """Attend inside rectangles.

        Args:
            parts: Queries, keys and values behind each other, [N, H, W, 3 * width].

        Returns:
            [N, H, W, width], before the output map.
        """
        n, height, width, channels = parts.shape
        size = channels // 3 // self.heads
        query, key, value = parts.reshape(n, height * width, 3, self.heads, size).permute(
            2, 0, 3, 1, 4
        )
        rows = relative(self.rel_pos_h, height)
        columns = relative(self.rel_pos_w, width)
        heads = max(1, _SCORES_AT_ONCE // (n * (height * width) ** 2))
        mixed = [
            F.scaled_dot_product_attention(q, k, v, attn_mask=_bias(q, rows, columns))
            for q, k, v in zip(
                query.split(heads, 1), key.split(heads, 1), value.split(heads, 1), strict=True
            )
        ]
        together = torch.cat(mixed, dim=1).transpose(1, 2)
        return together.reshape(n, height, width, channels // 3)


def _bias(query: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """What positions add to the scores of queries [N, heads, H * W, C]: [N, heads, HW, HW]."""
    height, width = len(rows), len(columns)
    places = query.unflatten(2, (height, width))
    # In this order in memory, so that their large sum comes out in it and is not copied.
    down = torch.einsum("nhrcd,rkd->nhrck", places, rows).contiguous()
    across = torch.einsum("nhrcd,ckd->nhrck", places, columns).contiguous()
    return (down[..., None] + across[..., None, :]).flatten(4, 5).flatten(2, 3)


def relative(table: Tensor, size: int) -> Tensor:
    """The vector of every pair of places on a line of `size`: [size, size, C].

    Args:
        table: One vector for each distance, [D, C]; stretched linearly when D is not 2 * size - 1.
        size: Places.
    """
    if len(table) != 2 * size - 1:
        table = F.interpolate(table.T[None], 2 * size - 1, mode="linear")[0].T
    place = torch.arange(size, device=table.device)
    return table[place[:, None] - place[None] + size - 1]


class Block(nn.Module):
    """Attention, in windows or over everything, and a feed-forward block, each behind a norm.

    Args:
        width: Channels.
        heads: Of the attention.
        side: Patches along a side for which the biases were trained.
        window: Patches along a side of a window; 0 for none.
    """

    def __init__(self, width: int, heads: int, side: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads, window or side)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width)

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, H, W, width] for the same."""
        parts = self.attn.qkv(self.norm1(x))
        mixed = self._in_windows(parts) if self.window else self.attn.mix(parts)
        x = x + self.attn.proj(mixed)
        result: Tensor = x + self.mlp(self.norm2(x))
        return result

    def _in_windows(self, parts: Tensor) -> Tensor:
        n, height, width, channels = parts.shape
        down, across = -(-height // self.window), -(-width // self.window)
        # Zero patches fill the last windows and are looked at too: their parts are the biases.
        filled = self.attn.qkv.bias.expand(
            n, down * self.window, across * self.window, channels
        ).clone()
        filled[:, :height, :width] = parts
        windows = filled.unflatten(2, (across, -1)).unflatten(1, (down, -1)).transpose(2, 3)
        mixed = self.attn.mix(windows.flatten(0, 2))
        joined: Tensor = mixed.unflatten(0, (n, down, across)).transpose(2, 3)
        return joined.flatten(3, 4).flatten(1, 2)[:, :height, :width]


class PatchEmbed(nn.Module):
    """Patches of 16 x 16 pixels as vectors."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, PATCH, PATCH)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return [N, H / 16, W / 16, width] for [N, 3, H, W]."""
        result: Tensor = self.proj(pictures).permute(0, 2, 3, 1)
        return result


class ViT(nn.Module):
    """The transformer: every third block looks at everything, the others in windows.

    Args:
        width: Channels.
        depth: Blocks, a multiple of 3.
        heads: Of the attentions.
        window: Patches along a side of a window.
        side: Patches along a side for which the global biases were trained.
        trained: Patches along a side for which the positions were trained.
    """

    def __init__(
        self, width: int, depth: int, heads: int, window: int, side: int, trained: int
    ) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(width)
        self.pos_embed = nn.Parameter(torch.zeros(1, trained * trained + 1, width))
        self.blocks = nn.ModuleList(
            Block(width, heads, side, 0 if number % 3 == 2 else window) for number in range(depth)
        )

    def forward(self, pictures: Tensor) -> Tensor:
        """Return [N, width, H / 16, W / 16] for [N, 3, H, W]."""
        x: Tensor = self.patch_embed(pictures)
        x = x + positions(self.pos_embed, x.shape[1], x.shape[2])
        for block in self.blocks:
            x = block(x)
        return x.permute(0, 3, 1, 2)


def positions(table: Tensor, height: int, width: int) -> Tensor:
    """Positions [1, 1 + S * S, C], the first one dropped, resized to [1, height, width, C]."""
    side = math.isqrt(table.shape[1] - 1)
    grid: Tensor = table[:, 1:].unflatten(1, (side, side))
    if (height, width) == (side, side):
        return grid
    resized = F.interpolate(grid.permute(0, 3, 1, 2), (height, width), mode="bicubic")
    return resized.permute(0, 2, 3, 1)


class TopBlock(nn.Module):
    """Two more levels above the coarsest."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.p6 = nn.Conv2d(channels, channels, 3, 2, 1)
        self.p7 = nn.Conv2d(channels, channels, 3, 2, 1)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the maps of half and of a quarter of the size."""
        half = self.p6(x)
        return [half, self.p7(F.relu(half))]


class Pyramid(nn.Module):
    """The transformer and the five maps made of its last one, strides 8 to 128.

    Args:
        bottom_up: The transformer.
        width: Its channels.
        channels: Of the maps.
    """

    def __init__(self, bottom_up: ViT, width: int, channels: int) -> None:
        super().__init__()
        self.bottom_up = bottom_up
        self.fpn_stride_16_8 = nn.ConvTranspose2d(width, width, 2, stride=2, bias=False)
        for stride in (8, 16, 32):
            first = nn.Conv2d(width, channels, 1, bias=False)
            second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
            self.add_module(f"fpn_stride{stride}_conv1", first)
            self.add_module(f"fpn_stride{stride}_norm1", nn.LayerNorm(channels))
            self.add_module(f"fpn_stride{stride}_conv2", second)
            self.add_module(f"fpn_stride{stride}_norm2", nn.LayerNorm(channels))
        self.top_block = TopBlock(channels)

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """Return maps [N, channels, H / s, W / s] for s = 8, 16, 32, 64, 128."""
        last = self.bottom_up(pictures)
        maps = [
            self._level(8, self.fpn_stride_16_8(last)),
            self._level(16, last),
            self._level(32, F.max_pool2d(last, 2)),
        ]
        return maps + [*self.top_block(maps[2])]

    def _level(self, stride: int, x: Tensor) -> Tensor:
        for number in (1, 2):
            x = self.get_submodule(f"fpn_stride{stride}_conv{number}")(x)
            norm = self.get_submodule(f"fpn_stride{stride}_norm{number}")
            x = norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return x

"""Swin transformer under the official names: shifted windows over four resolutions.

Source: Liu et al. 2021 (arXiv 2103.14030).
"""

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from turbo_eval.backbones.official.packed import linear_gelu

OTHER_REGION = -100.0
"""Added to the score of two patches that a shift brought together from opposite edges."""


class WindowAttention(nn.Module):
    """Attention among the patches of a window, with a learned bias for each offset.

    Args:
        width: Channels.
        heads: Into which the width is split.
        window: Patches along a side of the window.
    """

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.window = window
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def bias(self) -> Tensor:
        """The bias of every pair of patches, [heads, window^2, window^2]."""
        table = self.relative_position_bias_table
        return table[_offsets(self.window, table.device)].permute(2, 0, 1)

    def forward(self, windows: Tensor, mask: Tensor | None) -> Tensor:
        """Attend inside windows [N * W, L, width].

        Args:
            windows: W windows of each of N pictures, picture by picture.
            mask: [W, 1, L, L], added to the scores; None without a shift.
        """
        count, length, width = windows.shape
        parts = self.qkv(windows).view(count, length, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        bias = self.bias()[None]
        if mask is not None:
            bias = (bias + mask).repeat(count // len(mask), 1, 1, 1)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        result: Tensor = self.proj(mixed.transpose(1, 2).reshape(count, length, width))
        return result


@cache
@torch.inference_mode(mode=False)
def _offsets(window: int, device: torch.device) -> Tensor:
    """Row of the bias table for every pair of patches, [window^2, window^2]."""
    side = torch.arange(window, device=device)
    places = torch.cartesian_prod(side, side)
    apart = places[:, None] - places[None] + window - 1
    return apart[..., 0] * (2 * window - 1) + apart[..., 1]


class Mlp(nn.Module):
    """Two linear maps around the exact GELU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return fc2(GELU(fc1(x)))."""
        result: Tensor = self.fc2(linear_gelu(self.fc1, x))
        return result


class Block(nn.Module):
    """Window attention and a feed-forward block, each behind a norm.

    Args:
        width: Channels.
        heads: Of the attention.
        side: Patches along a side of the picture at this resolution.
        window: Patches along a side of a window.
        shifted: Whether windows are moved by half a window.
    """

    def __init__(self, width: int, heads: int, side: int, window: int, shifted: bool) -> None:
        super().__init__()
        self.window = min(window, side)
        self.shift = window // 2 if shifted and side > window else 0
        self.norm1 = nn.LayerNorm(width)
        self.attn = WindowAttention(width, heads, self.window)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width)

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, side, side, width] for [N, side, side, width]."""
        side, mask = x.shape[1], None
        if self.shift:
            mask = _shift_mask(side, self.window, self.shift, x.device)
        windows = _cut(torch.roll(self.norm1(x), (-self.shift, -self.shift), (1, 2)), self.window)
        joined = _join(self.attn(windows, mask), self.window, side)
        x = x + torch.roll(joined, (self.shift, self.shift), (1, 2))
        result: Tensor = x + self.mlp(self.norm2(x))
        return result


def _cut(x: Tensor, window: int) -> Tensor:
    """Pictures [N, S, S, C] as windows [N * W, window^2, C]."""
    n, side, _, width = x.shape
    across = side // window
    parts = x.view(n, across, window, across, window, width).transpose(2, 3)
    return parts.reshape(n * across * across, window * window, width)


def _join(windows: Tensor, window: int, side: int) -> Tensor:
    """The inverse of `_cut`."""
    across = side // window
    parts = windows.view(-1, across, across, window, window, windows.shape[-1])
    return parts.transpose(2, 3).reshape(-1, side, side, windows.shape[-1])


@cache
@torch.inference_mode(mode=False)
def _shift_mask(side: int, window: int, shift: int, device: torch.device) -> Tensor:
    """Scores to add so that patches from opposite edges do not mix, [W, 1, L, L]."""
    places = torch.arange(side, device=device)
    band = (places >= side - window).int() + (places >= side - shift).int()
    region = (3 * band[:, None] + band[None]).view(1, side, side, 1)
    regions = _cut(region, window)[..., 0]
    apart = regions[:, None] != regions[:, :, None]
    return apart[:, None] * OTHER_REGION


class Merge(nn.Module):
    """Halve the resolution: four neighbours become one patch of twice the width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * width)
        self.reduction = nn.Linear(4 * width, 2 * width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, S / 2, S / 2, 2 * width] for [N, S, S, width]."""
        top, bottom = x[:, 0::2], x[:, 1::2]
        four = [top[:, :, 0::2], bottom[:, :, 0::2], top[:, :, 1::2], bottom[:, :, 1::2]]
        result: Tensor = self.reduction(self.norm(torch.cat(four, dim=-1)))
        return result


class Stage(nn.Module):
    """The blocks of one resolution, and the step to the next one."""

    def __init__(
        self, width: int, depth: int, heads: int, side: int, window: int, *, last: bool
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            Block(width, heads, side, window, shifted=number % 2 == 1) for number in range(depth)
        )
        self.downsample = None if last else Merge(width)

    def forward(self, x: Tensor) -> Tensor:
        """Return what the next stage sees."""
        for block in self.blocks:
            x = block(x)
        return x if self.downsample is None else self.downsample(x)


class PatchEmbed(nn.Module):
    """Patches of 4 x 4 pixels as normed vectors."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, 4, 4)
        self.norm = nn.LayerNorm(width)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return [N, H / 4, W / 4, width] for [N, 3, H, W]."""
        result: Tensor = self.norm(self.proj(pictures).permute(0, 2, 3, 1))
        return result


class Swin(nn.Module):
    """Pictures to a mean token followed by the patches of the last resolution.

    Args:
        size: Height and width in pixels.
        width: Channels of the first stage.
        depths: Blocks of each stage.
        heads: Of each stage.
        window: Patches along a side of a window.
    """

    def __init__(
        self, size: int, width: int, depths: Sequence[int], heads: Sequence[int], window: int
    ) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(width)
        last = len(depths) - 1
        self.layers = nn.ModuleList(
            Stage(
                width << number, depths[number], heads[number], (size // 4) >> number, window,
                last=number == last,
            )
            for number in range(len(depths))
        )  # fmt: skip
        self.norm = nn.LayerNorm(width << last)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return [N, 1 + L, C] for normalised pictures [N, 3, size, size]."""
        x = self.patch_embed(pictures)
        for stage in self.layers:
            x = stage(x)
        tokens = self.norm(x).flatten(1, 2)
        return torch.cat([tokens.mean(dim=1, keepdim=True), tokens], dim=1)

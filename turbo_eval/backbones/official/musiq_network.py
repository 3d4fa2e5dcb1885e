"""MUSIQ: the quality of a picture from its patches at three sizes.

The modules carry the names of the checkpoint `musiq_spaq_ckpt-358bb6af.pth` (248 tensors, 27.1 M
numbers).

Source: Ke et al. 2021, "MUSIQ: Multi-scale Image Quality Transformer" (arXiv 2108.05997).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from turbo_eval.backbones.official.musiq_patches import GRID, PATCH, Patches
from turbo_eval.backbones.official.packed import linear_gelu

STEM = 64
WIDTH = 384
LAYERS = 14
HEADS = 6
INNER = 1152
SCALES = 3
PATCHES_AT_ONCE = 512
"""Patches that pass the convolutions together; it bounds memory, not results."""


def pad_same(x: Tensor, kernel: int, stride: int) -> Tensor:
    """Zeros around [N, C, h, w] as TensorFlow's "SAME" pads: what is odd goes behind."""
    sides: list[int] = []
    for length in reversed(x.shape[-2:]):
        total = max(0, (-(-length // stride) - 1) * stride + kernel - length)
        sides += [total // 2, total - total // 2]
    return F.pad(x, sides) if any(sides) else x


class StdConv(nn.Conv2d):
    """A convolution whose kernels are shifted and scaled to mean 0 and standard deviation 1."""

    def __init__(self, inside: int, outside: int, kernel: int, stride: int = 1) -> None:
        super().__init__(inside, outside, kernel, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve with "SAME" padding."""
        spread, mean = torch.std_mean(self.weight, (1, 2, 3), keepdim=True)
        weight = (self.weight - mean) / (spread + 1e-5)
        padded = pad_same(x, self.kernel_size[0], self.stride[0])
        return F.conv2d(padded, weight, stride=self.stride)


class Bottleneck(nn.Module):
    """Residual block of three convolutions that widens four times."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.conv1 = StdConv(inside, inside, 1)
        self.gn1 = nn.GroupNorm(32, inside, 1e-4)
        self.conv2 = StdConv(inside, inside, 3)
        self.gn2 = nn.GroupNorm(32, inside, 1e-4)
        self.conv3 = StdConv(inside, outside, 1)
        self.gn3 = nn.GroupNorm(32, outside, 1e-4)
        self.conv_proj = StdConv(inside, outside, 1)
        self.gn_proj = nn.GroupNorm(32, outside, 1e-4)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inside, h, w] to [N, outside, h, w]."""
        y = F.relu(self.gn1(self.conv1(x)))
        y = F.relu(self.gn2(self.conv2(y)))
        y = self.gn3(self.conv3(y))
        return F.relu(y + self.gn_proj(self.conv_proj(x)))


class Attention(nn.Module):
    """Self-attention with separate projections."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)

    def forward(self, asking: Tensor, x: Tensor) -> Tensor:
        """What each asking token [N, M, width] finds among the tokens [N, L, width]."""
        mixed = F.scaled_dot_product_attention(
            self._split(self.query(asking)), self._split(self.key(x)), self._split(self.value(x))
        )
        result: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return result


class Mlp(nn.Module):
    """Two linear layers with an exact GELU between them."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, inner)
        self.fc2 = nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        """[..., width] to the same shape."""
        result: Tensor = self.fc2(linear_gelu(self.fc1, x))
        return result


class Block(nn.Module):
    """A transformer block with the norms in front."""

    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, 1e-6)
        self.attention = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, 1e-6)
        self.mlp = Mlp(width, inner)

    def forward(self, x: Tensor, wanted: int | None = None) -> Tensor:
        """The first `wanted` tokens (None: all) after the block, from [N, L, width]."""
        normed = self.norm1(x)
        x = x[:, :wanted] + self.attention(normed[:, :wanted], normed)
        result: Tensor = x + self.mlp(self.norm2(x))
        return result


class _Positions(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.position_emb = nn.Parameter(0.02 * torch.randn(1, GRID * GRID, width))


class _Scales(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale_emb = nn.Parameter(0.02 * torch.randn(SCALES, width))


class Encoder(nn.Module):
    """Transformer over a class token and the patches."""

    def __init__(self, width: int, layers: int, heads: int, inner: int) -> None:
        super().__init__()
        self.posembed_input = _Positions(width)
        self.scaleembed_input = _Scales(width)
        self.cls = nn.Parameter(torch.zeros(1, 1, width))
        self.transformer = nn.ModuleDict(
            {f"encoderblock_{k}": Block(width, heads, inner) for k in range(layers)}
        )
        self.encoder_norm = nn.LayerNorm(width, 1e-6)

    def forward(self, x: Tensor, places: Tensor, scales: Tensor) -> Tensor:
        """The class token [N, width] after all layers, from embedded patches [N, L, width]."""
        x = x + self.posembed_input.position_emb[0, places]
        x = x + self.scaleembed_input.scale_emb[scales]
        x = torch.cat([self.cls.expand(len(x), -1, -1), x], 1)
        blocks = list(self.transformer.values())
        for block in blocks[:-1]:
            x = block(x)
        # Only the class token is read afterwards, so the last layer computes no other.
        result: Tensor = self.encoder_norm(blocks[-1](x, wanted=1)[:, 0])
        return result


class MUSIQ(nn.Module):
    """Patches of pictures to one number a picture, 0..100 with the weights trained on SPAQ.

    Args:
        width: Of the tokens.
        layers: Of the transformer.
        heads: Of its attention.
        inner: Width inside its blocks.
    """

    def __init__(
        self, width: int = WIDTH, layers: int = LAYERS, heads: int = HEADS, inner: int = INNER
    ) -> None:
        super().__init__()
        self.conv_root = StdConv(3, STEM, 7, 2)
        self.gn_root = nn.GroupNorm(32, STEM, 1e-6)
        self.block1 = Bottleneck(STEM, 4 * STEM)
        self.embedding = nn.Linear(4 * STEM * (PATCH // 4) ** 2, width)
        self.transformer_encoder = Encoder(width, layers, heads, inner)
        self.head = nn.Linear(width, 1)

    def embed(self, patches: Tensor) -> Tensor:
        """Tokens [P, width] of patches [P, 3, 32, 32]."""
        x = F.relu(self.gn_root(self.conv_root(patches)))
        x = self.block1(F.max_pool2d(pad_same(x, 3, 2), 3, 2))
        # The weights come from a program that keeps channels last.
        result: Tensor = self.embedding(x.permute(0, 2, 3, 1).flatten(1))
        return result

    def forward(self, patches: Patches) -> Tensor:
        """Quality [N] of pictures cut by `musiq_patches.multiscale`."""
        flat = patches.pixels.flatten(0, 1)
        tokens = torch.cat([self.embed(part) for part in flat.split(PATCHES_AT_ONCE)])
        tokens = tokens.unflatten(0, patches.pixels.shape[:2])
        seen = self.transformer_encoder(tokens, patches.places, patches.scales)
        result: Tensor = self.head(seen)[:, 0]
        return result

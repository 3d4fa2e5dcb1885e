"""UMT ViT-L/16 with its head for the 400 actions of Kinetics.

The modules carry the names of `l16_ptk710_ftk710_ftk400_f16_res224.pth` (319 tensors, 306.7 M
numbers).

Source: Li et al. 2023, "Unmasked Teacher" (arXiv 2303.16058), section 3; the encoder is VideoMAE's
(arXiv 2203.12602) with patches of one frame.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from turbo_eval.backbones.official.attention import attend
from turbo_eval.backbones.official.packed import linear_gelu

FRAMES = 16
TRAINED_FRAMES = 8
"""Frames of the pre-training, whose position table is stretched to `FRAMES`."""
SIZE = 224
PATCH = 16
WIDTH = 1024
LAYERS = 24
HEADS = 16
CLASSES = 400


def sinusoids(frames: int, places: int, width: int, trained: int = TRAINED_FRAMES) -> Tensor:
    """The position table of a network that has none of its own.

    Args:
        frames: Frames of a clip.
        places: Patches of a frame.
        width: Of the tokens, even.
        trained: Frames for which the table is computed; it is then interpolated over time.

    Returns:
        float32 [1, frames * places, width]: sines and cosines in turn, wavelengths from 2 pi to
        20000 pi (Vaswani et al. 2017).
    """
    position = torch.arange(trained * places, dtype=torch.float64)[:, None]
    wave = torch.exp(torch.arange(0, width, 2, dtype=torch.float64) * (-math.log(1e4) / width))
    table = torch.stack([torch.sin(position * wave), torch.cos(position * wave)], -1)
    over_time = table.float().view(trained, places, width).permute(1, 2, 0)
    if frames != trained:
        over_time = F.interpolate(over_time, frames, mode="linear", align_corners=False)
    return over_time.permute(2, 0, 1).reshape(1, frames * places, width)


class PatchEmbed(nn.Module):
    """Patches of single frames to tokens."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv3d(3, width, (1, PATCH, PATCH), (1, PATCH, PATCH))

    def forward(self, clips: Tensor) -> Tensor:
        """[N, 3, T, H, W] to [N, T * H/16 * W/16, width], frame by frame and row by row."""
        # The same sum as the convolution, as one matrix product.
        batch, _, frames, height, width = clips.shape
        rows, columns = height // PATCH, width // PATCH
        cut = clips.reshape(batch, 3, frames, rows, PATCH, columns, PATCH)
        flat = cut.permute(0, 2, 3, 5, 1, 4, 6).reshape(batch, frames * rows * columns, -1)
        return F.linear(flat, self.proj.weight.flatten(1), self.proj.bias)


class Attention(nn.Module):
    """Self-attention whose keys have no bias."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(width))
        self.v_bias = nn.Parameter(torch.zeros(width))
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """[N, L, width] to the same shape."""
        width = len(self.q_bias)
        parts = self.qkv(x)
        parts[..., :width] += self.q_bias
        parts[..., 2 * width :] += self.v_bias
        q, k, v = parts.unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = attend(q, k, v)
        result: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return result


class Mlp(nn.Module):
    """Two linear layers with an exact GELU between them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """[..., width] to the same shape."""
        result: Tensor = self.fc2(linear_gelu(self.fc1, x))
        return result


class Block(nn.Module):
    """A transformer block with the norms in front."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, 1e-6)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, 1e-6)
        self.mlp = Mlp(width)

    def forward(self, x: Tensor) -> Tensor:
        """[N, L, width] to the same shape."""
        x = x + self.attn(self.norm1(x))
        result: Tensor = x + self.mlp(self.norm2(x))
        return result


class UMT(nn.Module):
    """Clips to one logit a class; an action's probability is the sigmoid, as VBench reads it.

    Args:
        width: Of the tokens.
        layers: Of the transformer.
        heads: Of its attention.
        classes: Actions.
        size: Height and width of a frame in pixels, a multiple of 16.
        frames: Frames of a clip.
    """

    def __init__(
        self,
        width: int = WIDTH,
        layers: int = LAYERS,
        heads: int = HEADS,
        classes: int = CLASSES,
        size: int = SIZE,
        frames: int = FRAMES,
    ) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(sinusoids(frames, (size // PATCH) ** 2, width))
        self.patch_embed = PatchEmbed(width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.fc_norm = nn.LayerNorm(width, 1e-6)
        self.head = nn.Linear(width, classes)

    def forward(self, clips: Tensor) -> Tensor:
        """Logits [N, classes] of clips [N, 3, T, H, W] with ImageNet's mean and deviation."""
        x = self.patch_embed(clips) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        result: Tensor = self.head(self.fc_norm(x.mean(1)))
        return result

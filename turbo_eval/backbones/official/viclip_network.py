"""ViCLIP-L: clips of 8 frames and texts of 32 tokens in one space.

The modules carry the names of `ViClip-InternVid-10M-FLT.pth` (447 tensors, 427.6 M numbers).

Source: Wang et al. 2023, "InternVid" (arXiv 2307.06942), section 4; the parts are those of CLIP
(arXiv 2103.00020), with attention over all patches of all frames.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from turbo_eval.backbones.official.attention import attend
from turbo_eval.backbones.official.packed import linear_of


@dataclass(frozen=True)
class Sizes:
    """Sizes of the two towers; the defaults are the official ones.

    Attributes:
        size: Height and width of a frame in pixels.
        patch: Height and width of a patch.
        frames: Frames of a clip.
        width: Of the tokens of a clip.
        layers: Of the tower for clips.
        heads: Of its attention.
        text_width: Of the tokens of a text.
        text_layers: Of the tower for texts.
        text_heads: Of its attention.
        tokens: Tokens of a text.
        vocabulary: Word pieces.
        out: Width of the common space.
    """

    size: int = 224
    patch: int = 14
    frames: int = 8
    width: int = 1024
    layers: int = 24
    heads: int = 16
    text_width: int = 768
    text_layers: int = 12
    text_heads: int = 12
    tokens: int = 32
    vocabulary: int = 49408
    out: int = 768


def quick_gelu(x: Tensor) -> Tensor:
    """CLIP's approximation of the GELU, x times the sigmoid of 1.702 x.

    Where no gradient is asked for, `x` is overwritten: half of the time went into fresh memory.
    """
    if x.requires_grad:
        return x * torch.sigmoid(1.702 * x)
    return F.silu(x.mul_(1.702), inplace=True).mul_(1 / 1.702)


class Attention(nn.Module):
    """Self-attention with the parameter names of `torch.nn.MultiheadAttention`."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        self.parts = nn.ModuleList()
        nn.init.xavier_uniform_(self.in_proj_weight)

    def _split(self) -> Iterable[tuple[Tensor, Tensor]]:
        """Matrix and bias of the queries, and of keys and values together."""
        width = self.out_proj.out_features
        weights = self.in_proj_weight.split([width, 2 * width])
        return zip(weights, self.in_proj_bias.split([width, 2 * width]), strict=True)

    def before_packing(self) -> None:
        """Make two layers of the joint matrix, for `packed.pack`; it is given up."""
        self.parts = nn.ModuleList(linear_of(*part) for part in self._split())
        del self.in_proj_weight, self.in_proj_bias

    def forward(self, x: Tensor, wanted: int | None, causal: bool) -> Tensor:
        """What the first `wanted` tokens (None: all) find among the tokens [N, L, width]."""
        query, pair = self.parts or (
            partial(F.linear, weight=weight, bias=bias) for weight, bias in self._split()
        )
        q = query(x[:, :wanted]).unflatten(2, (self.heads, -1)).transpose(1, 2)
        k, v = pair(x).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = attend(q, k, v, causal=causal)
        result: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
        return result


class Mlp(nn.Module):
    """Two linear layers with CLIP's GELU between them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_fc = nn.Linear(width, 4 * width)
        self.c_proj = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """[..., width] to the same shape."""
        result: Tensor = self.c_proj(quick_gelu(self.c_fc(x)))
        return result


class Block(nn.Module):
    """A transformer block with the norms in front."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attn = Attention(width, heads)
        self.ln_1 = nn.LayerNorm(width)
        self.mlp = Mlp(width)
        self.ln_2 = nn.LayerNorm(width)

    def forward(self, x: Tensor, wanted: int | None = None, causal: bool = False) -> Tensor:
        """The first `wanted` tokens (None: all) after the block, from [N, L, width]."""
        x = x[:, :wanted] + self.attn(self.ln_1(x), wanted, causal)
        result: Tensor = x + self.mlp(self.ln_2(x))
        return result


class Transformer(nn.Module):
    """Blocks one after the other."""

    def __init__(self, width: int, layers: int, heads: int) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(Block(width, heads) for _ in range(layers))


class VideoTower(nn.Module):
    """Clips to features."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width = sizes.width
        places = (sizes.size // sizes.patch) ** 2
        self.class_embedding = nn.Parameter(torch.zeros(width))
        self.positional_embedding = nn.Parameter(torch.zeros(places + 1, width))
        self.temporal_positional_embedding = nn.Parameter(torch.zeros(1, sizes.frames, width))
        patch = (1, sizes.patch, sizes.patch)
        self.conv1 = nn.Conv3d(3, width, patch, patch, bias=False)
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = Transformer(width, sizes.layers, sizes.heads)
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(torch.zeros(width, sizes.out))

    def forward(self, clips: Tensor) -> Tensor:
        """Features [N, out] of clips [N, T, 3, H, W] with CLIP's mean and deviation.

        One sequence holds a class token and the patches of all frames; each patch knows its place
        and its frame. The order of the patches does not matter to attention.
        """
        count, frames = clips.shape[:2]
        # Frame by frame, so a two-dimensional convolution does what the kernel's one step in time
        # asks for.
        kernel = self.conv1.weight[:, :, 0]
        patches = F.conv2d(clips.flatten(0, 1), kernel, stride=kernel.shape[-1])
        tokens = patches.flatten(2).transpose(1, 2).unflatten(0, (count, frames))
        places = self.positional_embedding[1:]
        times = self.temporal_positional_embedding[0, :, None]
        tokens = (tokens + places + times).flatten(1, 2)
        first = (self.class_embedding + self.positional_embedding[0]).expand(count, 1, -1)
        x = self.ln_pre(torch.cat([first, tokens], 1))
        *blocks, last = self.transformer.resblocks
        for block in blocks:
            x = block(x)
        # Only the class token is read afterwards, so the last layer computes no other.
        result: Tensor = self.ln_post(last(x, wanted=1)[:, 0]) @ self.proj
        return result


class TextTower(nn.Module):
    """Texts to features."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width = sizes.text_width
        self.positional_embedding = nn.Parameter(torch.zeros(sizes.tokens, width))
        self.text_projection = nn.Parameter(torch.zeros(width, sizes.out))
        self.transformer = Transformer(width, sizes.text_layers, sizes.text_heads)
        self.token_embedding = nn.Embedding(sizes.vocabulary, width)
        self.ln_final = nn.LayerNorm(width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Features [N, out] of int64 tokens [N, L]: what stands at the end-of-text token.

        That token has the highest number of all; what follows it (padding) is never seen.
        """
        end = tokens.argmax(1)
        tokens = tokens[:, : int(end.max()) + 1]
        x = self.token_embedding(tokens) + self.positional_embedding[: tokens.shape[1]]
        for block in self.transformer.resblocks:
            x = block(x, causal=True)
        rows = torch.arange(len(x), device=x.device)
        result: Tensor = self.ln_final(x[rows, end]) @ self.text_projection
        return result


class ViCLIP(nn.Module):
    """Both towers, and the temperature of the training, which scoring does not read."""

    def __init__(self, sizes: Sizes | None = None) -> None:
        super().__init__()
        sizes = sizes or Sizes()
        self.vision_encoder = VideoTower(sizes)
        self.text_encoder = TextTower(sizes)
        self.temp = nn.Parameter(torch.tensor(0.01))

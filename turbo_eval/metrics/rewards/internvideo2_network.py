"""InternVideo2, stage 2, 1B: clips and texts in one space of 512 numbers.

The modules carry the names of `InternVideo2-stage2_1b-224p-f4.pt` (entry `module`) as far as a
score needs them; `for_scoring` says which of the file's other tensors are known and left out. The
names are those that the published code gives its modules (a public report of loading the file with
it lists no name beside them but the temperature's and the matching head's); the file itself was not
at hand.

What the published program does and papers do not tell, all of it kept here:

* The text tower is the first 19 of BERT-large's 24 layers. The last five join text and video, and
  a text alone does not pass them.
* A text is a start token and its word pieces, without an end token, cut at 40 in all.
* GELU is the tanh approximation, of the fused layers that the network was trained and is run with.
* The pooling query is the mean over all tokens, the class token included, and no norm stands
  between the last block and the pooling but the pooling's own.

Source: Wang et al. 2024, "InternVideo2" (arXiv 2403.15377), section 3, and its published code;
BERT: arXiv 1810.04805.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint
from transformers import BertConfig, BertModel

_LEFT_OUT: Final = re.compile(
    r"temp|itm_head\..+|vision_encoder\.(clip_|img_|clip_img_)pos_embed"
    r"|vision_encoder\.(final_)?clip_decoder\..+|text_encoder\.cls\..+"
    r"|text_encoder\.bert\.embeddings\.position_ids"
)
_LAYER: Final = re.compile(r"text_encoder\.bert\.encoder\.layer\.(\d+)\..+")


@dataclass(frozen=True)
class Sizes:
    """Sizes of the two towers; the defaults are the official ones.

    Attributes:
        size: Height and width of a frame in pixels.
        patch: Height and width of a patch; each frame is cut by itself.
        trained: Frames of the clips that the file's position embedding was made for.
        width: Of the tokens of a clip.
        layers: Of the tower for clips.
        heads: Of its attention and of its pooling.
        hidden: Width inside its feed-forward blocks, 48/11 of `width`.
        pooled: Width of the pooled clip.
        text_width: Of the tokens of a text.
        text_layers: Layers that a text passes.
        text_all: Layers of the whole BERT; the rest joins text and video and is left out.
        text_heads: Of its attention.
        text_hidden: Width inside its feed-forward blocks.
        tokens: Tokens of a text, start token included.
        positions: Of BERT's position embedding.
        vocabulary: Word pieces.
        out: Width of the common space.
    """

    size: int = 224
    patch: int = 14
    trained: int = 4
    width: int = 1408
    layers: int = 40
    heads: int = 16
    hidden: int = 6144
    pooled: int = 768
    text_width: int = 1024
    text_layers: int = 19
    text_all: int = 24
    text_heads: int = 16
    text_hidden: int = 4096
    tokens: int = 40
    positions: int = 512
    vocabulary: int = 30522
    out: int = 512

    @property
    def side(self) -> int:
        """Patches in a row."""
        return self.size // self.patch


def sincos(positions: Tensor, width: int) -> Tensor:
    """Sines, then cosines, of positions [N] at width / 2 frequencies 10000 ** -(2k / width).

    Returns:
        [N, width].
    """
    steps = torch.arange(width // 2, device=positions.device)
    angles = positions[:, None].float() * 10000.0 ** (-2.0 * steps / width)
    return torch.cat([angles.sin(), angles.cos()], 1)


def position_embedding(width: int, side: int, frames: int) -> Tensor:
    """The fixed embedding that training starts from: time, column, row; zeros for the class token.

    Args:
        width: Of a token; a quarter tells the frame, three eighths each the column and the row.
        side: Patches in a row and in a column.
        frames: Of a clip.

    Returns:
        [1, 1 + frames * side * side, width], frames outermost, then rows.
    """
    time, place = width // 4, width // 4 * 3
    line = torch.arange(side)
    axes = torch.meshgrid(torch.arange(frames), line, line, indexing="ij")
    frame, row, column = (axis.flatten() for axis in axes)
    parts = [sincos(frame, time), sincos(column, place // 2), sincos(row, place // 2)]
    return torch.cat([torch.zeros(1, width), torch.cat(parts, 1)])[None]


def stretched(embedding: Tensor, trained: int, frames: int) -> Tensor:
    """A position embedding for clips of another length: linear in time, place by place.

    Args:
        embedding: [1, 1 + trained * places, width]; the first row is the class token's and stays.
        trained: Frames that it was made for.
        frames: Frames that are wanted.

    Returns:
        float32 [1, 1 + frames * places, width]; samples lie in the middle of equal parts of the
        clip (half-pixel centres), and the first and last ones are held.
    """
    embedding = embedding.float()
    if frames == trained:
        return embedding
    first, rest = embedding[:, :1], embedding[0, 1:]
    by_place = rest.unflatten(0, (trained, -1)).permute(1, 2, 0)  # [places, width, trained]
    longer = F.interpolate(by_place, frames, mode="linear", align_corners=False)
    return torch.cat([first, longer.permute(2, 0, 1).flatten(0, 1)[None]], 1)


class Attention(nn.Module):
    """Self-attention whose queries and keys are normalised over all heads together."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width)
        self.q_norm = nn.RMSNorm(width, eps=1e-6)
        self.k_norm = nn.RMSNorm(width, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """[N, L, width] to the same shape."""
        q, k, v = self.qkv(x).chunk(3, -1)
        q, k, v = (_split(part, self.heads) for part in (self.q_norm(q), self.k_norm(k), v))
        result: Tensor = self.proj(_merge(F.scaled_dot_product_attention(q, k, v)))
        return result


class Mlp(nn.Module):
    """Two linear layers with a GELU between them."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """[..., width] to the same shape."""
        result: Tensor = self.fc2(F.gelu(self.fc1(x), approximate="tanh"))
        return result


class LayerScale(nn.Module):
    """A learned factor for each channel; training starts it at 1e-5."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((width,), 1e-5))

    def forward(self, x: Tensor) -> Tensor:
        """[..., width] to the same shape."""
        return x * self.gamma


class Block(nn.Module):
    """A transformer block: root-mean-square norms in front, scaled branches."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.norm1 = nn.RMSNorm(sizes.width, eps=1e-6)
        self.attn = Attention(sizes.width, sizes.heads)
        self.ls1 = LayerScale(sizes.width)
        self.norm2 = nn.RMSNorm(sizes.width, eps=1e-6)
        self.mlp = Mlp(sizes.width, sizes.hidden)
        self.ls2 = LayerScale(sizes.width)

    def forward(self, x: Tensor) -> Tensor:
        """[N, L, width] to the same shape."""
        x = x + self.ls1(self.attn(self.norm1(x)))
        result: Tensor = x + self.ls2(self.mlp(self.norm2(x)))
        return result


class CrossAttention(nn.Module):
    """Attention whose queries, keys and values come from three places."""

    def __init__(self, width: int, heads: int, out: int) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(width, width, bias=False)
        self.k = nn.Linear(width, width, bias=False)
        self.v = nn.Linear(width, width, bias=False)
        # The file keeps the biases beside their maps, not in them.
        self.q_bias = nn.Parameter(torch.zeros(width))
        self.k_bias = nn.Parameter(torch.zeros(width))
        self.v_bias = nn.Parameter(torch.zeros(width))
        self.proj = nn.Linear(width, out)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """What queries [N, Q, width] find among keys and values [N, L, width]: [N, Q, out]."""
        q = F.linear(query, self.q.weight, self.q_bias)
        k = F.linear(key, self.k.weight, self.k_bias)
        v = F.linear(value, self.v.weight, self.v_bias)
        q, k, v = (_split(part, self.heads) for part in (q, k, v))
        result: Tensor = self.proj(_merge(F.scaled_dot_product_attention(q, k, v)))
        return result


class AttentionPool(nn.Module):
    """One vector for a clip: what the mean of its tokens finds among them."""

    def __init__(self, width: int, heads: int, out: int) -> None:
        super().__init__()
        self.norm1_q = nn.LayerNorm(width)
        self.norm1_k = nn.LayerNorm(width)
        self.norm1_v = nn.LayerNorm(width)
        self.cross_attn = CrossAttention(width, heads, out)

    def forward(self, x: Tensor) -> Tensor:
        """[N, L, width] to [N, out]."""
        query = self.norm1_q(x.mean(1, keepdim=True))
        pooled: Tensor = self.cross_attn(query, self.norm1_k(x), self.norm1_v(x))
        return pooled[:, 0]


class PatchEmbed(nn.Module):
    """Frames to patches."""

    def __init__(self, width: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv3d(3, width, (1, patch, patch), (1, patch, patch))

    def forward(self, clips: Tensor) -> Tensor:
        """Clips [N, T, 3, H, W] to tokens [N, T * places, width]."""
        # Frame by frame: the kernel has one step in time.
        kernel = self.proj.weight[:, :, 0]
        patches = F.conv2d(clips.flatten(0, 1), kernel, self.proj.bias, kernel.shape[-1])
        tokens = patches.flatten(2).transpose(1, 2)
        return tokens.reshape(len(clips), -1, tokens.shape[-1])


class VideoTower(nn.Module):
    """Clips of any length to pooled features."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.trained = sizes.trained
        self.cls_token = nn.Parameter(torch.zeros(1, 1, sizes.width))
        start = position_embedding(sizes.width, sizes.side, sizes.trained)
        self.pos_embed = nn.Parameter(start)
        self.patch_embed = PatchEmbed(sizes.width, sizes.patch)
        self.blocks = nn.ModuleList(Block(sizes) for _ in range(sizes.layers))
        self.clip_projector = AttentionPool(sizes.width, sizes.heads, sizes.pooled)

    def forward(self, clips: Tensor) -> Tensor:
        """Pooled features [N, pooled] of clips [N, T, 3, H, W] in ImageNet's normalisation."""
        x = self.patch_embed(clips)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1)
        x = x + stretched(self.pos_embed, self.trained, clips.shape[1]).to(x.dtype)
        # With a gradient to the pixels, blocks are computed twice instead of kept: 2049 tokens of
        # 40 blocks would fill a GPU beside the video decoder that stands before them.
        kept = not (torch.is_grad_enabled() and x.requires_grad)
        for block in self.blocks:
            x = block(x) if kept else checkpoint(block, x, use_reentrant=False)
        result: Tensor = self.clip_projector(x)
        return result


class TextTower(nn.Module):
    """Texts to the state of their start token; the layers are transformers' BERT."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        config = BertConfig(
            vocab_size=sizes.vocabulary,
            hidden_size=sizes.text_width,
            num_hidden_layers=sizes.text_layers,
            num_attention_heads=sizes.text_heads,
            intermediate_size=sizes.text_hidden,
            max_position_embeddings=sizes.positions,
        )
        self.bert = BertModel(config, add_pooling_layer=False)
        # Constants that no file holds; they have values even on the meta device.
        places = torch.arange(sizes.positions, device="cpu")[None]
        self.bert.embeddings.register_buffer("position_ids", places, persistent=False)
        kinds = torch.zeros_like(places)
        self.bert.embeddings.register_buffer("token_type_ids", kinds, persistent=False)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Features [N, text_width] of tokens int64 [N, L]; `mask` is 0 where there is no text."""
        state: Tensor = self.bert(input_ids=tokens, attention_mask=mask).last_hidden_state
        return state[:, 0]


class InternVideo2(nn.Module):
    """Both towers and their maps into the common space."""

    def __init__(self, sizes: Sizes | None = None) -> None:
        super().__init__()
        sizes = sizes or Sizes()
        self.vision_encoder = VideoTower(sizes)
        self.text_encoder = TextTower(sizes)
        self.vision_proj = nn.Linear(sizes.pooled, sizes.out)
        self.text_proj = nn.Linear(sizes.text_width, sizes.out)

    def encode_video(self, clips: Tensor) -> Tensor:
        """Features [N, out], not normalised, of clips [N, T, 3, H, W]."""
        features: Tensor = self.vision_proj(self.vision_encoder(clips))
        return features

    def encode_text(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Features [N, out], not normalised, of tokens and their mask, each [N, L]."""
        features: Tensor = self.text_proj(self.text_encoder(tokens, mask))
        return features


def for_scoring(state: Mapping[str, Tensor], sizes: Sizes) -> dict[str, Tensor]:
    """The tensors of a checkpoint but those that training alone needs.

    Left out where they are there: the heads that learned from another network, the positions of
    still images, the word-guessing and matching heads, the temperature, and the layers of BERT
    that join text and video. Names that nobody knows stay, so that strict loading refuses them.

    Args:
        state: Official name -> tensor.
        sizes: Of the network.
    """

    def needed(name: str) -> bool:
        layer = _LAYER.fullmatch(name)
        if layer:
            return not sizes.text_layers <= int(layer[1]) < sizes.text_all
        return _LEFT_OUT.fullmatch(name) is None

    return {name: tensor for name, tensor in state.items() if needed(name)}


def _split(x: Tensor, heads: int) -> Tensor:
    """[N, L, width] to [N, heads, L, width / heads]."""
    rows, length, width = x.shape
    return x.view(rows, length, heads, width // heads).transpose(1, 2)


def _merge(x: Tensor) -> Tensor:
    """[N, heads, L, width / heads] to [N, L, width]."""
    return x.transpose(1, 2).flatten(2)

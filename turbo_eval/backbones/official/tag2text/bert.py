"""BERT blocks with an extra attention to outside features, under the names of BLIP's checkpoints.

Source: Devlin et al. 2018 (arXiv 1810.04805); Li et al. 2022 (arXiv 2201.12086), the mixture of
encoder and decoder that Tag2Text builds on.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from turbo_eval.backbones.official.packed import linear_gelu

EPS = 1e-12
KeysValues = tuple[Tensor, Tensor]
"""Keys and values of one attention, each [N, heads, tokens, width / heads]."""
Step = tuple[Tensor, KeysValues]
"""Output of a step, and what to keep for the next."""


class Projections(nn.Module):
    """Query, key and value maps of one attention."""

    def __init__(self, width: int, context: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(context, width)
        self.value = nn.Linear(context, width)


class Residual(nn.Module):
    """A linear map added to the input, then layer norm."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.dense = nn.Linear(inside, outside)
        self.LayerNorm = nn.LayerNorm(outside, eps=EPS)

    def forward(self, hidden: Tensor, shortcut: Tensor) -> Tensor:
        """Return norm(dense(hidden) + shortcut)."""
        normed: Tensor = self.LayerNorm(self.dense(hidden) + shortcut)
        return normed


class Attention(nn.Module):
    """Multi-head attention with its output map, shortcut and norm.

    Args:
        width: Of the queries' side.
        heads: Into which the width is split.
        context: Width of what is attended to; None for the queries' own.
    """

    def __init__(self, width: int, heads: int, context: int | None = None) -> None:
        super().__init__()
        self.heads = heads
        self.self = Projections(width, context or width)
        self.output = Residual(width, width)

    def keys_values(self, context: Tensor) -> KeysValues:
        """Project what is attended to [N, S, context]; it can be kept from step to step."""
        return self._split(self.self.key(context)), self._split(self.self.value(context))

    def forward(self, hidden: Tensor, kept: KeysValues, mask: Tensor | None = None) -> Tensor:
        """Attend.

        Args:
            hidden: [N * G, T, width]; G rows in a row share one set of keys and values.
            kept: See `keys_values`; [N, heads, S, width / heads].
            mask: bool, broadcastable to [N, heads, G * T, S]; False is not seen.

        Returns:
            [N * G, T, width].
        """
        rows, length, width = hidden.shape
        # Rows of one set stand behind each other as more queries, so no key is ever copied.
        query = self._split(self.self.query(hidden).view(kept[0].shape[0], -1, width))
        mixed = F.scaled_dot_product_attention(query, *kept, attn_mask=mask)
        merged = mixed.transpose(1, 2).reshape(rows, length, width)
        attended: Tensor = self.output(merged, hidden)
        return attended

    def _split(self, tokens: Tensor) -> Tensor:
        n, length, width = tokens.shape
        return tokens.view(n, length, self.heads, width // self.heads).transpose(1, 2)


class Intermediate(nn.Module):
    """The widening half of a feed-forward block."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, inner)

    def forward(self, hidden: Tensor) -> Tensor:
        """Return GELU(dense(hidden)), the exact GELU."""
        return linear_gelu(self.dense, hidden)


class CrossLayer(nn.Module):
    """Attention to outside features and a feed-forward block; the tokens do not see each other."""

    def __init__(self, width: int, heads: int, inner: int, context: int) -> None:
        super().__init__()
        self.crossattention = Attention(width, heads, context)
        self.intermediate = Intermediate(width, inner)
        self.output = Residual(inner, width)

    def feed_forward(self, hidden: Tensor) -> Tensor:
        """Return the feed-forward block's output, [N, T, width]."""
        result: Tensor = self.output(self.intermediate(hidden), hidden)
        return result

    def forward(self, hidden: Tensor, context: Tensor) -> Tensor:
        """Look at `context` [N, S, context] with tokens [N, T, width]."""
        seen: Tensor = self.crossattention(hidden, self.crossattention.keys_values(context))
        return self.feed_forward(seen)


class Layer(CrossLayer):
    """Attention among the tokens, attention to outside features, feed-forward."""

    def __init__(self, width: int, heads: int, inner: int, context: int) -> None:
        super().__init__(width, heads, inner, context)
        self.attention = Attention(width, heads)

    def encode(self, hidden: Tensor, context: Tensor, mask: Tensor) -> Tensor:
        """Encode tokens [N, T, width] that see each other where `mask` [N, 1, 1, T] is True."""
        seen: Tensor = self.attention(hidden, self.attention.keys_values(hidden), mask)
        return self.forward(seen, context)

    def decode(self, hidden: Tensor, past: KeysValues | None, outside: KeysValues) -> Step:
        """Go on with texts.

        Args:
            hidden: The new tokens [N * G, T, width]; more than one only at the start.
            past: Keys and values of the tokens before, [N * G, heads, S, width / heads].
            outside: Keys and values of the outside features, [N, heads, M, width / heads].

        Returns:
            The new tokens' output, and keys and values of all tokens so far.
        """
        kept = self.attention.keys_values(hidden)
        if past is not None:
            kept = (torch.cat([past[0], kept[0]], dim=2), torch.cat([past[1], kept[1]], dim=2))
        mask = _causal(hidden.shape[1], hidden.device) if past is None else None
        seen = self.attention(hidden, kept, mask)
        return self.feed_forward(self.crossattention(seen, outside)), kept


def _causal(length: int, device: torch.device) -> Tensor:
    return torch.ones(length, length, dtype=torch.bool, device=device).tril()


class Embeddings(nn.Module):
    """Word and position embeddings, then layer norm."""

    position_ids: Tensor

    def __init__(self, words: int, width: int, positions: int) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(words, width, padding_idx=0)
        self.position_embeddings = nn.Embedding(positions, width)
        self.LayerNorm = nn.LayerNorm(width, eps=EPS)
        # Kept in the checkpoint under this name; it has values even on the meta device.
        self.register_buffer("position_ids", torch.arange(positions, device="cpu")[None])

    def forward(self, tokens: Tensor, start: int = 0) -> Tensor:
        """Embed tokens [N, T] whose first one stands at position `start`: [N, T, width]."""
        positions = self.position_ids[:, start : start + tokens.shape[1]]
        both = self.word_embeddings(tokens) + self.position_embeddings(positions)
        embedded: Tensor = self.LayerNorm(both)
        return embedded


class Layers(nn.Module):
    """A list of layers under the name that checkpoints give it."""

    def __init__(self, layers: Iterable[nn.Module]) -> None:
        super().__init__()
        self.layer = nn.ModuleList(layers)

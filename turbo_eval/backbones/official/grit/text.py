"""GRiT's text decoder: a box's name or caption, word by word, from what the box sees.

Source: Wu et al. 2022, GRiT (arXiv 2212.00280); Wang et al. 2022, GIT (arXiv 2205.14100), whose
text decoder it takes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from turbo_eval.backbones.official.tag2text.bert import (
    Attention,
    Intermediate,
    KeysValues,
    Layers,
    Residual,
)

LONGEST: Final = 40
"""Tokens of a text, the first one included."""
END: Final = 102
SAME_AGAIN: Final = -10000.0
"""Logit of the word that came last, so that no word follows itself."""
_READ_AT_ONCE: Final = 4
"""Boxes that are read together: their 784 cells fill the cores, and fit in their caches."""


@dataclass(frozen=True, slots=True)
class Text:
    """What was written about one box.

    Attributes:
        tokens: Without the one that starts it; at most one END.
        chance: Mean log-probability of the tokens, END included.
    """

    tokens: list[int]
    chance: float


class TextLayer(nn.Module):
    """Attention and a feed-forward block, each with shortcut and norm."""

    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.attention = Attention(width, heads)
        self.intermediate = Intermediate(width, inner)
        self.output = Residual(inner, width)

    def forward(self, hidden: Tensor, kept: KeysValues) -> Tensor:
        """Return [N, T, width] for tokens that see everything in `kept`."""
        seen = self.attention(hidden, kept)
        result: Tensor = self.output(self.intermediate(seen), seen)
        return result


class TextEmbedding(nn.Module):
    """Word and position embeddings, then a norm."""

    def __init__(self, words: int, positions: int, width: int) -> None:
        super().__init__()
        self.words = nn.Embedding(words, width)
        self.positions = nn.Embedding(positions, width)
        self.layer_norm = nn.LayerNorm(width, eps=1e-8)

    def forward(self, tokens: Tensor, place: int) -> Tensor:
        """Return [N, 1, width] for tokens [N] that all stand at one place."""
        embedded: Tensor = self.layer_norm(self.words(tokens) + self.positions.weight[place])
        return embedded[:, None]


class Encoder(nn.Module):
    """Holds the layers under the name of the checkpoint."""

    def __init__(self, layers: Layers) -> None:
        super().__init__()
        self.encoder = layers


class Kept:
    """Keys and values of one layer: of what the boxes see, and then of each word as it comes.

    Args:
        like: Any tensor of the number type and device.
        count: Boxes.
        heads: Of the attention.
        cells: Of a box.
        size: Numbers of a key.
        longest: Words that can follow.
    """

    def __init__(
        self, like: Tensor, count: int, heads: int, cells: int, size: int, longest: int
    ) -> None:
        self.start = cells
        self.both = [like.new_empty(count, heads, cells + longest, size) for _ in range(2)]

    def see(self, objects: KeysValues, first: int) -> None:
        """Put in what the boxes from `first` on see, [n, heads, cells, C]."""
        for part, new in zip(self.both, objects, strict=True):
            part[first : first + len(new), :, : self.start] = new

    def add(self, word: KeysValues, place: int) -> KeysValues:
        """Put in the keys and values of words [N, heads, 1, C]; return all so far."""
        at = self.start + place
        for part, new in zip(self.both, word, strict=True):
            part[:, :, at : at + 1] = new
        keys, values = (part[:, :, : at + 1] for part in self.both)
        return keys, values

    def rows(self, rows: Tensor) -> "Kept":
        """Only some of the texts."""
        chosen = object.__new__(Kept)
        chosen.start, chosen.both = self.start, [part[rows] for part in self.both]
        return chosen


class Textual(nn.Module):
    """The decoder.

    Args:
        seen: Channels of what a box sees.
        width: Of the decoder.
        heads: Of its attentions.
        inner: Of its feed-forward blocks.
        layers: Their number.
        words: Vocabulary.
        positions: Longest text that was trained.
    """

    def __init__(
        self, seen: int, width: int, heads: int, inner: int, layers: int, words: int, positions: int
    ) -> None:
        super().__init__()
        self.object_feature_projection = nn.Sequential(nn.Linear(seen, width), nn.LayerNorm(width))
        self.embedding = TextEmbedding(words, positions, width)
        self.transformer = Encoder(Layers(TextLayer(width, heads, inner) for _ in range(layers)))
        self.output = nn.Linear(width, words)
        self.output.weight = self.embedding.words.weight

    @property
    def layers(self) -> list[TextLayer]:
        """The layers, first to last."""
        return list(self.transformer.encoder.layer)  # type: ignore[arg-type]

    def read(self, seen: Tensor) -> list[Kept]:
        """Look at boxes once; whatever is written about them looks at the result.

        The cells of a box never look at words, so this does not depend on the text. The last
        layer's own output is not needed, only its keys and values.

        Args:
            seen: [N, cells, channels].
        """
        attention = self.layers[0].attention
        count, cells, _ = seen.shape
        width = self.embedding.words.embedding_dim
        size = width // attention.heads
        kept = [Kept(seen, count, attention.heads, cells, size, LONGEST) for _ in self.layers]
        for first in range(0, count, _READ_AT_ONCE):
            hidden: Tensor = self.object_feature_projection(seen[first : first + _READ_AT_ONCE])
            for layer, one in zip(self.layers, kept, strict=True):
                objects = layer.attention.keys_values(hidden)
                one.see(objects, first)
                if layer is not self.layers[-1]:
                    hidden = layer(hidden, objects)
        return kept

    def next_word(self, kept: Sequence[Kept], tokens: Tensor, place: int) -> Tensor:
        """Logits [N, words] of the word after `tokens` [N], which stand at `place`."""
        hidden: Tensor = self.embedding(tokens, place)
        for layer, before in zip(self.layers, kept, strict=True):
            hidden = layer(hidden, before.add(layer.attention.keys_values(hidden), place))
        logits: Tensor = self.output(hidden[:, 0])
        return logits

    def write(self, kept: Sequence[Kept], begin: int) -> list[Text]:
        """Write one text about each box, always with the likeliest next word.

        Args:
            kept: See `read`; what earlier texts left in it is written over.
            begin: The token that starts a text and says of which kind it is.
        """
        count = kept[0].both[0].shape[0]
        device = self.output.weight.device
        tokens = torch.full((count,), begin, device=device)
        texts: list[list[int]] = [[] for _ in range(count)]
        chances = [0.0] * count
        going = list(range(count))
        for place in range(LONGEST - 1):
            logits = self.next_word(kept, tokens, place).float()
            if place:
                logits = logits.scatter(1, tokens[:, None], SAME_AGAIN)
            gain, best = logits.log_softmax(dim=1).max(dim=1)
            for text, token, more in zip(going, best.tolist(), gain.tolist(), strict=True):
                texts[text].append(token)
                chances[text] += more
            left = (best != END).nonzero()[:, 0]
            if not len(left):
                break
            tokens = best
            if len(left) < len(going):
                going = [going[row] for row in left.tolist()]
                tokens, kept = best[left], [layer.rows(left) for layer in kept]
        return [Text(text, chance / len(text)) for text, chance in zip(texts, chances, strict=True)]


class TextDecoder(nn.Module):
    """Holds the decoder under the name of the checkpoint."""

    def __init__(self, textual: Textual) -> None:
        super().__init__()
        self.textual = textual

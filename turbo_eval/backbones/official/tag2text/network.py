"""Tag2Text with a Swin-B backbone: tags of a picture, and a sentence that the tags guide.

Source: Huang et al. 2023 (arXiv 2303.05657). Names are those of the released checkpoint
`tag2text_swin_14m.pth`.
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import torch
from torch import Tensor, nn

from turbo_eval.backbones.official.packed import linear_gelu
from turbo_eval.backbones.official.tag2text.bert import (
    CrossLayer,
    Embeddings,
    KeysValues,
    Layer,
    Layers,
)
from turbo_eval.backbones.official.tag2text.swin import Swin


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes of the network; the defaults are those of the released checkpoint.

    Attributes:
        image: Height and width of a picture in pixels.
        channels: Of the first Swin stage.
        depths: Blocks of the Swin stages.
        swin_heads: Of the Swin stages.
        window: Patches along a side of a Swin window.
        width: Of the BERT parts.
        heads: Of the tag encoder and the text decoder.
        label_heads: Of the tagging head, which shares its weights with the tag encoder.
        inner: Of the feed-forward blocks.
        layers: Of the tag encoder and of the text decoder.
        label_layers: Of the tagging head.
        words: Vocabulary, with the two tokens that BLIP adds.
        positions: Longest text.
        labels: Tags there are.
    """

    image: int = 384
    channels: int = 128
    depths: tuple[int, ...] = (2, 2, 18, 2)
    swin_heads: tuple[int, ...] = (4, 8, 16, 32)
    window: int = 12
    width: int = 768
    heads: int = 12
    label_heads: int = 4
    inner: int = 3072
    layers: int = 12
    label_layers: int = 2
    words: int = 30524
    positions: int = 512
    labels: int = 3429

    @property
    def seen(self) -> int:
        """Width of the picture's tokens."""
        return self.channels << (len(self.depths) - 1)


SIZES: Final = Sizes()


_HEAD = "text_decoder.cls.predictions"
TIES: Final = MappingProxyType(
    {
        f"{_HEAD}.decoder.bias": f"{_HEAD}.bias",
        f"{_HEAD}.decoder.weight": "text_decoder.bert.embeddings.word_embeddings.weight",
    }
)
"""Second name -> first name of the same numbers; some savers keep only one of them."""


class GroupWiseLinear(nn.Module):
    """One linear map to a single number for each label."""

    def __init__(self, labels: int, width: int) -> None:
        super().__init__()
        self.W = nn.Parameter(torch.zeros(1, labels, width))
        self.b = nn.Parameter(torch.zeros(1, labels))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits [N, labels] for [N, labels, width]."""
        return (self.W * x).sum(dim=-1) + self.b


class Bert(nn.Module):
    """Embeddings and layers that look at features from outside.

    Args:
        sizes: See `Sizes`.
        context: Width of the outside features.
    """

    def __init__(self, sizes: Sizes, context: int) -> None:
        super().__init__()
        self.embeddings = Embeddings(sizes.words, sizes.width, sizes.positions)
        self.encoder = Layers(
            Layer(sizes.width, sizes.heads, sizes.inner, context) for _ in range(sizes.layers)
        )

    def forward(self, tokens: Tensor, mask: Tensor, seen: Tensor) -> Tensor:
        """Encode texts in both directions.

        Args:
            tokens: [N, T].
            mask: bool [N, T], True where a token is no padding.
            seen: The outside features [N, S, context].

        Returns:
            [N, T, width].
        """
        hidden: Tensor = self.embeddings(tokens)
        for layer in layers_of(self):
            hidden = layer.encode(hidden, seen, mask[:, None, None])
        return hidden


def layers_of(bert: Bert) -> list[Layer]:
    """The layers, first to last."""
    return list(bert.encoder.layer)  # type: ignore[arg-type]


class LabelHead(nn.Module):
    """Every label looks at the picture; the weights are those of the tag encoder's first layers."""

    def __init__(self, sizes: Sizes, shared: Bert) -> None:
        super().__init__()
        layers = []
        for source in layers_of(shared)[: sizes.label_layers]:
            layer = CrossLayer(sizes.width, sizes.label_heads, sizes.inner, sizes.seen)
            # The attention keeps its own number of heads.
            layer.crossattention.self = source.crossattention.self
            layer.crossattention.output = source.crossattention.output
            layer.intermediate, layer.output = source.intermediate, source.output
            layers.append(layer)
        self.encoder = Layers(layers)

    def forward(self, labels: Tensor, seen: Tensor) -> Tensor:
        """Return [N, labels, width] for labels [N, labels, width] and a picture's tokens."""
        for layer in self.encoder.layer:
            labels = layer(labels, seen)
        return labels


class Transform(nn.Module):
    """The map before the words of BERT's language model head."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, width)
        self.LayerNorm = nn.LayerNorm(width, eps=1e-12)

    def forward(self, hidden: Tensor) -> Tensor:
        """Return norm(GELU(dense(hidden)))."""
        result: Tensor = self.LayerNorm(linear_gelu(self.dense, hidden))
        return result


class Predictions(nn.Module):
    """Logits of words; the matrix is the table of word embeddings."""

    def __init__(self, words: nn.Embedding, width: int) -> None:
        super().__init__()
        self.transform = Transform(width)
        self.decoder = nn.Linear(width, words.num_embeddings)
        self.decoder.weight = words.weight
        # Checkpoints name the bias twice.
        self.bias = self.decoder.bias

    def forward(self, hidden: Tensor) -> Tensor:
        """Return [..., words] for [..., width]."""
        logits: Tensor = self.decoder(self.transform(hidden))
        return logits


class LanguageModelHead(nn.Module):
    """Holds the predictions under the name of the checkpoint."""

    def __init__(self, words: nn.Embedding, width: int) -> None:
        super().__init__()
        self.predictions = Predictions(words, width)


class TextDecoder(nn.Module):
    """The language model that writes captions while looking at the tags' memory."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.bert = Bert(sizes, sizes.width)
        self.cls = LanguageModelHead(self.bert.embeddings.word_embeddings, sizes.width)


class Writing:
    """Texts in the making: the keys and values of all tokens so far.

    Args:
        decoder: The language model.
        memory: What it looks at, [N, M, width], one row a text.
    """

    def __init__(self, decoder: TextDecoder, memory: Tensor) -> None:
        self.decoder = decoder
        self.device = memory.device
        self.layers = layers_of(decoder.bert)
        self.outside = [layer.crossattention.keys_values(memory) for layer in self.layers]
        self.past: list[KeysValues | None] = [None] * len(self.layers)
        self.length = 0
        self.texts = len(memory)
        self.rows = len(memory)

    def advance(self, tokens: Tensor, rows: Tensor) -> Tensor:
        """Add tokens and predict the next one.

        Args:
            tokens: The new tokens [R, T].
            rows: Row of the last call that each continues [R]; at the first call the texts in
                their order. The rows of one text stand together, as many for each text.

        Returns:
            Logits [R, words] of the token after the last new one.
        """
        tokens, rows = tokens.to(self.device), rows.to(self.device)
        self._follow(rows)
        hidden: Tensor = self.decoder.bert.embeddings(tokens, self.length)
        for number, layer in enumerate(self.layers):
            hidden, self.past[number] = layer.decode(
                hidden, self.past[number], self.outside[number]
            )
        self.length += tokens.shape[1]
        logits: Tensor = self.decoder.cls.predictions(hidden[:, -1])
        return logits

    def _follow(self, rows: Tensor) -> None:
        """Keep only what the rows continue, and the memory of texts that are not finished."""
        if self.length == 0:
            return
        self.past = [(p[0][rows], p[1][rows]) for p in self.past if p is not None]
        per_text = self.rows // self.texts
        left = torch.unique_consecutive(rows // per_text)
        if len(left) < self.texts:
            self.outside = [(keys[left], values[left]) for keys, values in self.outside]
        self.rows, self.texts = len(rows), len(left)


class Tag2Text(nn.Module):
    """Picture to tags to caption.

    Args:
        sizes: See `Sizes`.
    """

    def __init__(self, sizes: Sizes = SIZES) -> None:
        super().__init__()
        self.sizes = sizes
        self.visual_encoder = Swin(
            sizes.image, sizes.channels, sizes.depths, sizes.swin_heads, sizes.window
        )
        self.text_decoder = TextDecoder(sizes)
        self.tag_encoder = Bert(sizes, sizes.seen)
        self.vision_multi = LabelHead(sizes, self.tag_encoder)
        self.label_embed = nn.Embedding(sizes.labels, sizes.width)
        self.fc = GroupWiseLinear(sizes.labels, sizes.width)

    def look(self, pictures: Tensor) -> Tensor:
        """The tokens of pictures [N, 3, H, W] (ImageNet mean and deviation): [N, 1 + L, C]."""
        seen: Tensor = self.visual_encoder(pictures)
        return seen

    def tag_logits(self, seen: Tensor) -> Tensor:
        """Logits of all labels for the tokens of pictures: [N, labels]."""
        labels = self.label_embed.weight.expand(len(seen), -1, -1)
        logits: Tensor = self.fc(self.vision_multi(labels, seen))
        return logits

    def memory(self, tags: Tensor, mask: Tensor, seen: Tensor) -> Tensor:
        """What the caption is written from.

        Args:
            tags: Tokens of the tags [N, T].
            mask: bool [N, T], True where a token is no padding.
            seen: Tokens of the pictures [N, 1 + L, C].

        Returns:
            [N, T, width].
        """
        encoded: Tensor = self.tag_encoder(tags, mask, seen)
        return encoded

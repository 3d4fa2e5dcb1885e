"""ImageReward's network: BLIP's text encoder reads the prompt while it looks at the picture.

Names are those of the released checkpoint `ImageReward.pt`. timm holds the picture's encoder under
BLIP's names; the text encoder is made of the layers that Tag2Text has in common with BLIP.

Source: Xu et al. 2023 (arXiv 2304.05977); Li et al. 2022 (arXiv 2201.12086).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from turbo_eval.backbones.official.tag2text.bert import Embeddings, Layer, Layers

MEAN: Final = 0.16717362830052426
STD: Final = 1.0333394966054072
"""Mean and standard deviation of raw scores that the released model is normalised with."""
HIDDEN: Final = (1024, 128, 64, 16)
"""Widths inside the head."""
POSITIONS: Final = "blip.text_encoder.embeddings.position_ids"
UNUSED: Final = ("blip.vision_proj.", "blip.text_proj.")
"""BLIP's projections for contrastive training: they stand in the file, no score reads them."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes of the network; the defaults are those of the released checkpoint.

    Attributes:
        image: Height and width of a picture in pixels.
        patch: Height and width of a patch.
        seen: Width of the picture's encoder.
        blocks: Of the picture's encoder.
        seen_heads: Of the picture's encoder.
        width: Of the text encoder.
        heads: Of the text encoder.
        inner: Of the text encoder's feed-forward blocks.
        layers: Of the text encoder.
        words: Vocabulary, with the two tokens that BLIP adds.
        positions: Longest text that the encoder could read.
        tokens: Of a prompt, both ends included; longer ones are cut.
    """

    image: int = 224
    patch: int = 16
    seen: int = 1024
    blocks: int = 24
    seen_heads: int = 16
    width: int = 768
    heads: int = 12
    inner: int = 3072
    layers: int = 12
    words: int = 30524
    positions: int = 512
    tokens: int = 35


class TextEncoder(nn.Module):
    """BERT whose layers also look at a picture."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.embeddings = Embeddings(sizes.words, sizes.width, sizes.positions)
        self.encoder = Layers(
            Layer(sizes.width, sizes.heads, sizes.inner, sizes.seen) for _ in range(sizes.layers)
        )

    def forward(self, tokens: Tensor, mask: Tensor, seen: Tensor) -> Tensor:
        """Read texts while looking at pictures.

        Args:
            tokens: int64 [N, T].
            mask: bool [N, T], True where a token is no padding.
            seen: Tokens of the pictures, [N, S, sizes.seen].

        Returns:
            [N, T, width].
        """
        hidden: Tensor = self.embeddings(tokens)
        for layer in self.encoder.layer:
            hidden = layer.encode(hidden, seen, mask[:, None, None])  # type: ignore[operator]
        return hidden


class Blip(nn.Module):
    """The picture's encoder and the text encoder."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.visual_encoder = VisionTransformer(
            img_size=sizes.image,
            patch_size=sizes.patch,
            embed_dim=sizes.seen,
            depth=sizes.blocks,
            num_heads=sizes.seen_heads,
            num_classes=0,
        )
        self.text_encoder = TextEncoder(sizes)


class Head(nn.Module):
    """Linear maps from the text's first token to one number; there is nothing between them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        first, second, third, fourth = HIDDEN
        # The released head drops numbers in training, which moves the later maps' positions.
        self.layers = nn.Sequential(
            nn.Linear(width, first),
            nn.Identity(),
            nn.Linear(first, second),
            nn.Identity(),
            nn.Linear(second, third),
            nn.Identity(),
            nn.Linear(third, fourth),
            nn.Linear(fourth, 1),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Raw scores [N] of features [N, width]."""
        raw: Tensor = self.layers(features)
        return raw[:, 0]


class ImageReward(nn.Module):
    """Pictures and prompts to scores.

    Args:
        sizes: See `Sizes`.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.blip = Blip(sizes)
        self.mlp = Head(sizes.width)

    def forward(self, pictures: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        """Score pictures with their prompts.

        Args:
            pictures: [N, 3, image, image], prepared, in the number type of `blip`.
            tokens: int64 [N, T].
            mask: bool [N, T], True where a token is no padding.

        Returns:
            float32 [N], standardised: 0 is the mean of the training pictures, 1 one deviation.
        """
        seen = self.blip.visual_encoder.forward_features(pictures)
        read = self.blip.text_encoder(tokens, mask, seen)[:, 0]
        # As the official program does, also in half precision.
        raw: Tensor = self.mlp(read.float())
        return (raw - MEAN) / STD


def build(sizes: Sizes, dtype: torch.dtype) -> ImageReward:
    """The network without storage: its weights come from a file, so none are drawn.

    Args:
        sizes: See `Sizes`.
        dtype: Number type of both encoders; the head keeps float32.
    """
    with torch.device("meta"):
        network = ImageReward(sizes)
    network.blip.to(dtype)
    return network


def for_scoring(state: Mapping[str, Tensor], sizes: Sizes) -> dict[str, Tensor]:
    """What a score reads of a checkpoint's state.

    Args:
        state: Name -> tensor, as in the released file.
        sizes: Of the network.

    Returns:
        The state without BLIP's projections, and with the table of position numbers, which is a
        constant that not every saver keeps.
    """
    kept = {name: tensor for name, tensor in state.items() if not name.startswith(UNUSED)}
    kept.setdefault(POSITIONS, torch.arange(sizes.positions)[None])
    return kept

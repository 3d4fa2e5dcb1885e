"""GRiT with a ViT-B backbone: objects of a picture, their names and their captions.

Source: Wu et al. 2022 (arXiv 2212.00280). Names are those of the released checkpoint
`grit_b_densecap_objectdet.pth`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from turbo_eval.backbones.official.grit.cascade import OBJECT, Cascade, Objects, pool
from turbo_eval.backbones.official.grit.proposals import Proposer
from turbo_eval.backbones.official.grit.text import Text, TextDecoder, Textual
from turbo_eval.backbones.official.grit.vitdet import Pyramid, ViT

MEAN: Final = (123.675, 116.28, 103.53)
DEVIATION: Final = (58.395, 57.12, 57.375)
DIVISIBLE: Final = 32
"""Pictures are filled up to a multiple of this many pixels."""
NAME: Final = 101
"""The token that starts the name of an object."""
CAPTION: Final = 104
"""The token that starts a caption."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes of the network; the defaults are those of the released checkpoint.

    Attributes:
        width: Channels of the transformer.
        depth: Its blocks.
        heads: Of its attentions.
        window: Patches along a side of a window.
        side: Patches along a side for which its global biases were trained.
        trained: Patches along a side for which its positions were trained.
        channels: Of the pyramid's maps.
        box: Width of the heads of a box.
        text: Width of the text decoder.
        text_heads: Of its attentions.
        inner: Of its feed-forward blocks.
        layers: Their number.
        words: Vocabulary.
        positions: Longest text.
    """

    width: int = 768
    depth: int = 12
    heads: int = 12
    window: int = 14
    side: int = 64
    trained: int = 14
    channels: int = 256
    box: int = 1024
    text: int = 768
    text_heads: int = 12
    inner: int = 3072
    layers: int = 6
    words: int = 30522
    positions: int = 1024


SIZES: Final = Sizes()


@dataclass(frozen=True, slots=True)
class Seen:
    """The objects of one picture with what the text decoder sees of each.

    Attributes:
        objects: Boxes and scores.
        cells: [N, 196, C].
    """

    objects: Objects
    cells: Tensor


class Heads(Cascade):
    """The cascade and the text decoder."""

    full_precision = True

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes.channels, sizes.box)
        textual = Textual(
            sizes.channels, sizes.text, sizes.text_heads, sizes.inner, sizes.layers, sizes.words,
            sizes.positions,
        )  # fmt: skip
        self.text_decoder = TextDecoder(textual)
        # The checkpoint holds it twice.
        self.text_decoder_det = self.text_decoder


class Grit(nn.Module):
    """Pictures to objects, objects to texts.

    Args:
        sizes: See `Sizes`.
    """

    def __init__(self, sizes: Sizes = SIZES) -> None:
        super().__init__()
        vit = ViT(sizes.width, sizes.depth, sizes.heads, sizes.window, sizes.side, sizes.trained)
        self.backbone = Pyramid(vit, sizes.width, sizes.channels)
        self.proposal_generator = Proposer(sizes.channels)
        self.roi_heads = Heads(sizes)

    def look(self, pictures: Tensor) -> list[Seen]:
        """Find objects.

        Under autocast only the backbone, which takes most of the time, is reduced: coordinates and
        scores need more than the 8 bits of bfloat16.

        Args:
            pictures: float32 [N, 3, H, W], RGB in 0..255.

        Returns:
            For each picture its objects, the surest first.
        """
        height, width = pictures.shape[-2:]
        maps = [level.float() for level in self.backbone(prepared(pictures))]
        with torch.autocast(pictures.device.type, enabled=False):
            proposals = self.proposal_generator(maps)
            seen = []
            for n, proposed in enumerate(proposals):
                mine = [level[n : n + 1] for level in maps[:3]]
                objects = self.roi_heads.objects(mine, proposed, height, width)
                cells = pool(mine, objects.boxes, OBJECT).flatten(2).transpose(1, 2)
                seen.append(Seen(objects, cells))
            return seen

    def describe(
        self, cells: Tensor, begins: Sequence[int], *, at_once: int = 32
    ) -> list[list[Text]]:
        """Write about objects.

        Args:
            cells: [N, 196, C], see `Seen`.
            begins: `NAME`, `CAPTION`: the kinds of text wanted.
            at_once: Objects that are written about together; each needs 9 MB.

        Returns:
            For each kind one text an object.
        """
        textual = self.roi_heads.text_decoder.textual
        found: list[list[Text]] = [[] for _ in begins]
        with torch.autocast(cells.device.type, enabled=False):
            for some in cells.split(at_once) if len(cells) else ():
                kept = textual.read(some)
                for texts, begin in zip(found, begins, strict=True):
                    texts += textual.write(kept, begin)
        return found


def prepared(pictures: Tensor) -> Tensor:
    """Normalise [N, 3, H, W] in 0..255 and fill up with zeros on the right and below."""
    mean = torch.tensor(MEAN, device=pictures.device)[:, None, None]
    deviation = torch.tensor(DEVIATION, device=pictures.device)[:, None, None]
    height, width = pictures.shape[-2:]
    return F.pad((pictures - mean) / deviation, (0, -width % DIVISIBLE, 0, -height % DIVISIBLE))

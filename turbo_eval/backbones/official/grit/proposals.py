"""Proposals of where objects are: CenterNet's heat map of centres with distances to the sides.

Source: Zhou et al. 2019 (arXiv 1904.07850) and 2021 (arXiv 2103.07461, CenterNet2).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import batched_nms

STRIDES: Final = (8, 16, 32, 64, 128)
HEAT: Final = 1e-4
"""Places of less heat are no candidates."""
PER_LEVEL: Final = 1000
OVERLAP: Final = 0.9
"""Of two boxes that overlap more, the hotter one stays."""
KEPT: Final = 256
SMALLEST: Final = 0.01
"""Least width and height of a box in pixels."""


@dataclass(frozen=True, slots=True)
class Proposals:
    """Boxes of one picture, hottest first.

    Attributes:
        boxes: [N, 4], x0, y0, x1, y1 in pixels, not clipped to the picture.
        scores: [N], 0..1.
    """

    boxes: Tensor
    scores: Tensor


class Scale(nn.Module):
    """One learned factor."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))


class Head(nn.Module):
    """Heat and distances for every place of every level.

    Args:
        channels: Of the maps.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        tower: list[nn.Module] = []
        for _ in range(4):
            tower += [nn.Conv2d(channels, channels, 3, padding=1), nn.GroupNorm(32, channels)]
            tower.append(nn.ReLU())
        self.bbox_tower = nn.Sequential(*tower)
        self.bbox_pred = nn.Conv2d(channels, 4, 3, padding=1)
        self.agn_hm = nn.Conv2d(channels, 1, 3, padding=1)
        self.scales = nn.ModuleList(Scale() for _ in STRIDES)

    def forward(self, maps: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Return for each level heat [N, 1, H, W] in 0..1 and distances [N, 4, H, W] in strides."""
        found = []
        for features, scale in zip(maps, self.scales, strict=True):
            tower = self.bbox_tower(features)
            found.append(
                (self.agn_hm(tower).sigmoid(), F.relu(self.bbox_pred(tower) * scale.scale))
            )
        return found


class Proposer(nn.Module):
    """Holds the head under the name of the checkpoint."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.centernet_head = Head(channels)

    def forward(self, maps: Sequence[Tensor]) -> list[Proposals]:
        """Return the proposals of each picture for maps [N, channels, H / s, W / s]."""
        levels = self.centernet_head(maps)
        return [
            _best(
                [
                    _candidates(heat[n, 0], distances[n], stride)
                    for (heat, distances), stride in zip(levels, STRIDES, strict=True)
                ]
            )
            for n in range(len(maps[0]))
        ]


def _candidates(heat: Tensor, distances: Tensor, stride: int) -> Proposals:
    """The hottest places of one level with their boxes; heat [H, W], distances [4, H, W]."""
    flat = heat.flatten()
    places = (flat > HEAT).nonzero()[:, 0]
    flat = flat[places]
    if len(flat) > PER_LEVEL:
        flat, order = flat.topk(PER_LEVEL, sorted=False)
        places = places[order]
    left, top, right, bottom = (distances * stride).flatten(1)[:, places]
    x = (places % heat.shape[1] * stride + stride // 2).float()
    y = (places // heat.shape[1] * stride + stride // 2).float()
    x0, y0 = x - left, y - top
    x1, y1 = (x + right).maximum(x0 + SMALLEST), (y + bottom).maximum(y0 + SMALLEST)
    return Proposals(torch.stack([x0, y0, x1, y1], dim=1), flat.sqrt())


def _best(levels: Sequence[Proposals]) -> Proposals:
    boxes = torch.cat([level.boxes for level in levels])
    scores = torch.cat([level.scores for level in levels])
    kept = batched_nms(boxes, scores, torch.zeros_like(scores, dtype=torch.long), OVERLAP)
    boxes, scores = boxes[kept], scores[kept]
    if len(scores) > KEPT:
        # All that score as much as the last one stay, so ties can make it a few more.
        good = scores >= scores.topk(KEPT).values[-1]
        boxes, scores = boxes[good], scores[good]
    return Proposals(boxes, scores)

"""Three rounds of refining boxes, and the choice of the final ones.

Source: Cai and Vasconcelos 2017, Cascade R-CNN (arXiv 1712.00726); scores as in CenterNet2
(arXiv 2103.07461); levels as in Lin et al. 2016 (arXiv 1612.03144); aligned RoIAlign.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import batched_nms, roi_align

from turbo_eval.backbones.official.grit.proposals import Proposals

POOLED_STRIDES: Final = (8, 16, 32)
"""Strides of the maps that boxes are read from."""
BOX: Final = 7
"""Cells along a side of what a box's head sees."""
OBJECT: Final = 14
"""Cells along a side of what the text decoder sees."""
DELTA_WEIGHTS: Final = ((10.0, 5.0), (20.0, 10.0), (30.0, 15.0))
"""By how much the outputs of each round are divided: for the centre, for the size."""
GROWTH: Final = math.log(1000 / 16)
"""The logarithm of the most that a box can grow in one round."""
SURE: Final = 0.5
OVERLAP: Final = 0.5
MOST: Final = 256


@dataclass(frozen=True, slots=True)
class Objects:
    """The objects of one picture, the surest first.

    Attributes:
        boxes: [N, 4], x0, y0, x1, y1 in pixels, inside the picture.
        scores: [N], 0..1.
        logits: [N], the mean logit of being an object.
    """

    boxes: Tensor
    scores: Tensor
    logits: Tensor


class BoxHead(nn.Module):
    """Two linear maps over what a box sees."""

    def __init__(self, inside: int, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(inside, width)
        self.fc2 = nn.Linear(width, width)

    def forward(self, seen: Tensor) -> Tensor:
        """Return [N, width] for [N, C, 7, 7]."""
        return F.relu(self.fc2(F.relu(self.fc1(seen.flatten(1)))))


class BoxPredictor(nn.Module):
    """Whether a box holds an object, and how to move it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.cls_score = nn.Linear(width, 2)
        self.bbox_pred = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 4))

    def forward(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits [N, 2] (object, background) and deltas [N, 4]."""
        return self.cls_score(hidden), self.bbox_pred(hidden)


def pool(maps: Sequence[Tensor], boxes: Tensor, cells: int) -> Tensor:
    """What boxes see, from the map that fits the size of each.

    Args:
        maps: Of one picture, [1, C, H / s, W / s] for s = 8, 16, 32.
        boxes: [N, 4] in pixels.
        cells: Cells along a side of the result.

    Returns:
        [N, C, cells, cells].
    """
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    # A box of 224 x 224 pixels belongs to stride 16, twice the side to the next coarser map.
    level = torch.floor(4 + torch.log2(area.sqrt() / 224 + 1e-8)).clamp(3, 5).long() - 3
    seen = boxes.new_zeros(len(boxes), maps[0].shape[1], cells, cells)
    for number, stride in enumerate(POOLED_STRIDES):
        here = (level == number).nonzero()[:, 0]
        if len(here):
            seen[here] = roi_align(
                maps[number], [boxes[here]], cells, 1 / stride, sampling_ratio=0, aligned=True
            )
    return seen


def moved(boxes: Tensor, deltas: Tensor, weights: tuple[float, float]) -> Tensor:
    """Boxes [N, 4] after deltas [N, 4] (centre in box sizes, logarithm of size)."""
    size = boxes[:, 2:] - boxes[:, :2]
    centre = boxes[:, :2] + 0.5 * size
    centre = deltas[:, :2] / weights[0] * size + centre
    half = 0.5 * ((deltas[:, 2:] / weights[1]).clamp(max=GROWTH).exp() * size)
    return torch.cat([centre - half, centre + half], dim=1)


def clipped(boxes: Tensor, height: int, width: int) -> Tensor:
    """Boxes [N, 4] cut to a picture."""
    most = torch.tensor([width, height, width, height], device=boxes.device, dtype=boxes.dtype)
    return boxes.clamp(min=0).minimum(most)


class Cascade(nn.Module):
    """The three rounds.

    Args:
        channels: Of the maps.
        width: Of the heads.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        rounds = range(len(DELTA_WEIGHTS))
        self.box_head = nn.ModuleList(BoxHead(channels * BOX * BOX, width) for _ in rounds)
        self.box_predictor = nn.ModuleList(BoxPredictor(width) for _ in rounds)

    def objects(
        self, maps: Sequence[Tensor], proposals: Proposals, height: int, width: int
    ) -> Objects:
        """Find the objects of one picture.

        Args:
            maps: [1, C, H / s, W / s] for s = 8, 16, 32.
            proposals: Where to start.
            height: Of the picture in pixels, without padding.
            width: Of the picture.
        """
        boxes, heat = _possible(proposals)
        chances, logits = [], []
        for number, weights in enumerate(DELTA_WEIGHTS):
            if number:
                boxes = clipped(boxes, height, width)
            hidden = self.box_head[number](pool(maps, boxes, BOX))
            scores, deltas = self.box_predictor[number](hidden)
            chances.append(scores.softmax(dim=-1))
            logits.append(scores)
            boxes = moved(boxes, deltas, weights)
        chance = torch.stack(chances).mean(dim=0)[:, 0]
        sure = (chance * heat).sqrt()
        good = boxes.isfinite().all(dim=1) & (sure > SURE)
        inside = clipped(boxes[good], height, width)
        return _chosen(inside, sure[good], torch.stack(logits).mean(dim=0)[good, 0])


def _possible(proposals: Proposals) -> tuple[Tensor, Tensor]:
    """Boxes and scores of the proposals that can still become objects.

    The final score is the root of the proposal's score times a chance of at most 1, so proposals
    at or below the square of the limit are lost from the start.
    """
    possible = proposals.scores > SURE * SURE
    return proposals.boxes[possible], proposals.scores[possible]


def _chosen(boxes: Tensor, scores: Tensor, logits: Tensor) -> Objects:
    kept = batched_nms(boxes, scores, torch.zeros_like(scores, dtype=torch.long), OVERLAP)[:MOST]
    return Objects(boxes[kept], scores[kept], logits[kept])

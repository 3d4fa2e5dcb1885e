"""The detector of the mini world: where a sprite is, which shape it has and in which colour.

Anchor-free, one level: every cell of an 8 x 8 grid says how sure it is to lie at the middle of a
sprite, the distances to the four sides of its box, its shape and its colour.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from turbo_eval.backbones.mini.common import SIZE, Residual, conv, device_of, pixels, sampled
from turbo_eval.backbones.protocol import Features
from turbo_eval.core.records import Prompt, pack_text
from turbo_eval.video.clip import Clip

SHAPES = (
    "circle", "square", "triangle", "star", "heart", "diamond", "cross", "ring", "moon", "person",
)  # fmt: skip
COLORS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white", "gray")
"""The colour words; gray stands for every sprite of a black-and-white clip."""
GRID = 8
CELL = SIZE // GRID
THRESHOLD = 0.5
"""Boxes below this confidence are dropped."""
OVERLAP = 0.45
"""Of two boxes that overlap more (intersection over union), the surer one stays."""


@dataclass(frozen=True, slots=True)
class Found:
    """One sprite that was found: class names, confidence 0..1, box in pixels of a 64 x 64 frame."""

    shape: str
    color: str
    score: float
    box: tuple[float, float, float, float]


class Detector(nn.Module):
    """Frames [N, 3, 64, 64] in -1..1 to a map [N, 5 + shapes + colours, 8, 8].

    Channels: confidence (logit), then left, top, right, bottom distance from the cell's centre in
    cells, then shape logits, then colour logits.
    """

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv(3, 24, 5, 2), conv(24, 48, 3, 2), Residual(48),
            conv(48, 96, 3, 2), Residual(96), Residual(96),
        )  # fmt: skip
        self.head = nn.Sequential(conv(96, 96), nn.Conv2d(96, 5 + len(SHAPES) + len(COLORS), 1))

    def forward(self, frames: Tensor) -> Tensor:
        """Return the raw map."""
        raw: Tensor = self.head(self.body(frames)).float()
        sides = nn.functional.softplus(raw[:, 1:5])
        return torch.cat([raw[:, :1], sides, raw[:, 5:]], dim=1)


def build() -> nn.Module:
    """Return the untrained detector."""
    return Detector()


def cell_centres() -> Tensor:
    """Centres of the cells along one axis, in pixels [8]."""
    return torch.arange(GRID) * CELL + CELL / 2


def overlap(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union of two boxes (x0, y0, x1, y1), 0..1."""
    across = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    down = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    both = across * down
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both
    return both / union if union > 0 else 0.0


def read(maps: Tensor) -> list[list[Found]]:
    """Turn maps [N, C, 8, 8] into the sprites of each frame, the surest first."""
    centres = cell_centres()
    sure = maps[:, 0].sigmoid().cpu()
    peak = sure == nn.functional.max_pool2d(sure[:, None], 3, 1, 1)[:, 0]
    frames: list[list[Found]] = [[] for _ in maps]
    hits = torch.nonzero(peak & (sure > THRESHOLD)).tolist()
    for n, row, column in hits:
        cell = maps[n, :, row, column].cpu()
        left, top, right, bottom = (cell[1:5] * CELL).tolist()
        x, y = float(centres[column]), float(centres[row])
        box = tuple(float(np.clip(v, 0, SIZE)) for v in (x - left, y - top, x + right, y + bottom))
        shape = int(cell[5 : 5 + len(SHAPES)].argmax())
        color = int(cell[5 + len(SHAPES) :].argmax())
        frames[n].append(
            Found(SHAPES[shape], COLORS[color], float(sure[n, row, column]), box)  # type: ignore[arg-type]
        )
    return [_distinct(found) for found in frames]


def _distinct(found: list[Found]) -> list[Found]:
    kept: list[Found] = []
    for one in sorted(found, key=lambda f: -f.score):
        if all(overlap(one.box, other.box) < OVERLAP for other in kept):
            kept.append(one)
    return kept


def detect(module: nn.Module, frames: np.ndarray) -> list[list[Found]]:
    """Find the sprites of frames.

    Args:
        module: The trained network.
        frames: uint8 [N, H, W, 3], RGB.

    Returns:
        For each frame its sprites, the surest first, boxes in pixels of a 64 x 64 frame.
    """
    return read(module(pixels(frames).to(device_of(module))))


def look(module: nn.Module, clip: Clip, prompt: Prompt) -> Features:  # noqa: ARG001 (protocol)
    """Find sprites in 16 sampled frames.

    Returns:
        `objects`: packed list, a frame {"boxes": [[x0, y0, x1, y1] in pixels of the clip, ...],
        "labels": [shape, ...]}, the surest first. `captions`: packed list, a frame {"labels":
        [shape, ...], "captions": ["a red star", ...]}.
    """
    distinct, order = sampled(len(clip.frames))
    found = detect(module, clip.frames[distinct])
    height, width = clip.frames.shape[1:3]
    scale = (width / SIZE, height / SIZE) * 2
    objects = [
        {
            "boxes": [[round(v * s, 2) for v, s in zip(f.box, scale, strict=True)] for f in frame],
            "labels": [f.shape for f in frame],
        }
        for frame in found
    ]
    captions = [
        {"labels": [f.shape for f in frame], "captions": [_caption(f) for f in frame]}
        for frame in found
    ]
    return {
        "objects": pack_text([objects[k] for k in order]),
        "captions": pack_text([captions[k] for k in order]),
    }


def _caption(found: Found) -> str:
    return f"{'an' if found.color[0] in 'aeiou' else 'a'} {found.color} {found.shape}"

"""Which caption is true of which clip, and the loss that teaches this to the text judges.

The captions of a batch are often true of several of its clips ("pixel art"). The renderer knows, so
every true pair counts as a positive one, not only a caption with its own clip.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from turbo_eval.backbones.mini.words import UNKNOWN, vocabulary
from turbo_train.world.captions import (
    ACTION_PHRASES,
    CAMERA_PHRASES,
    SCENE_PHRASES,
    STYLE_PHRASES,
    Said,
    caption,
    random_said,
)
from turbo_train.world.facts import (
    ACTIONS,
    CAMERAS,
    COLORS,
    RELATIONS,
    SCENES,
    SHAPES,
    SIZE,
    STYLES,
    Scene,
)

SHORT = 0.3
"""Share of captions that state one fact or two only."""
UNSAID, NONE, UNSEEN = -2, -1, -3
_INVERSE = (1, 0, 3, 2)
_TABLES = (SCENE_PHRASES, STYLE_PHRASES, CAMERA_PHRASES, ACTION_PHRASES)


def known_words() -> list[str]:
    """Every word that the caption grammar can write, sorted."""
    phrases = [text for table in _TABLES for options in table.values() for text in options]
    facts = [*SHAPES, *COLORS, *RELATIONS, *SCENES, *STYLES, *CAMERAS]
    return vocabulary([*phrases, *facts, "a an and is the"])


def _row(scene: Scene, said: Said | None, *, swapped: bool = False) -> list[int]:
    """Facts of a scene as numbers; with `said`, those that a caption leaves out are `UNSAID`."""
    seen = scene.style != "black and white" or said is not None
    sprites = scene.sprites[::-1] if swapped else scene.sprites
    row: list[int] = []
    for k in range(2):
        there = k < len(sprites)
        row.append(SHAPES.index(sprites[k].shape) if there else NONE)
        color = COLORS.index(sprites[k].color) if there else NONE
        row.append(color if seen else UNSEEN)
    relation = NONE if scene.relation is None else RELATIONS.index(scene.relation)
    row.append(_INVERSE[relation] if swapped and relation >= 0 else relation)
    row += [ACTIONS.index(scene.action), SCENES.index(scene.scene)]
    row += [STYLES.index(scene.style), CAMERAS.index(scene.camera)]
    if said is None:
        return row
    colors, relation_said = said.sprites and said.colors, said.sprites and said.relation
    shown = [said.sprites, colors, said.sprites, colors, relation_said]
    shown += [said.sprites and said.action, said.scene, said.style, said.camera]
    return [value if s else UNSAID for value, s in zip(row, shown, strict=True)]


def true_pairs(scenes: Sequence[Scene], said: Sequence[Said]) -> NDArray[np.bool_]:
    """Whether the caption of scene i (row), which states `said[i]`, is true of scene j (column)."""
    captions = np.array([_row(s, what) for s, what in zip(scenes, said, strict=True)])
    result = np.zeros((len(scenes), len(scenes)), bool)
    # Two sprites may be named in either order, with the relation turned round.
    for swapped in (False, True):
        facts = np.array([_row(scene, None, swapped=swapped) for scene in scenes])
        same = (captions[:, None] == facts[None]) | (captions[:, None] == UNSAID)
        result |= same.all(axis=2)
    return result | np.eye(len(scenes), dtype=bool)


def say_something(scene: Scene, rng: np.random.Generator, *, still: bool) -> tuple[str, Said]:
    """A training caption and what it states; a `still` picture shows no action and no camera."""
    said = random_said(scene, rng)
    if rng.random() < SHORT:
        colors = bool(rng.random() < 0.6 and scene.style != "black and white")
        first = int(rng.integers(3 if still else 5))
        said = Said(
            sprites=first in (0, 3),
            colors=colors,
            action=first == 3,
            scene=first == 1,
            style=first == 2,
            camera=first == 4,
            relation=bool(rng.random() < 0.5),
        )
    if still:
        said = Said(said.sprites, said.colors, False, said.scene, said.style, False, said.relation)
        if not (said.sprites or said.scene or said.style):
            said = Said(said.sprites, said.colors, False, True, said.style, False, said.relation)
    return caption(scene, said, tuple(rng.random(6))), said


def forget_words(numbers: NDArray[np.int64], rng: np.random.Generator) -> Tensor:
    """Word numbers with one in fifty made unknown, so that strange words do little harm."""
    known = numbers > UNKNOWN
    return torch.from_numpy(np.where(known & (rng.random(numbers.shape) < 0.02), UNKNOWN, numbers))


def match_loss(seen: Tensor, said: Tensor, log_scale: Tensor, truth: Tensor) -> Tensor:
    """Symmetric cross-entropy between similarities and true pairs.

    Args:
        seen: features of pictures or clips [N, D].
        said: features of captions [N, D].
        log_scale: logarithm of the factor on the cosine.
        truth: bool [N, N], caption i is true of picture j.
    """
    cosine = F.normalize(said.float(), dim=1) @ F.normalize(seen.float(), dim=1).T
    logits = cosine * log_scale.exp().clamp(max=100)
    wanted = truth.float()
    rows = -(F.log_softmax(logits, 1) * wanted / wanted.sum(1, keepdim=True)).sum(1)
    columns = -(F.log_softmax(logits, 0) * wanted / wanted.sum(0, keepdim=True)).sum(0)
    return (rows.mean() + columns.mean()) / 2


def fact_targets(scenes: Sequence[Scene]) -> dict[str, Tensor]:
    """What heads that only help training must read: multi-label or class numbers, per fact."""
    shapes, colors = torch.zeros(len(scenes), len(SHAPES)), torch.zeros(len(scenes), len(COLORS))
    for k, scene in enumerate(scenes):
        for sprite in scene.sprites:
            shapes[k, SHAPES.index(sprite.shape)] = 1
            if scene.style != "black and white":
                colors[k, COLORS.index(sprite.color)] = 1
    return {
        "shape": shapes,
        "color": colors,
        "scene": torch.tensor([SCENES.index(s.scene) for s in scenes]),
        "style": torch.tensor([STYLES.index(s.style) for s in scenes]),
        "action": torch.tensor([ACTIONS.index(s.action) for s in scenes]),
        "camera": torch.tensor([CAMERAS.index(s.camera) for s in scenes]),
    }


FACT_SIZES = {
    "shape": len(SHAPES),
    "color": len(COLORS),
    "scene": len(SCENES),
    "style": len(STYLES),
    "action": len(ACTIONS),
    "camera": len(CAMERAS),
}


def choice_loss(seen: Tensor, said: Tensor, log_scale: Tensor) -> Tensor:
    """Cross-entropy of choosing the first of K captions for each picture or clip.

    Args:
        seen: features of pictures or clips [N, D].
        said: features of K captions for each of them [N * K, D], the true one first.
        log_scale: logarithm of the factor on the cosine.
    """
    captions = F.normalize(said.float(), dim=1).unflatten(0, (len(seen), -1))
    cosine = (captions @ F.normalize(seen.float(), dim=1)[..., None])[..., 0]
    wanted = torch.zeros(len(seen), dtype=torch.long, device=seen.device)
    return F.cross_entropy(cosine * log_scale.exp().clamp(max=100), wanted)


def shape_map(
    scenes: Sequence[Scene], middles: Sequence[NDArray[np.float32]], grid: int, reach: float = 6.0
) -> Tensor:
    """Which shape's middle lies near each cell of a frame: int64 [N, grid, grid].

    A head that reads it teaches the network to find the sprites; it is dropped after training.

    Args:
        scenes: what the frames show.
        middles: x and y of the sprites of each frame in pixels, [2, 2]; NaN for none.
        grid: cells a side.
        reach: how far from a middle a cell still belongs to it, in pixels a side.

    Returns:
        Place of the shape in `SHAPES` plus one, 0 where no sprite is near.
    """
    axis = (np.arange(grid) + 0.5) * SIZE / grid - 0.5
    result = np.zeros((len(scenes), grid, grid), np.int64)
    for k, scene in enumerate(scenes):
        for sprite, (x, y) in zip(scene.sprites, middles[k], strict=False):
            near = (np.abs(axis[:, None] - y) <= reach) & (np.abs(axis[None, :] - x) <= reach)
            result[k][near] = SHAPES.index(sprite.shape) + 1
    return torch.from_numpy(result)


def map_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Cross-entropy of a map [N, shapes + 1, G, G]; cells without a sprite count a tenth."""
    weight = torch.ones(logits.shape[1], device=logits.device)
    weight[0] = 0.1
    return F.cross_entropy(logits.float(), wanted.to(logits.device), weight)


def even_odds(scenes: Sequence[Scene]) -> NDArray[np.float64]:
    """How often to draw each scene so that rare cameras and styles come more often; sums to 1.

    In proportion to one over the square root of how often its camera and its style occur.
    """
    odds = np.ones(len(scenes))
    for values in ([s.camera for s in scenes], [s.style for s in scenes]):
        count = Counter(values)
        odds /= np.sqrt([count[value] for value in values])
    return np.asarray(odds / odds.sum(), np.float64)


def fact_loss(logits: dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
    """Mean loss of the helping heads in `logits`: several true labels for shapes and colours."""
    total = torch.zeros(())
    for key, value in logits.items():
        wanted = targets[key].to(value.device)
        if wanted.is_floating_point():
            one = F.binary_cross_entropy_with_logits(value.float(), wanted) * 5
        else:
            one = F.cross_entropy(value.float(), wanted)
        total = total.to(value.device) + one
    return total / len(logits)


def roughen(clips: Tensor) -> Tensor:
    """Clips [N, T, C, H, W] in -1..1 in other light; a third softer, a quarter with noise.

    Which ones is a matter of their place, so give them in random order. Random numbers come from
    torch's global generator, which `fit` seeds at every step.
    """
    count, time = clips.shape[:2]
    result = clips * (0.88 + 0.24 * torch.rand(count, 1, clips.shape[2], 1, 1))
    result += 0.24 * torch.rand(count, 1, 1, 1, 1) - 0.12
    soft, noisy = count // 3, count - count // 4
    flat = F.pad(result[:soft].flatten(0, 1), (1, 1, 1, 1), mode="replicate")
    blurred = F.avg_pool2d(flat, 3, 1).unflatten(0, (-1, time)) if soft else result[:0]
    result[:soft] = torch.lerp(result[:soft], blurred, torch.rand(soft, 1, 1, 1, 1))
    level = 0.1 * torch.rand(count - noisy, 1, 1, 1, 1)
    result[noisy:] += level * torch.randn_like(result[noisy:])
    return result.clamp_(-1, 1)

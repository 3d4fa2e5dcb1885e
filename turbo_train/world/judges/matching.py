"""Which caption is true of which clip, and the loss that teaches this to the text judges.

The captions of a batch are often true of several of its clips ("pixel art"). The renderer knows, so
every true pair counts as a positive one, not only a caption with its own clip.
"""

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
    """Clips [N, T, 3, H, W] in -1..1 in other light; a third softer, a quarter with noise.

    Which ones is a matter of their place, so give them in random order. Random numbers come from
    torch's global generator, which `fit` seeds at every step.
    """
    count, time = clips.shape[:2]
    result = clips * (0.88 + 0.24 * torch.rand(count, 1, 3, 1, 1))
    result += 0.24 * torch.rand(count, 1, 1, 1, 1) - 0.12
    soft, noisy = count // 3, count - count // 4
    flat = F.pad(result[:soft].flatten(0, 1), (1, 1, 1, 1), mode="replicate")
    blurred = F.avg_pool2d(flat, 3, 1).unflatten(0, (-1, time)) if soft else result[:0]
    result[:soft] = torch.lerp(result[:soft], blurred, torch.rand(soft, 1, 1, 1, 1))
    level = 0.1 * torch.rand(count - noisy, 1, 1, 1, 1)
    result[noisy:] += level * torch.randn_like(result[noisy:])
    return result.clamp_(-1, 1)

"""Recipe: the detector, trained on boxes, shapes and colours that the renderer knows."""

from collections import Counter
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from turbo_eval.backbones.mini.detector import (
    CELL,
    COLORS,
    GRID,
    SHAPES,
    build,
    cell_centres,
    detect,
)
from turbo_eval.backbones.mini.detector import overlap as box_overlap
from turbo_train.world.facts import FRAMES, SIZE, Scene
from turbo_train.world.fit import Plan, fit
from turbo_train.world.judges.common import (
    HELD_SEED,
    Measured,
    Trained,
    Work,
    augment,
    mean,
    pool,
    share,
    tensor,
)
from turbo_train.world.render import boxes

SEED = 501
CLIPS = 3000
BATCH = 48
STEPS = 1400
RATE = 3e-3
HELD_CLIPS = 400
VISIBLE = 4.0
"""Sprites whose box is narrower or lower than this many pixels are not asked for."""


def truth(scene: Scene) -> NDArray[np.float32]:
    """Boxes and classes of two slots: float32 [T, 2, 6] of x0, y0, x1, y1, shape, colour.

    A slot without a visible sprite holds NaN.
    """
    result = np.full((scene.frames, 2, 6), np.nan, np.float32)
    for k, (sprite, box) in enumerate(zip(scene.sprites, boxes(scene), strict=True)):
        color = "gray" if scene.style == "black and white" else sprite.color
        result[:, k, :4] = box
        result[:, k, 4] = SHAPES.index(sprite.shape)
        result[:, k, 5] = COLORS.index(color)
        tiny = ((box[:, 2:] - box[:, :2]) < VISIBLE).any(axis=1)
        result[tiny, k] = np.nan
    return result


def truths(folder: Path, items: list[Scene], name: str) -> NDArray[np.float32]:
    """`truth` of many scenes [N, T, 2, 6], kept in `folder`."""
    path = folder / f"{name}-boxes.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        np.save(path, np.stack([truth(scene) for scene in items]))
    result: NDArray[np.float32] = np.load(path)
    return result


def targets(sprites: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What the map should say.

    Args:
        sprites: [N, 2, 6], see `truth`.

    Returns:
        Wanted confidence [N, 8, 8]; which slot each cell belongs to [N, 8, 8] (-1 none); distances
        to the slot's sides [N, 8, 8, 4] in cells.
    """
    there = ~sprites[..., 0].isnan()
    box = sprites[..., :4].nan_to_num()
    centre = cell_centres().to(sprites.device)
    middle, size = (box[..., :2] + box[..., 2:]) / 2, (box[..., 2:] - box[..., :2]).clamp(min=1)
    dx = (centre[None, None, None, :] - middle[..., 0, None, None]).abs()
    dy = (centre[None, None, :, None] - middle[..., 1, None, None]).abs()
    # The nearest cell always counts; others when they lie in the box's middle half.
    near = (dx <= CELL / 2) & (dy <= CELL / 2)
    inside = (dx <= size[..., 0, None, None] / 4) & (dy <= size[..., 1, None, None] / 4)
    mine = (near | inside) & there[..., None, None]
    far = torch.where(mine, dx + dy, torch.inf)
    nearest, slot = far.min(dim=1)
    slot = torch.where(nearest.isinf(), -1, slot)
    sure = torch.exp(-(dx**2 + dy**2) / (2 * CELL**2)) * there[..., None, None]
    best = sure.amax(dim=1)
    chosen = box.gather(1, slot.clamp(min=0).flatten(1)[..., None].expand(-1, -1, 4))
    chosen = chosen.view(len(sprites), GRID, GRID, 4)
    across, down = centre[None, None, :].expand_as(best), centre[None, :, None].expand_as(best)
    distances = torch.stack(
        [across - chosen[..., 0], down - chosen[..., 1], chosen[..., 2] - across,
         chosen[..., 3] - down], dim=-1,
    )  # fmt: skip
    # A soft target that passes one half within about one cell of the middle.
    return torch.where(slot >= 0, best.clamp(min=0.6), best * 0.4), slot, distances / CELL


def loss(maps: Tensor, sprites: Tensor) -> Tensor:
    """Confidence, box, shape and colour of a batch: maps [N, C, 8, 8], sprites [N, 2, 6]."""
    sure, slot, distances = targets(sprites)
    weight = torch.where(slot >= 0, 4.0, 1.0)
    raw = nn.functional.binary_cross_entropy_with_logits(maps[:, 0], sure, reduction="none")
    total = (raw * weight).mean() * 4
    n, row, column = torch.nonzero(slot >= 0, as_tuple=True)
    cells = maps[n, :, row, column]
    which = sprites[n, slot[n, row, column]]
    total = total + nn.functional.smooth_l1_loss(cells[:, 1:5], distances[n, row, column], beta=0.2)
    first, second = 5 + len(SHAPES), 5 + len(SHAPES) + len(COLORS)
    total = total + nn.functional.cross_entropy(cells[:, 5:first], which[:, 4].long())
    return total + nn.functional.cross_entropy(cells[:, first:second], which[:, 5].long())


def mirrored(frames: Tensor, sprites: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Mirror the chosen frames [N, 3, H, W] from left to right, with their boxes."""
    turned = sprites.clone()
    turned[..., 0], turned[..., 2] = SIZE - sprites[..., 2], SIZE - sprites[..., 0]
    return (
        torch.where(chosen[:, None, None, None], frames.flip(-1), frames),
        torch.where(chosen[:, None, None], turned, sprites),
    )


def train(work: Work) -> Trained:
    """Train (or resume) the detector."""
    data = pool(work.pools, SEED, CLIPS)
    wanted = truths(work.pools, [entry.scene for entry in data.items], f"{SEED}-{CLIPS}")
    torch.manual_seed(SEED)
    module = build().to(work.device).to(memory_format=torch.channels_last)
    kind = work.device.split(":")[0]

    def step_loss(step: int) -> Tensor:
        rng = np.random.default_rng([SEED, step, 31])
        clip, frame = rng.integers(0, CLIPS, BATCH), rng.integers(0, FRAMES, BATCH)
        frames = tensor(data.clips[clip, frame], work.device)
        sprites = torch.from_numpy(wanted[clip, frame]).to(work.device)
        turn = torch.from_numpy(rng.random(BATCH) < 0.5).to(work.device)
        frames, sprites = mirrored(frames, sprites, turn)
        frames = augment(frames)
        with torch.autocast(kind, torch.bfloat16):
            maps = module(frames)
        return loss(maps, sprites)

    plan = Plan(STEPS, RATE, SEED, work.folder, ema=0.995)
    progress = fit(
        module, step_loss, plan, say=work.say,
        evaluate=lambda m: {k: v.value for k, v in measure(m, work.pools, 100).items()},
        evaluate_every=500,
    )  # fmt: skip
    return Trained(
        module,
        progress,
        {
            "data": f"Frames of {CLIPS} rendered clips of stream {SEED} without held-out "
            "combinations, mirrored, blurred, coarsened, with noise, light and tint varied.",
            "seed": SEED,
            "batch": BATCH,
            "rate": RATE,
        },
    )


def measure(module: nn.Module, pools: Path, clips: int = HELD_CLIPS) -> dict[str, Measured]:
    """Read held-out clips: by frame, and by majority of a clip's frames."""
    data = pool(pools, HELD_SEED, HELD_CLIPS, held=True)
    counts: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    overlaps: list[float] = []
    for clip, entry in zip(data.clips[:clips], data.items, strict=False):
        wanted = truth(entry.scene)
        with torch.no_grad():
            found = detect(module, clip)
        votes: list[Counter[tuple[str, str]]] = [Counter(), Counter()]
        for t, frame in enumerate(found):
            visible = [k for k in (0, 1) if not np.isnan(wanted[t, k, 0])]
            seen["frames"] += 1
            counts["frames"] += len(frame) == len(visible)
            for k in visible:
                box = wanted[t, k, :4].tolist()
                best = max(frame, key=lambda f: box_overlap(f.box, box), default=None)  # noqa: B023
                area = box_overlap(best.box, box) if best else 0.0
                overlaps.append(area)
                if best and area > 0.3:
                    votes[k][best.shape, best.color] += 1
        for k, sprite in enumerate(entry.scene.sprites):
            gray = entry.scene.style == "black and white"
            shape = _winner(votes[k], 0)
            color = _winner(votes[k], 1)
            seen["shape"] += 1
            counts["shape"] += shape == sprite.shape
            seen["color"] += 1
            counts["color"] += color == ("gray" if gray else sprite.color)
            counts["both"] += shape == sprite.shape and (gray or color == sprite.color)
    result = {
        "right shape of a sprite, by clip": share(counts["shape"], seen["shape"]),
        "right colour of a sprite, by clip": share(counts["color"], seen["color"]),
        "right shape and colour, by clip": share(counts["both"], seen["shape"]),
        "right number of sprites, by frame": share(counts["frames"], seen["frames"]),
    }
    return result | {"overlap of boxes": mean(np.array(overlaps), "IoU")}


def _winner(votes: Counter[tuple[str, str]], part: int) -> str | None:
    """The shape (part 0) or colour (part 1) with the most votes; None without a vote."""
    total: Counter[str] = Counter()
    for pair, n in votes.items():
        total[pair[part]] += n
    return total.most_common(1)[0][0] if total else None

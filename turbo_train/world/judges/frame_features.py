"""Recipe: the frame-feature judge (DINO's part), contrastive, without any label.

Two frames of one clip attract each other; frames of all other clips of the batch repel. So that the
sprite counts and not the scenery alone, every scene comes a second time with another sprite, and
every clip a second time in another light: both are other clips. Noise is never shown, so that it
disturbs the features as it disturbs those of large networks.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from turbo_eval.backbones.mini.frame_features import FrameFeatures, build
from turbo_eval.metrics.vbench._consistency import pair_similarities
from turbo_train.world.facts import COLORS, SHAPES, Scene
from turbo_train.world.fit import Plan, fit
from turbo_train.world.judges.common import (
    HELD_SEED,
    Measured,
    Trained,
    Work,
    mean,
    pool,
    share,
    tensor,
)
from turbo_train.world.judges.corrupt import corrupt
from turbo_train.world.render import render
from turbo_train.world.stream import item

SEED = 515
SCENES = 2000
BATCH = 20
STEPS = 400
RATE = 2e-3
TEMPERATURE = 0.2
HELD_CLIPS = 200


def other_sprites(scene: Scene, rng: np.random.Generator) -> Scene:
    """The scene with sprites of another shape or another colour, or both."""
    change = int(rng.integers(3))
    sprites = []
    for sprite in scene.sprites:
        shape = SHAPES[(SHAPES.index(sprite.shape) + int(rng.integers(1, 10))) % len(SHAPES)]
        color = COLORS[(COLORS.index(sprite.color) + int(rng.integers(1, 8))) % len(COLORS)]
        sprites.append(
            replace(
                sprite,
                shape=sprite.shape if change == 1 else shape,
                color=sprite.color if change == 0 else color,
            )
        )
    return replace(scene, sprites=tuple(sprites))


def twins(folder: Path) -> NDArray[np.uint8]:
    """Each scene drawn twice, with its own and with other sprites: uint8 [N, 2, T, 64, 64, 3]."""
    own = pool(folder, SEED, SCENES).clips
    other = np.stack(
        [
            render(other_sprites(item(SEED, k).scene, np.random.default_rng([SEED, k, 25])))
            for k in range(SCENES)
        ]
    )
    return np.stack([own, other], axis=1)


def batch(clips: NDArray[np.uint8], step: int) -> Tensor:
    """Two frames of each of 4 BATCH clips, [2, 4 BATCH, 3, 64, 64] in -1..1.

    Each scene comes with its own sprites, with others, and both again in another light. The two
    frames of a clip share light and sharpness.
    """
    rng = np.random.default_rng([SEED, step, 26])
    which = rng.integers(0, len(clips), BATCH)
    total = clips.shape[2]
    first = rng.integers(0, total, BATCH)
    times = (first, (first + rng.integers(1, total, BATCH)) % total)
    frames = torch.stack([tensor(clips[which, :, time]) for time in times])
    pictures = torch.cat([frames[:, :, 0], frames[:, :, 1]], 1).repeat(1, 2, 1, 1, 1)
    count = pictures.shape[1]
    gain = torch.from_numpy(rng.uniform(0.85, 1.1, (1, count, 3, 1, 1)).astype(np.float32))
    light = rng.uniform(-0.3, 0.3, (1, count, 1, 1, 1)).astype(np.float32)
    light[:, : count // 2] *= 0.1
    pictures = pictures * gain + torch.from_numpy(light)
    soft = torch.from_numpy((rng.random((1, count, 1, 1, 1)) < 0.4).astype(np.float32))
    blurred = F.avg_pool2d(F.pad(pictures.flatten(0, 1), (1,) * 4, mode="replicate"), 3, 1)
    return torch.lerp(pictures, blurred.unflatten(0, (2, count)), 0.8 * soft).clamp(-1, 1)


def loss(network: nn.Module, frames: Tensor) -> Tensor:
    """Normalised cross-entropy between the two frames of each clip, both ways (SimCLR 2020)."""
    with torch.autocast(frames.device.type, torch.bfloat16):
        features = network(frames.flatten(0, 1)).float()
    features = F.normalize(features, dim=1)
    likeness = features @ features.T / TEMPERATURE
    likeness.fill_diagonal_(float("-inf"))
    count = frames.shape[1]
    partner = torch.arange(2 * count, device=frames.device).roll(count)
    return F.cross_entropy(likeness, partner)


@torch.no_grad()
def measure(network: nn.Module, pools: Path) -> dict[str, Measured]:
    """Consistency under VBench's formula on held-out clips, and what disturbs it.

    `NAME k` is the mean consistency of clips spoilt by a corruption at level k; `NAME noticed` is
    the share of clips whose consistency falls at level 3.
    """
    assert isinstance(network, FrameFeatures)
    data = pool(pools, HELD_SEED, HELD_CLIPS, held=True)
    device = next(network.parameters()).device

    def consistency(clip: NDArray[np.uint8]) -> float:
        features = network(tensor(clip).to(device)).cpu().numpy().astype(np.float64)
        return float(pair_similarities(features).mean())

    clean = np.array([consistency(clip) for clip in data.clips])
    result = {"clean": mean(clean)}
    for name in ("identity", "flicker", "noise"):
        for level in (1, 2, 3):
            spoilt = np.array(
                [
                    consistency(corrupt(name, entry.scene, np.array(clip), level, k))
                    for k, (entry, clip) in enumerate(zip(data.items, data.clips, strict=True))
                ]
            )
            result[f"{name} {level}"] = mean(spoilt)
        result[f"{name} noticed"] = share(int((spoilt < clean).sum()), len(clean))
    return result


def train(work: Work) -> Trained:
    """Train (or resume) the frame-feature judge."""
    clips = twins(work.pools)
    torch.manual_seed(SEED)
    network = build().to(work.device)
    progress = fit(
        network,
        lambda step: loss(network, batch(clips, step).to(work.device)),
        Plan(steps=STEPS, lr=RATE, seed=SEED, folder=work.folder, ema=0.995),
        say=work.say,
    )
    settings = {
        "data": f"{SCENES} scenes of stream {SEED}, each drawn with two sets of sprites and in two "
        "lights; no labels. Two frames of a clip attract, all other clips repel.",
        "seed": SEED,
        "batch": 4 * BATCH,
        "learning_rate": RATE,
    }
    return Trained(network, progress, settings)

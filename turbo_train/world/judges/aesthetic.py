"""Recipe: the aesthetic judge, a regression of a stated beauty of rendered frames.

Beauty is 0..1: 0.45 contrast + 0.30 wholeness + 0.25 size, times 1 - 0.7 distortion.
Contrast is the distance between a sprite's mean colour and that of the scenery, over 0.8 (red,
green and blue in 0..1), wholeness the share of its square that lies inside the frame, size its
radius over 12 pixels; each at most 1, and the mean over the sprites.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from turbo_eval.backbones.mini.aesthetic import build
from turbo_train.world.facts import FRAMES, SIZE, Scene
from turbo_train.world.fit import Plan, fit
from turbo_train.world.judges.common import (
    HELD_SEED,
    Measured,
    Trained,
    Work,
    mean,
    pool,
    tensor,
)
from turbo_train.world.judges.image_quality import distort
from turbo_train.world.render import masks, poses

SEED = 505
CLIPS = 2000
BATCH = 48
STEPS = 800
RATE = 1.5e-3
HELD_CLIPS = 400
CONTRAST, WHOLE, LARGE = 0.45, 0.30, 0.25
FULL_CONTRAST, FULL_RADIUS = 0.8, 12.0
DISTORTION = 0.7


def beauty(scene: Scene, clip: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Beauty of every undistorted frame of a rendered clip: float32 [T] in 0..1."""
    cover = masks(scene)
    values: NDArray[np.float32] = np.divide(clip, 255, dtype=np.float32)
    outside: NDArray[np.bool_] = ~np.any(cover, axis=0)
    scenery = _mean_color(values, outside)
    total = np.zeros(len(clip), np.float32)
    for index, mine in enumerate(cover):
        apart = np.linalg.norm(_mean_color(values, mine) - scenery, axis=1)
        pose = poses(scene, index)
        side = 2 * pose.radius
        width = np.minimum(pose.x + pose.radius, SIZE) - np.maximum(pose.x - pose.radius, 0)
        height = np.minimum(pose.y + pose.radius, SIZE) - np.maximum(pose.y - pose.radius, 0)
        whole = np.clip(width, 0, side) * np.clip(height, 0, side) / side**2
        total += CONTRAST * np.clip(apart / FULL_CONTRAST, 0, 1)
        total += WHOLE * whole + LARGE * np.clip(pose.radius / FULL_RADIUS, 0, 1)
    total /= len(cover)
    return total


def _mean_color(values: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Mean colour [T, 3] of values [T, H, W, 3] where mask [T, H, W]; 0 where it is empty."""
    count = np.maximum(mask.sum(axis=(1, 2)), 1)[:, None]
    result: NDArray[np.float32] = (values * mask[..., None]).sum(axis=(1, 2)) / count
    return result


def train(work: Work) -> Trained:
    """Train (or resume) the aesthetic judge."""
    data = pool(work.pools, SEED, CLIPS)
    facts = work.pools / f"{SEED}-{CLIPS}-beauty.npy"
    if not facts.exists():
        pairs = zip(data.items, data.clips, strict=True)
        np.save(facts, np.stack([beauty(entry.scene, clip) for entry, clip in pairs]))
    known: NDArray[np.float32] = np.load(facts)
    torch.manual_seed(SEED)
    module = build().to(work.device).to(memory_format=torch.channels_last)
    kind = work.device.split(":")[0]

    def step_loss(step: int) -> Tensor:
        rng = np.random.default_rng([SEED, step, 35])
        clip, frame = rng.integers(0, CLIPS, BATCH), rng.integers(0, FRAMES, BATCH)
        frames = tensor(data.clips[clip, frame], work.device)
        turn = torch.from_numpy(rng.random((BATCH, 1, 1, 1)) < 0.5).to(work.device)
        frames, strength = distort(torch.where(turn, frames.flip(-1), frames), rng, clean=0.4)
        with torch.autocast(kind, torch.bfloat16):
            number = module(frames)
        wanted = torch.from_numpy(known[clip, frame]).to(work.device) * (1 - DISTORTION * strength)
        return nn.functional.smooth_l1_loss(number, wanted, beta=0.05)

    progress = fit(module, step_loss, Plan(STEPS, RATE, SEED, work.folder, ema=0.99), say=work.say)
    return Trained(
        module,
        progress,
        {
            "data": f"Frames of {CLIPS} rendered clips of stream {SEED}, mirrored; two fifths as "
            "drawn, the others with noise, blur, lost detail or blockiness of known strength. "
            "What is regressed is a definition: 0.45 contrast of sprite and scenery + 0.30 share "
            "of the sprite inside the frame + 0.25 size, times 1 - 0.7 distortion.",
            "limits": "It tells distorted frames from good ones well, but ranks undistorted frames "
            "weakly: compare its error with that of a constant.",
            "seed": SEED,
            "batch": BATCH,
            "rate": RATE,
        },
    )


@torch.no_grad()
def measure(module: nn.Module, pools: Path) -> dict[str, Measured]:
    """Compare with the definition on held-out frames."""
    data = pool(pools, HELD_SEED, HELD_CLIPS, held=True)
    known = np.array(
        [beauty(e.scene, clip)[3] for e, clip in zip(data.items, data.clips, strict=True)]
    )
    torch.manual_seed(HELD_SEED)
    frames = tensor(data.clips[:, 3], str(next(module.parameters()).device))
    found = module(frames).float().cpu().numpy()
    spoilt, strength = distort(frames, np.random.default_rng(HELD_SEED), clean=0.0)
    marred = module(spoilt).float().cpu().numpy()
    wanted = known * (1 - DISTORTION * strength.cpu().numpy())
    return {
        "error on frames as drawn": mean(np.abs(found - known) * 10, "of 10"),
        "error on distorted frames": mean(np.abs(marred - wanted) * 10, "of 10"),
        "a constant's error on frames as drawn": mean(np.abs(known - known.mean()) * 10, "of 10"),
    }

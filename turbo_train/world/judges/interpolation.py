"""Recipe: the in-between judge (AMT's part), taught by left-out frames of rendered clips."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from turbo_eval.backbones.mini.interpolation import Interpolator, build, middle_errors
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

SEED = 514
CLIPS = 2500
BATCH = 24
STEPS = 500
RATE = 1.5e-3
HELD_CLIPS = 200


def batch(clips: NDArray[np.uint8], step: int) -> Tensor:
    """Three frames in a row of each clip, [3, N, 3, 64, 64] in 0..1, in varied light."""
    rng = np.random.default_rng([SEED, step, 24])
    which = rng.integers(0, len(clips), BATCH)
    time = rng.integers(0, clips.shape[1] - 2, BATCH)
    frames = torch.stack([(tensor(clips[which, time + k]) + 1) / 2 for k in range(3)])
    for axis in (3, 4):
        if rng.random() < 0.5:
            frames = frames.flip(axis)
    if rng.random() < 0.5:
        frames = frames.mT
    if rng.random() < 0.5:
        frames = frames.flip(0)
    gain = torch.from_numpy(rng.uniform(0.7, 1.15, (1, BATCH, 3, 1, 1)).astype(np.float32))
    return (frames * gain).clamp(0, 1).contiguous()


def loss(network: Interpolator, frames: Tensor) -> Tensor:
    """L1 of the middle frame; places where it differs from the plain mean weigh five times."""
    first, middle, last = frames
    with torch.autocast(frames.device.type, torch.bfloat16):
        made = network(first, last, damped=False)
    plain = ((first + last) / 2 - middle).abs().mean(1, keepdim=True)
    weight = 1 + 4 * (plain > 0.02).float()
    error: Tensor = (weight * (made.float() - middle).abs()).mean() * 10
    return error


def averaging_errors(frames: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Errors of the plain mean of both neighbours, measured like `middle_errors`."""
    even = frames[::2].astype(np.float64)
    made = ((even[:-1] + even[1:]) / 2).astype(np.uint8).astype(np.int16)
    left_out = frames[1::2][: len(made)].astype(np.int16)
    return np.asarray(np.abs(made - left_out).mean(axis=(1, 2, 3)), np.float64)


@torch.no_grad()
def measure(network: nn.Module, pools: Path) -> dict[str, Measured]:
    """Errors (0..255) on held-out clips, beside those of the plain mean of both neighbours."""
    data = pool(pools, HELD_SEED, HELD_CLIPS, held=True)
    ours = np.array([middle_errors(network, np.array(clip)).mean() for clip in data.clips])
    plain = np.array([averaging_errors(clip).mean() for clip in data.clips])
    moving = plain > 0.5
    return {
        "error": mean(ours, "of 255"),
        "error of averaging": mean(plain, "of 255"),
        "error in moving clips": mean(ours[moving], "of 255"),
        "error of averaging in moving clips": mean(plain[moving], "of 255"),
        "better than averaging in moving clips": share(
            int((ours < plain)[moving].sum()), int(moving.sum())
        ),
    }


def train(work: Work) -> Trained:
    """Train (or resume) the in-between judge."""
    clips = np.array(pool(work.pools, SEED, CLIPS).clips)
    torch.manual_seed(SEED)
    network = build().to(work.device)
    progress = fit(
        network,
        lambda step: loss(network, batch(clips, step).to(work.device)),
        Plan(steps=STEPS, lr=RATE, seed=SEED, folder=work.folder, ema=0.995),
        say=work.say,
    )
    settings = {
        "data": f"Three frames in a row of {CLIPS} clips of stream {SEED}, mirrored, turned, "
        "reversed in time and in varied light.",
        "seed": SEED,
        "batch": BATCH,
        "learning_rate": RATE,
        "limits": "Works out motion at a shorter side of 64; larger frames are fetched at full "
        "size along that motion. Where both frames agree the answer is drawn to their plain mean, "
        "after training.",
    }
    return Trained(network, progress, settings)

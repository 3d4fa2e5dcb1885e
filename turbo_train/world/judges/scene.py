"""Recipe: the scene judge, a classifier of single frames."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from turbo_eval.backbones.mini.scene import SCENES, SURE, build, probabilities
from turbo_train.world.facts import FRAMES
from turbo_train.world.fit import Plan, fit
from turbo_train.world.judges.common import (
    HELD_SEED,
    Measured,
    Trained,
    Work,
    augment,
    pool,
    share,
    tensor,
)

SEED = 503
CLIPS = 2000
BATCH = 48
STEPS = 500
RATE = 3e-3
HELD_CLIPS = 400


def train(work: Work) -> Trained:
    """Train (or resume) the scene judge."""
    data = pool(work.pools, SEED, CLIPS)
    labels = torch.tensor([SCENES.index(entry.scene.scene) for entry in data.items])
    torch.manual_seed(SEED)
    module = build().to(work.device).to(memory_format=torch.channels_last)
    kind = work.device.split(":")[0]

    def step_loss(step: int) -> Tensor:
        rng = np.random.default_rng([SEED, step, 33])
        clip, frame = rng.integers(0, CLIPS, BATCH), rng.integers(0, FRAMES, BATCH)
        frames = tensor(data.clips[clip, frame], work.device)
        turn = torch.from_numpy(rng.random(BATCH) < 0.5).to(work.device)
        frames = augment(torch.where(turn[:, None, None, None], frames.flip(-1), frames))
        with torch.autocast(kind, torch.bfloat16):
            logits = module(frames)
        return nn.functional.cross_entropy(logits, labels[clip].to(work.device))

    progress = fit(module, step_loss, Plan(STEPS, RATE, SEED, work.folder, ema=0.99), say=work.say)
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


def measure(module: nn.Module, pools: Path) -> dict[str, Measured]:
    """Read every frame of held-out clips."""
    data = pool(pools, HELD_SEED, HELD_CLIPS, held=True)
    labels = np.array([SCENES.index(entry.scene.scene) for entry in data.items])
    with torch.no_grad():
        scores = np.concatenate([probabilities(module, clip)[None] for clip in data.clips])
    sure = (scores.argmax(axis=2) == labels[:, None]) & (scores.max(axis=2) >= SURE)
    by_clip = scores.mean(axis=1).argmax(axis=1) == labels
    return {
        "caption names the right place, by frame": share(int(sure.sum()), sure.size),
        "right place, by clip": share(int(by_clip.sum()), len(labels)),
    }

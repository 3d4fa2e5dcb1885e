"""Recipe: the action judge, one sigmoid an action, trained on whole rendered clips."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from turbo_eval.backbones.mini.action import ACTIONS, build, probabilities
from turbo_train.world.fit import Plan, fit
from turbo_train.world.judges.common import (
    HELD_SEED,
    Measured,
    Trained,
    Work,
    augment_clips,
    pool,
    share,
    tensor,
)

SEED = 502
CLIPS = 4500
BATCH = 32
STEPS = 1200
RATE = 2e-3
HELD_CLIPS = 400
THRESHOLD = 0.85
"""VBench counts an action from this probability on."""


def mirrored(wanted: Tensor, turn: Tensor) -> Tensor:
    """Class numbers [N] after the clips chosen by `turn` are mirrored from left to right."""
    left, right = ACTIONS.index("moving left"), ACTIONS.index("moving right")
    other = wanted.clone()
    other[wanted == left], other[wanted == right] = right, left
    return torch.where(turn, other, wanted)


def train(work: Work) -> Trained:
    """Train (or resume) the action judge."""
    data = pool(work.pools, SEED, CLIPS)
    labels = torch.tensor([ACTIONS.index(entry.scene.action) for entry in data.items])
    torch.manual_seed(SEED)
    module = build().to(work.device)
    kind = work.device.split(":")[0]

    def step_loss(step: int) -> Tensor:
        rng = np.random.default_rng([SEED, step, 32])
        chosen = rng.integers(0, CLIPS, BATCH)
        clips = tensor(data.clips[chosen], work.device)
        turn = torch.from_numpy(rng.random(BATCH) < 0.5)
        wanted = mirrored(labels[chosen], turn).to(work.device)
        on = turn.to(work.device)[:, None, None, None, None]
        clips = augment_clips(torch.where(on, clips.flip(-1), clips))
        with torch.autocast(kind, torch.bfloat16):
            logits = module(clips)
        target = nn.functional.one_hot(wanted, len(ACTIONS)).float()
        return nn.functional.binary_cross_entropy_with_logits(logits, target) * len(ACTIONS)

    plan = Plan(STEPS, RATE, SEED, work.folder, ema=0.995)
    progress = fit(
        module, step_loss, plan, say=work.say,
        evaluate=lambda m: {k: v.value for k, v in measure(m, work.pools).items()},
        evaluate_every=500,
    )  # fmt: skip
    return Trained(
        module,
        progress,
        {
            "data": f"{CLIPS} rendered clips of stream {SEED} without held-out combinations, "
            "mirrored, blurred, coarsened, with noise, light and tint varied.",
            "seed": SEED,
            "batch": BATCH,
            "rate": RATE,
        },
    )


def measure(module: nn.Module, pools: Path) -> dict[str, Measured]:
    """Read held-out clips with VBench's rule and by the likeliest class."""
    data = pool(pools, HELD_SEED, HELD_CLIPS, held=True)
    labels = np.array([ACTIONS.index(entry.scene.action) for entry in data.items])
    with torch.no_grad():
        scores = np.concatenate(
            [probabilities(module, data.clips[k : k + 50]) for k in range(0, HELD_CLIPS, 50)]
        )
    single = np.array([len(entry.scene.sprites) == 1 for entry in data.items])
    right = scores.argmax(axis=1) == labels
    own = scores[np.arange(len(labels)), labels]
    wrong = scores.copy()
    wrong[np.arange(len(labels)), labels] = 0
    n = len(labels)
    return {
        "likeliest action is right": share(int(right.sum()), n),
        "likeliest action is right, one sprite": share(int(right[single].sum()), int(single.sum())),
        "right action reaches 0.85": share(int((own >= THRESHOLD).sum()), n),
        "a wrong action reaches 0.85": share(int((wrong >= THRESHOLD).any(axis=1).sum()), n),
    }

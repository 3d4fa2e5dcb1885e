"""How both mini rewards learn: match true captions, refuse false ones, prefer the cleaner clip."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from turbo_eval.backbones.mini import words
from turbo_eval.metrics.rewards.mini.networks import LENGTH, MiniImage, MiniVideo
from turbo_train.world.facts import Scene
from turbo_train.world.fit import Plan, fit
from turbo_train.world.judges.common import Trained, Work, pool, tensor
from turbo_train.world.judges.matching import (
    FACT_SIZES,
    fact_loss,
    fact_targets,
    forget_words,
    known_words,
    match_loss,
    true_pairs,
)
from turbo_train.world.rewards.captions import STILL_FACTS, write
from turbo_train.world.rewards.corrupt import draw_pairs, light, spoil


@dataclass(frozen=True, slots=True)
class Settings:
    """Size of one reward's training. `still`: it sees single frames of the clips."""

    still: bool
    seed: int
    clips: int
    batch: int
    steps: int
    rate: float = 1.5e-3
    false: int = 4


class Student(nn.Module):
    """A reward with heads that read the facts of what it sees; they only help training."""

    def __init__(self, reward: MiniImage | MiniVideo, facts: Sequence[str]) -> None:
        super().__init__()
        self.reward = reward
        self.heads = nn.ModuleDict({key: nn.Linear(reward.seen, FACT_SIZES[key]) for key in facts})


def refuse_loss(seen: Tensor, said: Tensor, false: Tensor, log_scale: Tensor) -> Tensor:
    """Cross-entropy of each true caption [N, D] against its own false ones [N, K, D]."""
    seen = F.normalize(seen.float(), dim=1)
    texts = F.normalize(torch.cat([said[:, None], false], 1).float(), dim=2)
    logits = (texts @ seen[:, :, None])[..., 0] * log_scale.exp().clamp(max=100)
    return F.cross_entropy(logits, torch.zeros(len(seen), dtype=torch.long, device=seen.device))


def rank_loss(better: Tensor, worse: Tensor, said: Tensor, log_scale: Tensor) -> Tensor:
    """Mean of -log sigmoid of how much better the cleaner picture [N, D] matches its caption.

    Source: Bradley and Terry 1952, the loss of human-preference rewards.
    """
    gap = F.cosine_similarity(better.float(), said.float()) - F.cosine_similarity(
        worse.float(), said.float()
    )
    return -F.logsigmoid(gap * log_scale.exp().clamp(max=100)).mean()


def loss(
    student: Student,
    scenes: Sequence[Scene],
    clips: NDArray[np.uint8],
    rng: np.random.Generator,
    settings: Settings,
) -> Tensor:
    """The loss of one batch.

    Args:
        student: the reward and its helping heads.
        scenes: what the clips show, N of them.
        clips: uint8 [N, T, H, W, 3]; T is 1 where single frames are seen.
        rng: draws captions and faults.
        settings: how many false captions, and whether frames are single.
    """
    reward = student.reward
    device = reward.log_scale.device
    written = [write(s, rng, still=settings.still, false=settings.false) for s in scenes]
    texts = [text for text, _, _ in written] + [f for _, false, _ in written for f in false]
    numbers = forget_words(words.encode(texts, known_words(), LENGTH), rng).to(device)
    truth = torch.from_numpy(true_pairs(scenes, [said for _, _, said in written])).to(device)
    n = len(scenes)
    said, false = reward.text(numbers).split([n, n * settings.false])
    clean = light(tensor(clips)).to(device)
    kinds, low, high = draw_pairs(n, rng, still=settings.still)
    both = torch.cat([spoil(clean, kinds, low), spoil(clean, kinds, high)])
    with torch.autocast(device.type, torch.bfloat16):
        pooled = reward.pooled(both[:, 0] if settings.still else both)
    better, worse = reward.picture_out(pooled).split(n)
    false = false.unflatten(0, (n, settings.false))
    scale = reward.log_scale
    heads = {key: head(pooled[:n]) for key, head in student.heads.items()}
    return (
        match_loss(better, said, scale, truth)
        + refuse_loss(better, said, false, scale)
        + 0.3 * refuse_loss(worse, said, false, scale)
        + 0.5 * rank_loss(better, worse, said, scale)
        + fact_loss(heads, fact_targets(scenes))
    )


def recipe(build: Callable[[], MiniImage | MiniVideo], settings: Settings, work: Work) -> Trained:
    """Train (or resume) a reward; its helping heads are dropped.

    Args:
        build: makes the untrained reward.
        settings: data, size and speed of the training.
        work: folder of the checkpoint and of the rendered clips.
    """
    data = pool(work.pools, settings.seed, settings.clips)
    clips = np.array(data.clips)
    torch.manual_seed(settings.seed)
    facts = [key for key in FACT_SIZES if not settings.still or key in STILL_FACTS]
    student = Student(build(), facts).to(work.device)

    def step_loss(step: int) -> Tensor:
        rng = np.random.default_rng([settings.seed, step, 61])
        which = rng.integers(0, settings.clips, settings.batch)
        seen = clips[which]
        if settings.still:
            frames = rng.integers(0, clips.shape[1], settings.batch)
            seen = clips[which, frames][:, None]
        return loss(student, [data.items[k].scene for k in which], seen, rng, settings)

    plan = Plan(
        steps=settings.steps,
        lr=settings.rate,
        seed=settings.seed,
        folder=work.folder,
        ema=0.995,
        save_every=100,
    )
    progress = fit(student, step_loss, plan, say=work.say)
    what = "Single frames of" if settings.still else "The 8 frames of"
    facts_of_card = {
        "data": f"{what} {settings.clips} clips of stream {settings.seed}, fresh captions at every "
        f"step, each beside {settings.false} captions that differ in one fact, and pairs of a "
        "cleaner and a worse spoiled look. Heads that read the facts help in training and are "
        "dropped.",
        "seed": settings.seed,
        "batch": settings.batch,
        "learning_rate": settings.rate,
        "limits": "Knows the words of the mini world's grammar; every other word is unknown.",
    }
    return Trained(student.reward, progress, facts_of_card)

"""Recipe: the clip-caption judge (ViCLIP's part), contrastive, with every true pair counted."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from turbo_eval.backbones.mini import words
from turbo_eval.backbones.mini.video_text import LENGTH, VideoText
from turbo_train.world.captions import Said, caption
from turbo_train.world.facts import ACTIONS, CAMERAS, COLORS, SCENES, SHAPES, STYLES, Scene
from turbo_train.world.fit import Plan, fit
from turbo_train.world.judges.common import (
    HELD_SEED,
    Measured,
    Trained,
    Work,
    pool,
    share,
    tensor,
)
from turbo_train.world.judges.matching import (
    FACT_SIZES,
    fact_loss,
    fact_targets,
    forget_words,
    known_words,
    match_loss,
    roughen,
    say_something,
    true_pairs,
)

SEED = 512
CLIPS = 6000
BATCH = 32
STEPS = 2400
RATE = 2e-3
HELD_CLIPS = 400
CHOICES = 16


class Student(nn.Module):
    """The judge with heads that read the facts of the world; they only help training."""

    def __init__(self, judge: VideoText) -> None:
        super().__init__()
        self.judge = judge
        self.heads = nn.ModuleDict(
            {key: nn.Linear(judge.video_out.in_features, n) for key, n in FACT_SIZES.items()}
        )


def loss(
    student: Student, scenes: list[Scene], clips: NDArray[np.uint8], rng: np.random.Generator
) -> Tensor:
    """Matching of clips and fresh captions, plus the helping heads; a scalar."""
    judge = student.judge
    device = judge.position.device
    texts, said = zip(*(say_something(scene, rng, still=False) for scene in scenes), strict=True)
    numbers = forget_words(words.encode(texts, known_words(), LENGTH), rng).to(device)
    truth = torch.from_numpy(true_pairs(scenes, said)).to(device)
    frames = roughen(tensor(clips)).to(device)
    with torch.autocast(device.type, torch.bfloat16):
        seen = judge.pooled(frames)
    heads = {key: head(seen) for key, head in student.heads.items()}
    matched = match_loss(judge.video_out(seen), judge.text(numbers), judge.logit_scale, truth)
    return matched + fact_loss(heads, fact_targets(scenes))


@torch.no_grad()
def features(
    judge: VideoText, clips: NDArray[np.uint8], texts: Sequence[str]
) -> tuple[Tensor, Tensor]:
    """Unit features of clips [N, 64] and of texts [M, 64]."""
    device = judge.position.device
    parts = [judge.video(tensor(clips[k : k + 32]).to(device)) for k in range(0, len(clips), 32)]
    numbers = torch.from_numpy(words.encode(texts, known_words(), LENGTH)).to(device)
    return F.normalize(torch.cat(parts), dim=1).cpu(), F.normalize(judge.text(numbers), dim=1).cpu()


def full_caption(scene: Scene) -> str:
    """The caption that states every visible fact of a scene."""
    return caption(scene, Said(colors=scene.style != "black and white"))


def other_captions(scene: Scene, fact: str) -> list[str]:
    """Full captions of a one-sprite scene with each value of one fact, in the world's order."""
    sprite = scene.sprites[0]
    variants = {
        "shape": [replace(scene, sprites=(replace(sprite, shape=s),)) for s in SHAPES],
        "color": [replace(scene, sprites=(replace(sprite, color=c),)) for c in COLORS],
        "action": [replace(scene, action=a) for a in ACTIONS],
        "scene": [replace(scene, scene=s) for s in SCENES],
        "style": [replace(scene, style=s) for s in STYLES],
        "camera": [replace(scene, camera=c) for c in CAMERAS],
    }
    return [full_caption(one) for one in variants[fact]]


def true_index(scene: Scene, fact: str) -> int:
    """Place of the true caption in `other_captions`."""
    sprite = scene.sprites[0]
    places = {
        "shape": SHAPES.index(sprite.shape),
        "color": COLORS.index(sprite.color),
        "action": ACTIONS.index(scene.action),
        "scene": SCENES.index(scene.scene),
        "style": STYLES.index(scene.style),
        "camera": CAMERAS.index(scene.camera),
    }
    return places[fact]


@torch.no_grad()
def measure(judge: nn.Module, pools: Path) -> dict[str, Measured]:
    """Right choices on held-out clips.

    `caption of 16` is the share of clips whose own full caption beats those of 15 other clips,
    `loose caption of 16` the same with captions that leave facts out; each fact is the share of
    one-sprite clips whose full caption beats all captions that differ in that fact alone.
    """
    assert isinstance(judge, VideoText)
    data = pool(pools, HELD_SEED, HELD_CLIPS, held=True)
    scenes = [entry.scene for entry in data.items]
    result: dict[str, Measured] = {}
    seen, full = features(judge, data.clips, [full_caption(scene) for scene in scenes])
    _, loose = features(judge, data.clips[:1], [entry.caption for entry in data.items])
    for name, said in (("caption", full), ("loose caption", loose)):
        hits = 0
        for start in range(0, len(scenes) - CHOICES + 1, CHOICES):
            block = slice(start, start + CHOICES)
            best = (seen[block] @ said[block].T).argmax(1)
            hits += int((best == torch.arange(CHOICES)).sum())
        result[f"{name} of {CHOICES}"] = share(hits, len(scenes) // CHOICES * CHOICES)
    for fact in FACT_SIZES:
        hits = n = 0
        for k, scene in enumerate(scenes):
            if len(scene.sprites) > 1 or (fact == "color" and scene.style == "black and white"):
                continue
            _, said = features(judge, data.clips[:1], other_captions(scene, fact))
            hits += int((said @ seen[k]).argmax()) == true_index(scene, fact)
            n += 1
        result[fact] = share(hits, n)
    return result


def train(work: Work) -> Trained:
    """Train (or resume) the clip-caption judge and write the word list beside its weights."""
    data = pool(work.pools, SEED, CLIPS)
    clips = np.array(data.clips)
    torch.manual_seed(SEED)
    student = Student(VideoText(known_words())).to(work.device)

    def step_loss(step: int) -> Tensor:
        rng = np.random.default_rng([SEED, step, 22])
        which = rng.integers(0, CLIPS, BATCH)
        return loss(student, [data.items[k].scene for k in which], clips[which], rng)

    plan = Plan(steps=STEPS, lr=RATE, seed=SEED, folder=work.folder, ema=0.995)
    progress = fit(student, step_loss, plan, say=work.say)
    words.save(known_words())
    settings = {
        "data": f"{CLIPS} clips of stream {SEED} with fresh captions at every step; every caption "
        "that is true of a clip counts as its own. Heads that read the facts help in training "
        "and are dropped.",
        "seed": SEED,
        "batch": BATCH,
        "learning_rate": RATE,
        "limits": "Knows the words of the mini world's grammar; every other word is unknown.",
    }
    return Trained(student.judge, progress, settings)

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
from turbo_eval.backbones.mini.video_text import LENGTH, LOOK, VideoText, brightness
from turbo_train.world.captions import Said, caption
from turbo_train.world.facts import CAMERAS, SHAPES, Scene
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
    choice_loss,
    even_odds,
    fact_loss,
    fact_targets,
    forget_words,
    known_words,
    map_loss,
    match_loss,
    roughen,
    say_something,
    shape_map,
    true_pairs,
)
from turbo_train.world.judges.variants import (
    FACTS,
    Shown,
    hard_captions,
    show,
    sprite_middles,
    value_of,
    with_value,
)
from turbo_train.world.render import render

SEED = 512
CLIPS = 6000
BATCH = 32
STEPS = 4000
RATE = 2e-3
HELD_CLIPS = 400
CHOICES = 16
WRONG = 2
"""Captions with one wrong fact that every second clip is shown beside a true one."""
HARD = {"camera": 0.3, "action": 0.2, "shape": 0.2, "style": 0.14, "scene": 0.08, "color": 0.08}
"""How often each fact is the wrong one."""


class Student(nn.Module):
    """The judge with heads that read the facts of the world; they only help training."""

    def __init__(self, judge: VideoText) -> None:
        super().__init__()
        self.judge = judge
        self.heads = nn.ModuleDict(
            {key: nn.Linear(judge.video_out.in_features, n) for key, n in FACT_SIZES.items()}
        )
        self.where = nn.Conv2d(LOOK, len(SHAPES) + 1, 1)


def loss(student: Student, shown: Sequence[Shown], rng: np.random.Generator) -> Tensor:
    """Matching of clips and fresh captions, hard choices, and the helping heads; a scalar.

    One frame of each clip is looked at, another one each time, where the judge looks at four:
    quicker, and it learns from all alike.
    """
    judge = student.judge
    device = judge.position.device
    scenes = [one.scene for one in shown]
    texts, said = zip(*(say_something(scene, rng, still=False) for scene in scenes), strict=True)
    asked = scenes[: len(scenes) // 2]
    hard = [text for scene in asked for text in hard_captions(scene, HARD, WRONG, rng)]
    numbers = forget_words(words.encode([*texts, *hard], known_words(), LENGTH), rng).to(device)
    truth = torch.from_numpy(true_pairs(scenes, said)).to(device)
    frames = roughen(tensor(np.stack([one.frame for one in shown]))[:, None])[:, 0].to(device)
    grey = torch.from_numpy(np.stack([one.clip for one in shown if one.clip is not None])).float()
    grey = roughen(grey[:, :, None])[:, :, 0].to(device)
    with torch.autocast(device.type, torch.bfloat16):
        maps, moved = judge.seen(frames), judge.moved(grey)
    seen = judge.pooled(maps, moved)
    heads = {key: head(seen) for key, head in student.heads.items()}
    video = judge.video_out(seen)
    text = judge.text(numbers[:, : int((numbers != words.PAD).sum(1).max())])
    matched = match_loss(video, text[: len(scenes)], judge.logit_scale, truth)
    chosen = choice_loss(video[: len(asked)], text[len(scenes) :], judge.logit_scale)
    wanted = shape_map(scenes, [one.middles for one in shown], maps.shape[-1])
    found = map_loss(student.where(maps), wanted)
    return matched + chosen + fact_loss(heads, fact_targets(scenes)) + 0.5 * found


def greys(clips: NDArray[np.uint8]) -> NDArray[np.float16]:
    """`brightness` of many clips: [N, T, H / 2, W / 2]."""
    parts = [brightness(tensor(clips[k : k + 64])).half() for k in range(0, len(clips), 64)]
    return np.asarray(torch.cat(parts).numpy(), np.float16)


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
    """Full captions of a scene with each value of one of `FACTS`, in the world's order."""
    return [full_caption(with_value(scene, fact, value)) for value in FACTS[fact]]


def true_index(scene: Scene, fact: str) -> int:
    """Place of the true caption in `other_captions`."""
    return FACTS[fact].index(value_of(scene, fact))


def each_camera(scenes: Sequence[Scene]) -> tuple[list[Scene], NDArray[np.uint8]]:
    """The scenes drawn again with all cameras in turn, and their clips [N, T, H, W, 3]."""
    turned = [replace(s, camera=CAMERAS[k % len(CAMERAS)]) for k, s in enumerate(scenes)]
    return turned, np.stack([render(scene) for scene in turned])


@torch.no_grad()
def measure(judge: nn.Module, pools: Path) -> dict[str, Measured]:
    """Right choices on held-out clips.

    `caption of 16` is the share of clips whose own full caption beats those of 15 other clips,
    `loose caption of 16` the same with captions that leave facts out; each fact is the share of
    one-sprite clips whose full caption beats all captions that differ in that fact alone. Two
    clips in three have a still camera, so `camera, all alike often` asks for it on the same scenes
    drawn with every camera in turn, `camera move` counts those of them whose camera moves.
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
    turned, clips = each_camera(scenes)
    seen, _ = features(judge, clips, [""])
    right = []
    for k, scene in enumerate(turned):
        _, said = features(judge, clips[:1], other_captions(scene, "camera"))
        right.append(int((said @ seen[k]).argmax()) == true_index(scene, "camera"))
    moving = [hit for hit, scene in zip(right, turned, strict=True) if scene.camera != "static"]
    result["camera, all alike often"] = share(sum(right), len(right))
    result["camera move"] = share(sum(moving), len(moving))
    return result


def settings() -> dict[str, object]:
    """What the card says about the training data."""
    return {
        "data": f"{CLIPS} clips of stream {SEED}, mirrored and run backwards, rare cameras and "
        "styles more often, with fresh captions at every step; every caption that is true of a "
        f"clip counts as its own, and every second clip chooses among {WRONG + 1} captions that "
        "differ in one fact. Heads that read the facts help in training and are dropped.",
        "seed": SEED,
        "batch": BATCH,
        "learning_rate": RATE,
        "limits": "Knows the words of the mini world's grammar; every other word is unknown.",
    }


def train(work: Work) -> Trained:
    """Train (or resume) the clip-caption judge and write the word list beside its weights."""
    data = pool(work.pools, SEED, CLIPS)
    scenes = [entry.scene for entry in data.items]
    middles = [sprite_middles(scene) for scene in scenes]
    odds, grey = even_odds(scenes), greys(data.clips)
    torch.manual_seed(SEED)
    student = Student(VideoText(known_words())).to(work.device)

    def step_loss(step: int) -> Tensor:
        rng = np.random.default_rng([SEED, step, 22])
        which = rng.choice(CLIPS, BATCH, p=odds)
        shown = [show(scenes[k], data.clips[k], middles[k], rng, grey[k]) for k in which]
        return loss(student, shown, rng)

    plan = Plan(steps=STEPS, lr=RATE, seed=SEED, folder=work.folder, ema=0.995)
    progress = fit(student, step_loss, plan, say=work.say)
    words.save(known_words())
    return Trained(student.judge, progress, settings())

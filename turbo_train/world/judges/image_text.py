"""Recipe: the picture-phrase judge (CLIP B/32's part), contrastive on single frames."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from turbo_eval.backbones.mini import words
from turbo_eval.backbones.mini.image_text import LENGTH, ImageText
from turbo_train.world.captions import STYLE_PHRASES, Said, article, caption
from turbo_train.world.facts import COLORS, SCENES, SHAPES, STYLES, Scene
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

SEED = 513
CLIPS = 5000
BATCH = 64
STEPS = 1000
RATE = 2e-3
HELD_CLIPS = 400
CHOICES = 16
SEEN = ("shape", "color", "scene", "style")
"""Facts that a single frame shows."""


class Student(nn.Module):
    """The judge with heads that read the facts of a frame; they only help training."""

    def __init__(self, judge: ImageText) -> None:
        super().__init__()
        self.judge = judge
        self.heads = nn.ModuleDict({key: nn.Linear(192, FACT_SIZES[key]) for key in SEEN})


def loss(
    student: Student,
    scenes: Sequence[Scene],
    frames: NDArray[np.uint8],
    rng: np.random.Generator,
) -> Tensor:
    """Matching of frames uint8 [N, H, W, 3] and fresh phrases, plus the helping heads; a scalar."""
    judge = student.judge
    device = judge.log_scale.device
    texts, said = zip(*(say_something(scene, rng, still=True) for scene in scenes), strict=True)
    numbers = forget_words(words.encode(texts, known_words(), LENGTH), rng).to(device)
    truth = torch.from_numpy(true_pairs(scenes, said)).to(device)
    pictures = roughen(tensor(frames)[:, None])[:, 0].to(device)
    with torch.autocast(device.type, torch.bfloat16):
        seen = judge.pooled(pictures)
    heads = {key: head(seen) for key, head in student.heads.items()}
    matched = match_loss(judge.image_out(seen), judge.text(numbers), judge.log_scale, truth)
    return matched + fact_loss(heads, fact_targets(scenes))


def _text(judge: ImageText, texts: Sequence[str]) -> Tensor:
    numbers = torch.from_numpy(words.encode(texts, known_words(), LENGTH))
    return F.normalize(judge.text(numbers.to(judge.log_scale.device)), dim=1).cpu()


@torch.no_grad()
def measure(judge: nn.Module, pools: Path) -> dict[str, Measured]:
    """Right choices on held-out clips by the mean over the frames, as appearance style does.

    Facts are asked with short phrases ("a star", "a red star", "a beach", "pixel art");
    `color` and `shape` on clips of one sprite. `caption of 16` is as in the clip-caption judge,
    with captions of what a frame shows.
    """
    assert isinstance(judge, ImageText)
    data = pool(pools, HELD_SEED, HELD_CLIPS, held=True)
    device = judge.log_scale.device
    scenes = [entry.scene for entry in data.items]
    seen = torch.stack(
        [
            F.normalize(F.normalize(judge.image(tensor(clip).to(device)), dim=1).mean(0), dim=0)
            for clip in data.clips
        ]
    ).cpu()
    result = {}
    scenery = _text(judge, [article(name) for name in SCENES])
    hits = sum(
        int((scenery @ v).argmax()) == SCENES.index(s.scene)
        for v, s in zip(seen, scenes, strict=True)
    )
    result["scene"] = share(hits, len(scenes))
    styles = _text(judge, [STYLE_PHRASES[name][0] for name in STYLES])
    right = [
        int((styles @ v).argmax()) == STYLES.index(s.style)
        for v, s in zip(seen, scenes, strict=True)
    ]
    result["style"] = share(sum(right), len(right))
    named = [hit for hit, s in zip(right, scenes, strict=True) if s.style != "cartoon"]
    result["style other than cartoon"] = share(sum(named), len(named))
    shapes = _text(judge, [article(name) for name in SHAPES])
    singles = [k for k, scene in enumerate(scenes) if len(scene.sprites) == 1]
    hits = sum(
        int((shapes @ seen[k]).argmax()) == SHAPES.index(scenes[k].sprites[0].shape)
        for k in singles
    )
    result["shape"] = share(hits, len(singles))
    bright = [k for k in singles if scenes[k].style != "black and white"]
    hits = 0
    for k in bright:
        sprite = scenes[k].sprites[0]
        phrases = _text(judge, [article(f"{color} {sprite.shape}") for color in COLORS])
        hits += int((phrases @ seen[k]).argmax()) == COLORS.index(sprite.color)
    result["color"] = share(hits, len(bright))
    said = Said(action=False, camera=False)
    full = _text(
        judge,
        [caption(s, replace(said, colors=s.style != "black and white")) for s in scenes],
    )
    hits = 0
    for start in range(0, len(scenes) - CHOICES + 1, CHOICES):
        block = slice(start, start + CHOICES)
        hits += int(((seen[block] @ full[block].T).argmax(1) == torch.arange(CHOICES)).sum())
    result[f"caption of {CHOICES}"] = share(hits, len(scenes) // CHOICES * CHOICES)
    return result


def train(work: Work) -> Trained:
    """Train (or resume) the picture-phrase judge and write the word list beside its weights."""
    data = pool(work.pools, SEED, CLIPS)
    clips = np.array(data.clips)
    torch.manual_seed(SEED)
    student = Student(ImageText(known_words())).to(work.device)

    def step_loss(step: int) -> Tensor:
        rng = np.random.default_rng([SEED, step, 23])
        which = rng.integers(0, CLIPS, BATCH)
        frames = clips[which, rng.integers(0, clips.shape[1], BATCH)]
        return loss(student, [data.items[k].scene for k in which], frames, rng)

    plan = Plan(steps=STEPS, lr=RATE, seed=SEED, folder=work.folder, ema=0.995)
    progress = fit(student, step_loss, plan, say=work.say)
    words.save(known_words())
    settings = {
        "data": f"Single frames of {CLIPS} clips of stream {SEED} with fresh phrases at every "
        "step; every phrase that is true of a frame counts as its own. Heads that read the facts "
        "help in training and are dropped.",
        "seed": SEED,
        "batch": BATCH,
        "learning_rate": RATE,
        "limits": "Knows the words of the mini world's grammar; every other word is unknown.",
    }
    return Trained(student.judge, progress, settings)

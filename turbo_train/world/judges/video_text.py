"""Recipe: the clip-caption judge (ViCLIP's part), contrastive, with every true pair counted."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from turbo_eval.backbones.mini.video_text import LENGTH, VideoText
from turbo_eval.backbones.mini.words import encode
from turbo_train.world.captions import Said, caption
from turbo_train.world.facts import ACTIONS, CAMERAS, COLORS, SCENES, SHAPES, STYLES, Scene
from turbo_train.world.fit import Plan, Progress, fit
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
from turbo_train.world.stream import Item, item

SEED = 502
HELD_SEED = 702
CLIPS = 6000
BATCH = 32
STEPS = 800
RATE = 1.5e-3


class Student(nn.Module):
    """The judge with heads that read the facts of the world; they only help training."""

    def __init__(self, judge: VideoText) -> None:
        super().__init__()
        self.judge = judge
        self.heads = nn.ModuleDict(
            {key: nn.Linear(judge.video_out.in_features, n) for key, n in FACT_SIZES.items()}
        )


def render_all(seed: int, count: int, *, held: bool = False) -> tuple[list[Item], NDArray[np.uint8]]:
    """Items of a stream and their clips uint8 [N, T, 64, 64, 3]."""
    entries = [item(seed, k, held=held) for k in range(count)]
    return entries, np.stack([entry.clip() for entry in entries])


def as_input(clips: NDArray[np.uint8]) -> Tensor:
    """Clips uint8 [N, T, H, W, 3] as float32 [N, T, 3, H, W] in -1..1."""
    return torch.from_numpy(clips).permute(0, 1, 4, 2, 3).float() / 127.5 - 1


def loss(
    student: Student, scenes: list[Scene], clips: NDArray[np.uint8], rng: np.random.Generator
) -> Tensor:
    """Matching of clips and fresh captions, plus the helping heads; a scalar."""
    judge = student.judge
    device = judge.position.device
    texts, said = zip(*(say_something(scene, rng, still=False) for scene in scenes), strict=True)
    numbers = forget_words(encode(texts, known_words(), LENGTH), rng).to(device)
    truth = torch.from_numpy(true_pairs(scenes, said)).to(device)
    frames = roughen(as_input(clips), rng).to(device)
    with torch.autocast(device.type, torch.bfloat16):
        seen = judge.pooled(frames)
    heads = {key: head(seen) for key, head in student.heads.items()}
    matched = match_loss(judge.video_out(seen), judge.text(numbers), judge.logit_scale, truth)
    return matched + fact_loss(heads, fact_targets(scenes))


@torch.no_grad()
def features(judge: VideoText, clips: NDArray[np.uint8], texts: list[str]) -> tuple[Tensor, Tensor]:
    """Unit features of clips [N, 64] and of texts [M, 64]."""
    device = judge.position.device
    parts = [judge.video(as_input(clips[k : k + 32]).to(device)) for k in range(0, len(clips), 32)]
    numbers = torch.from_numpy(encode(texts, known_words(), LENGTH)).to(device)
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
def measure(judge: VideoText, clips: int = 320, seed: int = HELD_SEED) -> dict[str, float]:
    """Accuracy on held-out clips.

    Returns:
        `retrieval_16` share of captions (full ones) that find their clip's caption among 16 of
        other clips, for each clip; `random_caption_16` the same with captions that leave facts
        out; per fact, the share of one-sprite clips whose true full caption beats all captions
        that differ in that fact alone; `n` clips and `n_single` of one sprite.
    """
    entries, stack = render_all(seed, clips, held=True)
    scenes = [entry.scene for entry in entries]
    result: dict[str, float] = {"n": float(clips)}
    for name, texts in (
        ("retrieval_16", [full_caption(scene) for scene in scenes]),
        ("random_caption_16", [entry.caption for entry in entries]),
    ):
        seen, said = features(judge, stack, texts)
        hits = []
        for start in range(0, clips - 15, 16):
            block = slice(start, start + 16)
            hits.append((seen[block] @ said[block].T).argmax(1) == torch.arange(16))
        result[name] = float(torch.cat(hits).float().mean())
    singles = [k for k, scene in enumerate(scenes) if len(scene.sprites) == 1]
    result["n_single"] = float(len(singles))
    for fact in FACT_SIZES:
        right = []
        for k in singles:
            if fact == "color" and scenes[k].style == "black and white":
                continue
            _, said = features(judge, stack[:1], other_captions(scenes[k], fact))
            right.append(int((said @ seen[k]).argmax()) == true_index(scenes[k], fact))
        result[fact] = float(np.mean(right))
    return result


def train(
    folder: Path,
    *,
    steps: int = STEPS,
    clips: int = CLIPS,
    device: str = "cpu",
    say: Callable[[str], None] = lambda line: None,
) -> tuple[VideoText, Progress]:
    """Train (or resume) the clip-caption judge in `folder`."""
    entries, stack = render_all(SEED, clips)
    say(f"{clips} clips rendered")
    torch.manual_seed(SEED)
    student = Student(VideoText(known_words())).to(device)

    def step_loss(step: int) -> Tensor:
        rng = np.random.default_rng([SEED, step, 22])
        which = rng.integers(0, clips, BATCH)
        return loss(student, [entries[k].scene for k in which], stack[which], rng)

    plan = Plan(steps=steps, lr=RATE, seed=SEED, folder=folder, ema=0.995)
    progress = fit(student, step_loss, plan, say=say)
    return student.judge, progress

"""What a mini reward was measured to do, on clips with combinations that no training saw."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from turbo_eval.metrics.rewards.towers import TwoTowers
from turbo_train.world.captions import caption
from turbo_train.world.facts import Scene
from turbo_train.world.judges.common import Measured, mean, pool, share
from turbo_train.world.judges.corrupt import LEVELS, corrupt
from turbo_train.world.rewards.captions import FACTS, STILL_FACTS, full, variants

HELD_SEED = 690
"""Stream of the held-out clips on which both rewards are measured; no judge saw them."""
HELD_CLIPS = 300
CHOICES = 16
AT_ONCE = 32
"""Clips of one forward pass; it bounds memory, not results."""
STILL_FAULTS = ("noise", "blur")
FAULTS = (*STILL_FAULTS, "flicker", "jump")


def floats(clips: NDArray[np.uint8]) -> Tensor:
    """Clips uint8 [N, T, H, W, 3] as float32 [N, T, 3, H, W] in 0..1."""
    return torch.from_numpy(np.array(clips)).movedim(-1, -3).float() / 255


@torch.no_grad()
def look(reward: TwoTowers, clips: NDArray[np.uint8]) -> Tensor:
    """Unit features of clips uint8 [N, T, H, W, 3]: [N, T, D] of frames, or [N, 1, D] of clips."""
    parts = []
    for start in range(0, len(clips), AT_ONCE):
        frames = floats(clips[start : start + AT_ONCE])
        if reward.info.kind == "image":
            parts.append(reward.look(frames.flatten(0, 1)).unflatten(0, frames.shape[:2]))
        else:
            parts.append(reward.look(frames)[:, None])
    return torch.cat(parts).cpu()


def score(seen: Tensor, said: Tensor) -> NDArray[np.float64]:
    """Scores [N, M] of clips [N, T, D] with texts [M, D]: the mean of the frames' cosines."""
    values: NDArray[np.float64] = (seen @ said.T).mean(1).double().numpy()
    return values


def fact_choices(
    reward: TwoTowers, seen: Tensor, scenes: Sequence[Scene], fact: str
) -> tuple[Measured, Measured]:
    """How often the true full caption beats captions that are false in one fact.

    Args:
        reward: What is measured.
        seen: Features of clips, see `look`.
        scenes: What they show; a clip of which the fact cannot be changed is left out.
        fact: Which fact is changed.

    Returns:
        The share of clips whose caption beats every such caption, and the mean share of false
        captions that it beats; n counts clips.
    """
    firsts, pairs = 0, []
    for features, scene in zip(seen, scenes, strict=True):
        unseen = fact == "color" and scene.style == "black and white"
        others = [] if unseen else variants(scene, fact)
        if not others:
            continue
        said = full(scene, still=reward.info.kind == "image")
        texts = [caption(one, said) for one in (scene, *others)]
        values = score(features[None], reward.read(texts).cpu())[0]
        beaten = values[0] > values[1:]
        firsts += bool(beaten.all())
        pairs.append(float(beaten.mean()))
    return share(firsts, len(pairs)), mean(np.array(pairs))


def caption_choices(seen: Tensor, said: Tensor) -> Measured:
    """The share of clips [N, T, D] whose caption [N, D] beats those of 15 other clips."""
    hits = n = 0
    for start in range(0, len(seen) - CHOICES + 1, CHOICES):
        block = slice(start, start + CHOICES)
        values = score(seen[block], said[block])
        hits += int((values.argmax(1) == np.arange(CHOICES)).sum())
        n += CHOICES
    return share(hits, n)


def fault_levels(
    reward: TwoTowers, clips: NDArray[np.uint8], scenes: Sequence[Scene], said: Tensor, fault: str
) -> tuple[list[Measured], list[Measured]]:
    """How the score with the true caption falls as a clip is spoiled.

    Args:
        reward: What is measured.
        clips: uint8 [N, T, H, W, 3].
        scenes: What they show.
        said: Features [N, D] of their captions.
        fault: One of `corrupt.PIXELS`.

    Returns:
        Mean score at each level 0..3, and for the steps 0-1, 1-2, 2-3 the share of clips whose
        score falls.
    """
    values = []
    for level in LEVELS:
        spoiled = [
            corrupt(fault, scene, clip, level, k)
            for k, (scene, clip) in enumerate(zip(scenes, clips, strict=True))
        ]
        seen = look(reward, np.stack(spoiled))
        values.append((seen * said[:, None]).sum(-1).mean(1).double().numpy())
    falls = [
        share(int((worse < better).sum()), len(better))
        for better, worse in zip(values[:-1], values[1:], strict=True)
    ]
    return [mean(level) for level in values], falls


def measure(
    reward: TwoTowers, pools: Path
) -> tuple[dict[str, Measured], dict[str, list[Measured]]]:
    """Measure a mini reward on held-out clips.

    Args:
        reward: `mini-image` or `mini-video`, with the weights as shipped.
        pools: Folder of rendered clips.

    Returns:
        Right choices by name, and for each fault the mean scores at levels 0..3.
    """
    still = reward.info.kind == "image"
    data = pool(pools, HELD_SEED, HELD_CLIPS, held=True)
    clips, scenes = np.array(data.clips), [entry.scene for entry in data.items]
    seen = look(reward, clips)
    said = reward.read([caption(scene, full(scene, still=still)) for scene in scenes]).cpu()
    accuracies = {f"caption of {CHOICES}": caption_choices(seen, said)}
    for fact in STILL_FACTS if still else FACTS:
        first, pairs = fact_choices(reward, seen, scenes, fact)
        accuracies[f"{fact}, best of all"] = first
        accuracies[f"{fact}, pairs"] = pairs
    levels: dict[str, list[Measured]] = {}
    for fault in STILL_FAULTS if still else FAULTS:
        levels[fault], falls = fault_levels(reward, clips, scenes, said, fault)
        for step, value in enumerate(falls):
            accuracies[f"{fault}, level {step + 1} below {step}"] = value
    return accuracies, levels

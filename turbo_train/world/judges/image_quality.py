"""Recipe: the image-quality judge, a regression of how strongly a frame was distorted."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from turbo_eval.backbones.mini.image_quality import BEST, WORST, build
from turbo_train.world.facts import FRAMES
from turbo_train.world.fit import Plan, fit
from turbo_train.world.judges.common import (
    HELD_SEED,
    Measured,
    Trained,
    Work,
    coarse,
    gaussian,
    mean,
    pool,
    tensor,
)

SEED = 504
CLIPS = 2000
BATCH = 48
STEPS = 700
RATE = 2e-3
HELD_CLIPS = 400
GROUP = 4
"""Frames that share one kind and strength of distortion: one convolution serves them."""
NOISE, BLUR = 64.0, 3.6
"""Standard deviation (of 255) and width in pixels at which a frame counts as ruined."""


def _blocks(frames: Tensor, amount: float) -> Tensor:
    flat = nn.functional.avg_pool2d(frames, 8)
    return torch.lerp(frames, nn.functional.interpolate(flat, scale_factor=8.0), amount)


def distort_group(frames: Tensor, kind: int, strength: float) -> Tensor:
    """Distort frames [N, 3, H, W] in -1..1.

    Args:
        frames: The frames.
        kind: 0 noise, 1 blur, 2 lost detail, 3 blockiness.
        strength: 0..1; the eye sees weak distortions first, so it grows with a power of them.
    """
    amount = strength ** (1 / 0.7)
    match kind:
        case 0:
            return frames.add(torch.randn_like(frames), alpha=amount * NOISE / 127.5)
        case 1:
            blurred: Tensor = gaussian(frames, max(amount * BLUR, 0.05))
            return blurred
        case 2:
            return torch.lerp(frames, coarse(frames, 2 if strength < 0.5 else 4), strength**0.5)
        case _:
            return _blocks(frames, amount)


def distort(frames: Tensor, rng: np.random.Generator, clean: float = 0.2) -> tuple[Tensor, Tensor]:
    """Distort frames at random by one or two kinds.

    Args:
        frames: [N, 3, H, W] in -1..1, N a multiple of 4.
        rng: Chooses kinds and strengths; the noise itself comes from torch's generator.
        clean: Share of frames that stay as they are.

    Returns:
        The frames, and how strongly each is distorted [N], 0 not at all to 1 ruined.
    """
    result, strengths = [], []
    for group in frames.split(GROUP):
        left = 1.0
        if rng.random() >= clean:
            # What blurs comes first: noise that is blurred afterwards is no longer noise.
            kinds = [int(rng.permutation([1, 2, 3])[0])] if rng.random() < 0.6 else []
            kinds += [0] if not kinds or rng.random() < 0.25 else []
            for kind in kinds:
                strength = float(rng.random())
                group = distort_group(group, kind, strength)
                left *= 1 - strength
        result.append(group)
        strengths += [1 - left] * len(group)
    whole = torch.cat(result).clamp(-1, 1).contiguous(memory_format=torch.channels_last)
    return whole, torch.tensor(strengths, device=frames.device)


def train(work: Work) -> Trained:
    """Train (or resume) the image-quality judge."""
    data = pool(work.pools, SEED, CLIPS)
    torch.manual_seed(SEED)
    module = build().to(work.device).to(memory_format=torch.channels_last)
    kind = work.device.split(":")[0]

    def step_loss(step: int) -> Tensor:
        rng = np.random.default_rng([SEED, step, 34])
        clip, frame = rng.integers(0, CLIPS, BATCH), rng.integers(0, FRAMES, BATCH)
        frames = tensor(data.clips[clip, frame], work.device)
        # Light and tint of a picture are no fault of it.
        gain = torch.from_numpy(rng.uniform(0.85, 1.1, (BATCH, 1, 1, 1)).astype(np.float32))
        frames, strength = distort(frames * gain.to(work.device), rng)
        with torch.autocast(kind, torch.bfloat16):
            number = module(frames)
        wanted = (BEST + (WORST - BEST) * strength) / 100
        return nn.functional.smooth_l1_loss(number, wanted, beta=0.05)

    progress = fit(module, step_loss, Plan(STEPS, RATE, SEED, work.folder, ema=0.99), say=work.say)
    return Trained(
        module,
        progress,
        {
            "data": f"Frames of {CLIPS} rendered clips of stream {SEED}, a fifth as drawn, the "
            "others with noise, blur, lost detail or blockiness of known strength.",
            "seed": SEED,
            "batch": BATCH,
            "rate": RATE,
        },
    )


@torch.no_grad()
def measure(module: nn.Module, pools: Path) -> dict[str, Measured]:
    """Compare with known strengths on held-out frames."""
    data = pool(pools, HELD_SEED, HELD_CLIPS, held=True)
    torch.manual_seed(HELD_SEED)
    frames = tensor(data.clips[:, 3], str(next(module.parameters()).device))
    spoilt, strength = distort(frames, np.random.default_rng(HELD_SEED), clean=0.0)
    wanted = (BEST + (WORST - BEST) * strength).cpu().numpy()
    found = (module(spoilt) * 100).float().clamp(0, 100).cpu().numpy()
    clean = (module(frames) * 100).float().clamp(0, 100).cpu().numpy()
    return {
        "error on distorted frames": mean(np.abs(found - wanted), "of 100"),
        "score of frames as drawn (95 is taught)": mean(clean, "of 100"),
    }

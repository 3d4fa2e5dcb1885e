"""Recipe: the motion judge (RAFT's part), taught by the renderer's exact optical flow."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from turbo_eval.backbones.mini.flow import FlowNet, build, largest_mean, motion_arrays
from turbo_train.world.facts import FPS, FRAMES, SIZE
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
from turbo_train.world.render import flow as true_flow

SEED = 511
CLIPS = 2000
BATCH = 16
STEPS = 1000
RATE = 1.2e-3
HELD_CLIPS = 200
STATIC_PX = 3.0 * SIZE / 256
DYNAMIC_PX = 6.0 * SIZE / 256


@dataclass(frozen=True, slots=True)
class Motion:
    """Rendered clips uint8 [N, T, 64, 64, 3] with their flow float16 [N, T-1, 64, 64, 2]."""

    clips: NDArray[np.uint8]
    flows: NDArray[np.float16]


def motion(folder: Path, seed: int, count: int, *, held: bool = False) -> Motion:
    """The first `count` clips of stream `seed` with the exact flow between their frames."""
    data = pool(folder, seed, count, held=held)
    flows = np.empty((count, FRAMES - 1, SIZE, SIZE, 2), np.float16)
    for k, entry in enumerate(data.items):
        flows[k] = true_flow(entry.scene)
    return Motion(data.clips, flows)


def _disturb(first: Tensor, second: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Light and sharpness of both frames, a little flicker and noise of each: none is motion."""
    count = len(first)

    def draw(low: float, high: float, channels: int = 1) -> Tensor:
        return torch.from_numpy(rng.uniform(low, high, (count, channels, 1, 1)).astype(np.float32))

    gain, shift = draw(0.6, 1.25, 3), draw(-0.15, 0.2)
    level = draw(0, 1) ** 3 * 0.08
    soft = draw(0, 1) < 0.4
    result = []
    for frame in (first, second):
        frame = frame * gain * draw(0.95, 1.05) + shift
        blurred = F.avg_pool2d(F.pad(frame, (1, 1, 1, 1), mode="replicate"), 3, 1)
        frame = torch.where(soft, blurred, frame)
        result.append((frame + level * torch.randn_like(frame)).clamp(0, 1))
    return result[0], result[1]


def batch(data: Motion, seed: int, step: int) -> tuple[Tensor, Tensor, Tensor]:
    """Two frames [N, 3, 64, 64] in 0..1 and the flow [N, 2, 64, 64] of one training step."""
    rng = np.random.default_rng([seed, step, 21])
    which = rng.integers(0, len(data.clips), BATCH)
    time = rng.integers(0, data.flows.shape[1], BATCH)
    first = torch.from_numpy(data.clips[which, time]).permute(0, 3, 1, 2).float() / 255
    second = torch.from_numpy(data.clips[which, time + 1]).permute(0, 3, 1, 2).float() / 255
    flow = torch.from_numpy(data.flows[which, time].astype(np.float32)).permute(0, 3, 1, 2)
    # The world is not symmetric (gravity, pans); motion judged anywhere must be.
    if rng.random() < 0.5:
        first, second, flow = first.flip(3), second.flip(3), flow.flip(3)
        flow = flow * torch.tensor([-1.0, 1.0])[None, :, None, None]
    if rng.random() < 0.5:
        first, second, flow = first.flip(2), second.flip(2), flow.flip(2)
        flow = flow * torch.tensor([1.0, -1.0])[None, :, None, None]
    if rng.random() < 0.5:
        first, second, flow = first.mT, second.mT, flow.mT.flip(1)
    first, second = _disturb(first.contiguous(), second.contiguous(), rng)
    return first, second, flow.contiguous()


def loss(network: FlowNet, first: Tensor, second: Tensor, flow: Tensor) -> Tensor:
    """Weighted end-point error at three sizes; moving pixels weigh more because they are few."""
    with torch.autocast(first.device.type, torch.bfloat16):
        found = network.levels(first, second)
    total = torch.zeros((), device=first.device)
    for estimate, part, scale in zip(found, (0.2, 0.4, 1.0), (4, 2, 1), strict=True):
        wanted = F.avg_pool2d(flow, scale) / scale
        weight = 1 + wanted.norm(dim=1).clamp(max=4) * scale / 2
        error = ((estimate - wanted).square().sum(1) + 1e-4).sqrt()
        total = total + part * scale * (weight * error).mean()
    return total


@torch.no_grad()
def measure(network: nn.Module, pools: Path) -> dict[str, Measured]:
    """End-point error and right answers on held-out clips, compared with the exact flow.

    `dynamic` and `static` are the shares of clips whose yes or no under VBench's rules equals the
    one of the exact flow; `dynamic pair` is the same over pairs of frames.
    """
    data = motion(pools, HELD_SEED, HELD_CLIPS, held=True)
    device = next(network.parameters()).device
    errors, moving, lengths, dynamic, static, pairs, still = [], [], [], [], [], [], []
    for clip, flow in zip(data.clips, data.flows, strict=True):
        frames = (tensor(clip) + 1) / 2
        truth = torch.from_numpy(flow.astype(np.float32)).permute(0, 3, 1, 2)
        error = (network(frames[:-1].to(device), frames[1:].to(device)).cpu() - truth).norm(dim=1)
        length = truth.norm(dim=1)
        errors.append(float(error.mean()))
        lengths.append(float(length.mean()))
        if bool((length > 0.5).any()):
            moving.append(float(error[length > 0.5].mean()))
        exact = length.numpy()
        found = motion_arrays(network, clip, FPS)
        wanted = np.array([largest_mean(one, 0.05) for one in exact]) > DYNAMIC_PX
        seen = found["dynamic"] > DYNAMIC_PX
        pairs += (wanted == seen).tolist()
        dynamic.append((wanted.sum() >= 2) == (seen.sum() >= 2))
        restless = np.array([largest_mean(one, 0.02) for one in exact]) > STATIC_PX
        static.append((restless.sum() <= 1) == ((found["static"] > STATIC_PX).sum() <= 1))
        if exact.max() == 0:
            noisy = clip.astype(np.float32) + np.random.default_rng(5).normal(0, 4, clip.shape)
            rough = np.clip(noisy, 0, 255).astype(np.uint8)
            still.append(float(motion_arrays(network, rough, FPS)["static"].mean()))
    return {
        "end-point error": mean(np.array(errors), "px"),
        "end-point error where moving": mean(np.array(moving), "px"),
        "end-point error of answering zero": mean(np.array(lengths), "px"),
        "dynamic": share(int(sum(dynamic)), len(dynamic)),
        "static": share(int(sum(static)), len(static)),
        "dynamic pair": share(int(sum(pairs)), len(pairs)),
        "largest motion in noisy still clips": mean(np.array(still or [0.0]), "px"),
    }


def train(work: Work) -> Trained:
    """Train (or resume) the motion judge."""
    data = motion(work.pools, SEED, CLIPS)
    torch.manual_seed(SEED)
    network = build().to(work.device)
    progress = fit(
        network,
        lambda step: loss(network, *(x.to(work.device) for x in batch(data, SEED, step))),
        Plan(steps=STEPS, lr=RATE, seed=SEED, folder=work.folder, ema=0.995),
        say=work.say,
    )
    settings = {
        "data": f"Pairs of frames of {CLIPS} clips of stream {SEED} with the renderer's flow, "
        "mirrored and turned, in varied light, with blur, flicker and noise.",
        "seed": SEED,
        "batch": BATCH,
        "learning_rate": RATE,
        "limits": "Frames are reduced to a shorter side of 64; motion beyond 16 pixels a frame at "
        "that size is not found.",
    }
    return Trained(network, progress, settings)

"""Recipe: the motion judge (RAFT's part), taught by the renderer's exact optical flow."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from turbo_eval.backbones.mini.flow import FlowNet, largest_mean, motion_arrays
from turbo_train.world.facts import FPS, FRAMES, SIZE
from turbo_train.world.fit import Plan, Progress, fit
from turbo_train.world.render import flow as true_flow
from turbo_train.world.stream import item

SEED = 501
HELD_SEED = 701
CLIPS = 2000
BATCH = 16
STEPS = 1000
RATE = 1.2e-3
STATIC_PX = 3.0 * SIZE / 256
DYNAMIC_PX = 6.0 * SIZE / 256


@dataclass(frozen=True, slots=True)
class Pool:
    """Rendered clips uint8 [N, T, 64, 64, 3] with their flow float16 [N, T-1, 64, 64, 2]."""

    clips: NDArray[np.uint8]
    flows: NDArray[np.float16]


def pool(seed: int, count: int, *, held: bool = False) -> Pool:
    """Render `count` clips of stream `seed` with the exact flow between their frames."""
    clips = np.empty((count, FRAMES, SIZE, SIZE, 3), np.uint8)
    flows = np.empty((count, FRAMES - 1, SIZE, SIZE, 2), np.float16)
    for k in range(count):
        entry = item(seed, k, held=held)
        clips[k], flows[k] = entry.clip(), true_flow(entry.scene)
    return Pool(clips, flows)


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


def batch(data: Pool, seed: int, step: int) -> tuple[Tensor, Tensor, Tensor]:
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
    for estimate, share, scale in zip(found, (0.2, 0.4, 1.0), (4, 2, 1), strict=True):
        wanted = F.avg_pool2d(flow, scale) / scale
        weight = 1 + wanted.norm(dim=1).clamp(max=4) * scale / 2
        error = ((estimate - wanted).square().sum(1) + 1e-4).sqrt()
        total = total + share * scale * (weight * error).mean()
    return total


@torch.no_grad()
def measure(network: FlowNet, clips: int = 200, seed: int = HELD_SEED) -> dict[str, float]:
    """Accuracy on held-out clips.

    Returns:
        `epe` mean end-point error in pixels, `epe_moving` where the truth moves by over 0.5 px,
        `epe_zero` what answering zero would score; `dynamic` and `static` the share of clips
        whose yes or no equals the one of the exact flow, `dynamic_pairs` the same over pairs;
        `still_flow` mean largest motion seen where there is none.
    """
    data = pool(seed, clips, held=True)
    frames = torch.from_numpy(data.clips).permute(0, 1, 4, 2, 3).float() / 255
    errors, moving, lengths, hits, sides, pairs, still = [], [], [], [], [], [], []
    for k in range(clips):
        truth = torch.from_numpy(data.flows[k].astype(np.float32)).permute(0, 3, 1, 2)
        error = (network(frames[k, :-1], frames[k, 1:]) - truth).norm(dim=1)
        length = truth.norm(dim=1)
        errors.append(float(error.mean()))
        lengths.append(float(length.mean()))
        moving += error[length > 0.5].tolist()
        exact = length.numpy()
        found = motion_arrays(network, data.clips[k], FPS)
        wanted = np.array([largest_mean(one, 0.05) for one in exact]) > DYNAMIC_PX
        seen = found["dynamic"].astype(float) > DYNAMIC_PX
        pairs += (wanted == seen).tolist()
        hits.append((wanted.sum() >= 2) == (seen.sum() >= 2))
        calm = np.array([largest_mean(one, 0.02) for one in exact]) > STATIC_PX
        loud = found["static"].astype(float) > STATIC_PX
        sides.append((calm.sum() <= 1) == (loud.sum() <= 1))
        if exact.max() == 0:
            still.append(float(found["static"].astype(float).mean()))
    return {
        "epe": float(np.mean(errors)),
        "epe_moving": float(np.mean(moving)),
        "epe_zero": float(np.mean(lengths)),
        "dynamic": float(np.mean(hits)),
        "static": float(np.mean(sides)),
        "dynamic_pairs": float(np.mean(pairs)),
        "still_flow": float(np.mean(still)) if still else 0.0,
        "n": float(clips),
    }


def train(
    folder: Path,
    *,
    steps: int = STEPS,
    clips: int = CLIPS,
    device: str = "cpu",
    say: Callable[[str], None] = lambda line: None,
) -> tuple[FlowNet, Progress]:
    """Train (or resume) the motion judge in `folder`."""
    data = pool(SEED, clips)
    say(f"{clips} clips rendered")
    torch.manual_seed(SEED)
    network = FlowNet().to(device)
    progress = fit(
        network,
        lambda step: loss(network, *(part.to(device) for part in batch(data, SEED, step))),
        Plan(steps=steps, lr=RATE, seed=SEED, folder=folder, ema=0.995),
        say=say,
    )
    return network, progress

"""One small training loop for every network of the mini world.

Step k draws its data and its noise from (seed, k) alone, so a stopped and resumed run ends
bit-equal to a straight one, and no random state needs saving. Several processes draw different
data for the same step and share their gradients: the batch grows with their number. The learning
rate warms up, stays, and falls to zero over the last fifth: a run may be shortened or prolonged
before the fall.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch import distributed as dist

from turbo_eval.core.errors import InputError

WARMUP = 50
COOLDOWN = 0.2


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how fast to train. `ema` is the decay of the averaged weights that are kept."""

    steps: int
    lr: float
    seed: int
    folder: Path
    ema: float = 0.999
    weight_decay: float = 0.01
    clip: float = 1.0
    save_every: int = 200
    report_every: int = 50


@dataclass(slots=True)
class Progress:
    """What happened so far: optimiser steps done, seconds spent training, and the loss curve."""

    step: int = 0
    seconds: float = 0.0
    losses: list[list[float]] = field(default_factory=list)


def rate(plan: Plan, step: int) -> float:
    """Learning rate of `step` (0-based) under the warm-up, stay, fall schedule."""
    fall = plan.steps * (1 - COOLDOWN)
    factor = min(1.0, (step + 1) / WARMUP)
    if step >= fall:
        factor *= max(0.0, (plan.steps - step) / (plan.steps - fall))
    return plan.lr * factor


def _save(path: Path, payload: dict[str, object]) -> None:
    temporary = path.with_suffix(f".tmp{os.getpid()}")
    with temporary.open("wb") as file:
        torch.save(payload, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def rank() -> int:
    """Which of the processes that train together this is; 0 when it is alone."""
    return dist.get_rank() if dist.is_initialized() else 0


def _share_gradients(weights: list[nn.Parameter]) -> None:
    """Average the gradients over all processes, in one message."""
    if not dist.is_initialized():
        return
    grads = [weight.grad for weight in weights if weight.grad is not None]
    flat = torch.cat([grad.flatten() for grad in grads]) / dist.get_world_size()
    dist.all_reduce(flat)
    for grad, mean in zip(grads, flat.split([grad.numel() for grad in grads]), strict=True):
        grad.copy_(mean.view_as(grad))


def _silent(_line: str) -> None:
    pass


def fit(
    module: nn.Module,
    loss_of: Callable[[int], Tensor],
    plan: Plan,
    *,
    say: Callable[[str], None],
    evaluate: Callable[[nn.Module], dict[str, float]] | None = None,
    evaluate_every: int = 1000,
) -> Progress:
    """Train `module` in place and leave it holding its averaged weights.

    Args:
        module: what is trained; only parameters that require a gradient.
        loss_of: step number to a scalar loss; must take data and noise from (seed, step, `rank()`)
            alone.
        plan: steps, learning rate, seed, folder of `state.pt`.
        say: where a line of progress goes.
        evaluate: measured on the averaged weights now and then and reported.
        evaluate_every: steps between two evaluations.

    Raises:
        InputError: the loss is not finite; the last good checkpoint stays.
    """
    plan.folder.mkdir(parents=True, exist_ok=True)
    if rank():
        say = _silent
    path = plan.folder / "state.pt"
    weights = [p for p in module.parameters() if p.requires_grad]
    average = [p.detach().clone() for p in weights]
    optimiser = torch.optim.AdamW(weights, lr=plan.lr, weight_decay=plan.weight_decay)
    progress = Progress()
    if path.exists():
        saved = torch.load(path, weights_only=True, map_location=weights[0].device)
        module.load_state_dict(saved["module"])
        optimiser.load_state_dict(saved["optimiser"])
        for mine, old in zip(average, saved["average"], strict=True):
            mine.copy_(old)
        progress = Progress(**saved["progress"])
        say(f"resumed at step {progress.step} of {plan.steps}")

    def save() -> None:
        _save(
            path,
            {
                "module": module.state_dict(),
                "optimiser": optimiser.state_dict(),
                "average": average,
                "progress": asdict(progress),
            },
        )

    def swap() -> None:
        with torch.no_grad():
            for current, mean in zip(weights, average, strict=True):
                kept = current.clone()
                current.copy_(mean)
                mean.copy_(kept)

    module.train()
    recent: list[float] = []
    mark = time.monotonic()
    while progress.step < plan.steps:
        step = progress.step
        torch.manual_seed(plan.seed * 1_000_003 + step + rank() * 1_000_000_007)
        for group in optimiser.param_groups:
            group["lr"] = rate(plan, step)
        loss = loss_of(step)
        value = float(loss.detach())
        if value != value or value in (float("inf"), float("-inf")):
            raise InputError(
                f"training in {plan.folder} stopped at step {step}",
                why="the loss is not a finite number",
                fix="lower the learning rate; the checkpoint of the last good step is kept",
            )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        _share_gradients(weights)
        nn.utils.clip_grad_norm_(weights, plan.clip)
        optimiser.step()
        # The average follows faster in the beginning, when the weights still travel far.
        decay = min(plan.ema, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(average, [p.detach() for p in weights], 1 - decay)
        progress.step += 1
        recent.append(value)
        now = time.monotonic()
        progress.seconds += now - mark
        mark = now
        if progress.step % plan.report_every == 0 or progress.step == plan.steps:
            mean = sum(recent) / len(recent)
            progress.losses.append([progress.step, round(mean, 6)])
            recent = []
            speed = progress.seconds / progress.step
            say(f"step {progress.step}/{plan.steps} loss {mean:.5f} {speed:.3f} s/step")
        if rank() == 0 and (progress.step % plan.save_every == 0 or progress.step == plan.steps):
            save()
        if evaluate is not None and progress.step % evaluate_every == 0:
            swap()
            module.eval()
            with torch.no_grad():
                say(json.dumps({"step": progress.step, **evaluate(module)}))
            module.train()
            swap()
            mark = time.monotonic()
    swap()
    module.eval()
    return progress

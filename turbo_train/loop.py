"""The training loop, the same for every recipe: accelerate, checkpoints, trackers, guards.

Step k of rank r draws its data and everything random from (seed, k, r) alone, so a stopped and
resumed run ends bit-equal to a straight one on a CPU.
"""

import importlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from turbo_eval.core.errors import InputError, PrerequisiteError
from turbo_eval.core.store import write_json_atomic
from turbo_eval.models.lora import load_named_lora, lora_parameters, named_lora
from turbo_train import checkpoint, config, recipes, sharding
from turbo_train.checkpoint import Progress
from turbo_train.config import TrainConfig
from turbo_train.data.batch import Source
from turbo_train.recipes.common import Losses, Parts
from turbo_train.student import HEAVY, train_mode
from turbo_train.track import Tracker, open_trackers
from turbo_train.view import View

RUN = "train.json"
EXPLODED = 1e3
"""A gradient norm this many times the run's usual one is no training any more."""
USUAL = 50

Say = Callable[[str], None]


def make_optimizer(weights: list[nn.Parameter], settings: config.Optimizer) -> Any:
    """AdamW over the LoRA.

    Raises:
        PrerequisiteError: 8 bits are asked for and bitsandbytes is not installed.
    """
    options: dict[str, Any] = {
        "lr": settings.lr,
        "betas": (settings.beta1, settings.beta2),
        "eps": settings.eps,
        "weight_decay": settings.weight_decay,
    }
    if settings.bits == 32:
        return torch.optim.AdamW(weights, **options)
    try:
        library = importlib.import_module("bitsandbytes.optim")
    except ImportError:
        raise PrerequisiteError(
            "optimizer.bits = 8 needs bitsandbytes",
            why="it is not installed",
            fix="pip install bitsandbytes, or set optimizer.bits=32",
        ) from None
    return library.AdamW8bit(weights, **options)


def step_seed(seed: int, step: int, rank: int) -> int:
    """The seed of everything random in one step of one process."""
    return (seed * 1_000_003 + step * 4099 + rank) % 2**63


@contextmanager
def out_of_memory(settings: TrainConfig) -> Iterator[None]:
    """Turn a full memory into one line that says which setting to turn."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        # On a CPU torch has no class of its own for it.
        full = isinstance(error, torch.OutOfMemoryError | MemoryError)
        if not full and "can't allocate memory" not in str(error):
            raise
        knobs = []
        if settings.batch_size > 1:
            knobs.append(f"batch_size={settings.batch_size // 2} with accumulate=2")
        if not settings.accelerator.gradient_checkpointing:
            knobs.append("accelerator.gradient_checkpointing=true")
        if settings.rewards.image and settings.rewards.image_frames > 1:
            knobs.append(f"rewards.image_frames={settings.rewards.image_frames // 2}")
        knobs.append(f"lora.rank={max(1, settings.lora.rank // 2)}")
        raise PrerequisiteError(
            "out of memory while training",
            why=str(error).splitlines()[0] if str(error) else "the device is full",
            fix=f"set {', or '.join(knobs)}; checkpoints are kept",
        ) from None


def train(
    settings: TrainConfig,
    parts: Parts,
    source: Source,
    folder: Path,
    *,
    accelerator: Any,
    say: Say,
    live: bool | None = None,
) -> Progress:
    """Train until `settings.steps`, from the newest whole checkpoint of `folder` if there is one.

    Args:
        settings: The run.
        parts: Teacher, student (plain), rewards; `network` is replaced by the prepared student.
        source: The data.
        folder: Checkpoints and logs.
        accelerator: An `accelerate.Accelerator`.
        say: Where lines of progress go.
        live: Whether a live table is shown; by default on a terminal.

    Raises:
        InputError: The loss is not finite or explodes; the last good checkpoint stays.
        ConfigError: The folder belongs to other settings.
        PrerequisiteError: Out of memory, a full disk, a missing package.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = lora_parameters(parts.plain)
    optimizer = make_optimizer(weights, settings.optimizer)
    progress = Progress()
    loaded, broken = checkpoint.newest(folder, config.frozen(settings))
    main = accelerator.is_main_process
    tell = say if main else _silent
    for text in broken:
        tell(text)
    if loaded is not None:
        load_named_lora(parts.plain, loaded.lora)
        torch.set_rng_state(loaded.random)
        progress = loaded.progress
        tell(f"resumed at step {progress.step} of {settings.steps}")
    parts.rank, parts.world = accelerator.process_index, accelerator.num_processes
    sharding.name_units(accelerator, parts.plain, HEAVY)
    parts.network, optimizer = accelerator.prepare(parts.plain, optimizer)
    # Sharding exchanges the weights, so everything that belongs to them comes after it.
    weights = lora_parameters(parts.plain)
    if loaded is not None:
        sharding.load_optimizer(optimizer, loaded.optimizer)
        restore_scaler(accelerator, loaded)
    average = _average(settings, parts.plain, loaded)
    parts.average = average
    trackers = _open(settings, folder, progress.step) if main else []
    step_of = recipes.get(settings.recipe)
    norms: list[float] = []
    try:
        with View(settings.steps, say=tell, live=live) as view:
            sums: dict[str, float] = {}
            count, mark = 0, time.monotonic()
            while progress.step < settings.steps:
                values = _one_step(
                    settings, parts, source, progress, accelerator, optimizer, step_of, norms
                )
                if average is not None:
                    decay = settings.consistency.target_ema
                    torch._foreach_lerp_(average, [w.detach() for w in weights], 1 - decay)
                progress.step += 1
                progress.skipped = dict(source.skipped)
                now = time.monotonic()
                progress.seconds, mark = progress.seconds + now - mark, now
                count += 1
                for name, value in values.items():
                    sums[name] = sums.get(name, 0.0) + value
                last = progress.step == settings.steps
                if progress.step % settings.report_every == 0 or last:
                    means = {name: value / count for name, value in sums.items()}
                    progress.history.append({"step": progress.step, **means})
                    for tracker in trackers:
                        tracker.log(progress.step, means)
                    view.report(progress.step, means, progress.seconds / progress.step)
                    sums, count = {}, 0
                if progress.step % settings.save_every == 0 or last:
                    _save(settings, parts, folder, progress, accelerator, optimizer)
                    mark = time.monotonic()
    finally:
        for tracker in trackers:
            tracker.close()
    return progress


def _silent(_line: str) -> None:
    pass


def _open(settings: TrainConfig, folder: Path, step: int) -> list[Tracker]:
    plain = config.frozen(settings)
    write_json_atomic(folder / RUN, settings.model_dump(mode="json"))
    return open_trackers(settings.track, folder, name=settings.name, config=plain, from_step=step)


def _average(
    settings: TrainConfig, plain: nn.Module, loaded: checkpoint.Loaded | None
) -> list[Tensor] | None:
    """The averaged LoRA that makes the target, if the run has one; sharded as the LoRA is."""
    if not settings.consistency.target_ema:
        return None
    named = zip(named_lora(plain), lora_parameters(plain), strict=True)
    if loaded is None or loaded.average is None:
        return [weight.detach().clone() for _, weight in named]
    return [sharding.shard_like(loaded.average[name], weight) for name, weight in named]


def _save(
    settings: TrainConfig,
    parts: Parts,
    folder: Path,
    progress: Progress,
    accelerator: Any,
    optimizer: Any,
) -> None:
    """Write a checkpoint; processes that do not write help to gather what is sharded."""
    writes = accelerator.is_main_process
    if not (writes or sharding.is_sharded(parts.plain)):
        return
    inner = getattr(optimizer, "optimizer", optimizer)
    lora, state, average = sharding.whole(
        [named_lora(parts.plain), inner.state_dict(), parts.average]
    )
    if writes:
        checkpoint.save(
            folder,
            progress,
            config.frozen(settings),
            lora=lora,
            optimizer=state,
            average=average,
            keep=settings.keep,
            scaler=accelerator.scaler.state_dict() if accelerator.scaler else None,
        )


def restore_scaler(accelerator: Any, loaded: checkpoint.Loaded) -> None:
    """Go on with the loss scale that float16 had come to, where there is one."""
    if accelerator.scaler and loaded.scaler:
        accelerator.scaler.load_state_dict(loaded.scaler)


def _one_step(
    settings: TrainConfig,
    parts: Parts,
    source: Source,
    progress: Progress,
    accelerator: Any,
    optimizer: Any,
    step_of: recipes.Recipe,
    norms: list[float],
) -> dict[str, float]:
    """One optimizer step; returns losses, rewards and the gradient's norm as numbers."""
    step, told = progress.step, settings.optimizer
    factor = min(1.0, (step + 1) / told.warmup) if told.warmup else 1.0
    for group in optimizer.param_groups:
        group["lr"] = told.lr * factor
    seed = step_seed(settings.seed, step, parts.rank)
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    train_mode(parts.plain, settings.compat)
    values: dict[str, float] = {}
    for micro in range(settings.accumulate):
        number = (step * settings.accumulate + micro) * parts.world + parts.rank
        batch = source.batch(number, settings.batch_size)
        progress.position = number + 1
        with out_of_memory(settings):
            syncs = micro == settings.accumulate - 1
            with _no_sync(accelerator, parts.network, syncs), accelerator.autocast():
                losses = step_of(parts, batch, generator)
            total: Tensor = torch.stack([loss.float() for loss in losses.values()]).sum()
            _check_finite(losses, step, progress)
            accelerator.backward(total / settings.accumulate)
        for name, loss in _told(losses, settings).items():
            values[name] = values.get(name, 0.0) + loss / settings.accumulate
    clipped = accelerator.clip_grad_norm_(lora_parameters(parts.plain), told.max_grad_norm)
    norm = float(sharding.whole(clipped.detach()))
    # In float16 the loss scaler meets infinite gradients now and then and skips those steps.
    if settings.accelerator.mixed_precision != "fp16" or norm < float("inf"):
        _check_norm(norm, norms, step)
    with out_of_memory(settings):
        # The first step makes room for the optimizer's state.
        optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return {**values, "grad_norm": norm}


@contextmanager
def _no_sync(accelerator: Any, network: nn.Module, syncs: bool) -> Iterator[None]:
    """Leave gradients unshared until the last part of an accumulated step."""
    if syncs:
        yield
    else:
        with accelerator.no_sync(network):
            yield


def _told(losses: Losses, settings: TrainConfig) -> dict[str, float]:
    """Losses as numbers; a reward is told as the reward itself, not as a scaled loss."""
    scales: Mapping[str, float] = {**settings.rewards.image, **settings.rewards.video}
    told = {}
    for name, loss in losses.items():
        value = float(loss.detach())
        scale = scales.get(name.removeprefix("reward/"))
        told[name] = -value / scale if scale else value
    return told


def _check_finite(losses: Losses, step: int, progress: Progress) -> None:
    for name, loss in losses.items():
        if not bool(torch.isfinite(loss.detach())):
            raise InputError(
                f"training stopped at step {step}",
                why=f"{name} is {float(loss.detach())}",
                fix="lower optimizer.lr or the reward's scale; the last good checkpoint is kept"
                if progress.step
                else "check the data, lower optimizer.lr or the reward's scale",
            )


def _check_norm(norm: float, norms: list[float], step: int) -> None:
    usual = sorted(norms)[len(norms) // 2] if len(norms) >= USUAL else None
    if norm != norm or norm == float("inf") or (usual is not None and norm > EXPLODED * usual):
        raise InputError(
            f"training stopped at step {step}",
            why=f"the gradient's norm is {norm:.3g}"
            + (f", {EXPLODED:.0f} times more than usual" if usual and norm == norm else ""),
            fix="lower optimizer.lr or the reward's scale; the last good checkpoint is kept",
        )
    norms.append(norm)
    del norms[:-USUAL]

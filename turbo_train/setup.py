"""From settings to a running loop: devices, teacher, student, rewards, data."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from turbo_eval.core.errors import PrerequisiteError, UsageError
from turbo_eval.models.compiling import check_compiler, compile_networks
from turbo_train import data, loop, rewards, sharding, student, teachers
from turbo_train.checkpoint import Progress
from turbo_train.config import TrainConfig
from turbo_train.data.batch import Source
from turbo_train.recipes.common import Parts, distillation
from turbo_train.teachers import TeacherParts


def pick_device(device: str) -> str:
    """`cpu` or `cuda`.

    Raises:
        UsageError: Another word.
        PrerequisiteError: CUDA is asked for and not there.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise UsageError(f"device {device!r}", fix="choose auto, cpu or cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise PrerequisiteError("no CUDA device here", fix="leave --device out, or use cpu")
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return device


def make_parts(
    settings: TrainConfig, teacher: TeacherParts, *, weights_dir: Path | None, device: str
) -> Parts:
    """Student, solver and rewards of a run; the student's LoRA is drawn from the run's seed."""
    torch.manual_seed(settings.seed)
    network = student.make_student(teacher.unet, settings.recipe, settings.lora)
    student.trainable(network)
    if settings.compat == "authors":
        # The published program leaves the teacher in train mode, so its dropout acts.
        teacher.unet.train()
    if settings.accelerator.gradient_checkpointing:
        student.save_activations(network)
        # diffusers recomputes only in train mode, which changes nothing else in an autoencoder.
        teacher.vae.train()
        teacher.vae.enable_gradient_checkpointing()
    if settings.accelerator.compile:
        compile_networks(network, teacher.unet, teacher.vae.decoder, device=device)
    return Parts(
        config=settings,
        teacher=teacher,
        network=network,
        plain=network,
        run=distillation(teacher, settings),
        terms=rewards.load_terms(settings.rewards, weights_dir=weights_dir, device=device),
        empty_text=teacher.encode_text([""]),
    )


def make_source(settings: TrainConfig, teacher: TeacherParts, folder: Path) -> Source:
    """The data of a run; what it caches lies beside the run's folder, for other runs to share."""
    return data.open_source(
        settings.data,
        frames=teacher.frames,
        height=teacher.height,
        width=teacher.width,
        fps=teacher.fps,
        seed=settings.seed,
        folder=folder.parent / "cache",
        encode=teacher.encode,
    )


def start(
    settings: TrainConfig,
    folder: Path,
    *,
    device: str = "auto",
    threads: int | None = None,
    weights_dir: Path | None = None,
    say: Callable[[str], None],
    live: bool | None = None,
) -> Progress:
    """Read everything and train; see `turbo_train.loop.train` for arguments and errors."""
    if threads is not None:
        torch.set_num_threads(threads)
    place = pick_device(device)
    if settings.accelerator.compile:
        check_compiler(place)
    accelerator = make_accelerator(settings, place)
    where = str(accelerator.device)
    teacher = teachers.load(settings.teacher, weights_dir=weights_dir, device=where)
    parts = make_parts(settings, teacher, weights_dir=weights_dir, device=where)
    source = make_source(settings, teacher, folder)
    return loop.train(settings, parts, source, folder, accelerator=accelerator, say=say, live=live)


def make_accelerator(settings: TrainConfig, device: str) -> Any:
    """An accelerator for this process; `accelerate launch` makes several of them.

    One process has nothing to shard, so sharding acts from two on.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState
    from accelerate.utils import DistributedDataParallelKwargs

    # Accelerate remembers the first run of a process; a second one may have other settings.
    AcceleratorState._reset_state()

    # One process must not look for a device that the user did not choose.
    if device == "cpu":
        os.environ.setdefault("ACCELERATE_USE_CPU", "true")
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    shards = several and settings.accelerator.sharding == "fsdp"
    plugin = sharding.make_plugin() if shards else None
    accelerator = Accelerator(
        cpu=device == "cpu",
        mixed_precision=settings.accelerator.mixed_precision,
        gradient_accumulation_steps=1,
        fsdp_plugin=plugin,
        kwargs_handlers=[DistributedDataParallelKwargs(gradient_as_bucket_view=True)],
    )
    if plugin is not None and not accelerator.is_fsdp2:
        sharding.use_on_cpu(accelerator, plugin)
    return accelerator

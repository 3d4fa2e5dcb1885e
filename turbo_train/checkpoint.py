"""Checkpoints of a training run: whole or absent, checked when read, never unpickled blindly."""

import json
import os
import pickle
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from turbo_eval.core.errors import ConfigError, InputError, from_os_error, one_line
from turbo_eval.core.hashing import file_sha256
from turbo_eval.core.store import write_json_atomic

PREFIX = "checkpoint-"
STATE = "state.json"
LORA = "lora.safetensors"
AVERAGE = "average.safetensors"
OPTIMIZER = "optimizer.pt"
_BROKEN = (
    OSError,
    ValueError,
    KeyError,
    RuntimeError,
    SafetensorError,
    pickle.UnpicklingError,
)


@dataclass(slots=True)
class Progress:
    """Where a run is: steps done, seconds, and one record of losses per report.

    `position` is the number of the next batch of the data's endless sequence.
    """

    step: int = 0
    position: int = 0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a checkpoint holds."""

    progress: Progress
    lora: dict[str, Tensor]
    average: dict[str, Tensor] | None
    optimizer: dict[str, Any]
    random: Tensor
    scaler: dict[str, Any] = field(default_factory=dict)


def list_steps(folder: Path) -> list[int]:
    """Steps of the checkpoints of a run, rising; temporary ones do not count."""
    found = []
    for path in folder.glob(f"{PREFIX}*"):
        number = path.name.removeprefix(PREFIX)
        if number.isdigit() and path.is_dir():
            found.append(int(number))
    return sorted(found)


def path_of(folder: Path, step: int) -> Path:
    """Folder of the checkpoint after `step` steps."""
    return folder / f"{PREFIX}{step:06d}"


def save(
    folder: Path,
    progress: Progress,
    config: Mapping[str, Any],
    *,
    lora: Mapping[str, Tensor],
    optimizer: Mapping[str, Any],
    average: Sequence[Tensor] | None,
    keep: int,
    scaler: Mapping[str, Any] | None = None,
) -> Path:
    """Write a checkpoint under a temporary name, sync it, rename it, and drop the oldest.

    Args:
        folder: The run's folder.
        progress: Where the run is.
        config: Settings that a resumed run must share.
        lora: Named LoRA weights.
        optimizer: The optimizer's state.
        average: Averaged LoRA weights in the same order, if there are any.
        keep: How many checkpoints stay.
        scaler: State of the loss scaler, in float16.

    Raises:
        PrerequisiteError: The disk is full or the folder cannot be written; earlier checkpoints
            stay as they are.
    """
    target = path_of(folder, progress.step)
    temporary = folder / f".{target.name}.tmp{os.getpid()}"
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        _write_tensors(temporary / LORA, lora)
        if average is not None:
            _write_tensors(temporary / AVERAGE, dict(zip(lora, average, strict=True)))
        payload = {
            "optimizer": dict(optimizer),
            "random": torch.get_rng_state(),
            "scaler": dict(scaler or {}),
        }
        torch.save(payload, temporary / OPTIMIZER)
        for path in temporary.iterdir():
            _sync(path)
        files = {path.name: file_sha256(path) for path in sorted(temporary.iterdir())}
        state = {
            "step": progress.step,
            "position": progress.position,
            "seconds": round(progress.seconds, 3),
            "history": progress.history,
            "skipped": progress.skipped,
            "config": dict(config),
            "files": files,
        }
        write_json_atomic(temporary / STATE, state)
        if target.exists():
            shutil.rmtree(target)
        temporary.rename(target)
        _sync(folder)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise from_os_error(error, folder) from None
    # A broken one that was passed over may carry a later number; it must not push out good ones.
    earlier = [step for step in list_steps(folder) if step <= progress.step]
    for step in earlier[:-keep]:
        shutil.rmtree(path_of(folder, step), ignore_errors=True)
    return target


def _write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    save_file({key: value.detach().cpu().contiguous() for key, value in tensors.items()}, path)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def load(path: Path, config: Mapping[str, Any] | None) -> Loaded:
    """Read a checkpoint and check every file of it.

    Args:
        path: The checkpoint's folder.
        config: Settings of the run that goes on; None checks nothing.

    Raises:
        InputError: A file is missing, cut or changed.
        ConfigError: The settings differ; the differences are listed.
    """
    try:
        state = json.loads((path / STATE).read_text(encoding="utf-8"))
        for name, wanted in state["files"].items():
            if file_sha256(path / name) != wanted:
                raise ValueError(f"{name} is not what was written")
        lora = load_file(path / LORA)
        average = load_file(path / AVERAGE) if (path / AVERAGE).exists() else None
        payload = torch.load(path / OPTIMIZER, weights_only=True, map_location="cpu")
        progress = Progress(
            step=state["step"],
            position=state["position"],
            seconds=state["seconds"],
            history=state["history"],
            skipped=state["skipped"],
        )
    except _BROKEN as error:
        raise InputError(
            f"checkpoint {path} is broken",
            why=one_line(f"{type(error).__name__}: {error}")[:200],
            fix="delete it to go on from the one before",
        ) from None
    if config is not None:
        different = differences(state["config"], config)
        if different:
            raise ConfigError(
                f"{path.parent} was trained with other settings",
                why="; ".join(different[:5]),
                fix="use the settings it was started with, or another --run",
            )
    return Loaded(
        progress,
        lora,
        average,
        payload["optimizer"],
        payload["random"],
        payload.get("scaler", {}),
    )


def differences(old: Mapping[str, Any], new: Mapping[str, Any], at: str = "") -> list[str]:
    """`key: old, now new` for every value that differs, nested keys with dots."""
    found = []
    for key in sorted({*old, *new}):
        before, after = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found += differences(before, after, f"{at}{key}.")
        elif before != after:
            found.append(f"{at}{key}: {before}, now {after}")
    return found


def newest(folder: Path, config: Mapping[str, Any]) -> tuple[Loaded | None, list[str]]:
    """The newest whole checkpoint of a run, and a line for each broken one that was passed over.

    Raises:
        ConfigError: The settings differ.
    """
    broken: list[str] = []
    for step in reversed(list_steps(folder)):
        try:
            return load(path_of(folder, step), config), broken
        except InputError as error:
            broken.append(str(error))
    return None, broken

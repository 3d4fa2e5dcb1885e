"""Read every sample of a data set once and say which ones cannot be used."""

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from turbo_eval.core.errors import InputError
from turbo_eval.core.progress import Progress
from turbo_train.data import open_samples
from turbo_train.data.latents import TABLE, LatentSamples
from turbo_train.data.samples import BrokenSample, Samples, nothing_readable
from turbo_train.data.settings import DataSettings, Kind
from turbo_train.data.shards import is_remote

FRAMES = 16
_SIDE = 64
"""Clips are checked at a small size, because no clip fails for its size."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One sample that cannot be used."""

    key: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of a check.

    Attributes:
        kind: Kind of data.
        path: What was checked.
        samples: How many there are.
        checked: How many were read: all, unless a limit was set.
        readable: How many of those can be used.
        broken: How many cannot, by reason, the most frequent first.
        faults: Every one that cannot.
    """

    kind: str
    path: list[str]
    samples: int
    checked: int
    readable: int
    broken: dict[str, int]
    faults: list[Fault]

    def nothing(self) -> InputError:
        """The error for a check that found no readable sample."""
        named = [(fault.key, BrokenSample(fault.reason, fault.detail)) for fault in self.faults]
        return nothing_readable(", ".join(self.path) or self.kind, self.checked, named)


def check(
    settings: DataSettings,
    *,
    frames: int | None,
    fps: float,
    folder: Path,
    limit: int | None = None,
    quiet: bool = True,
) -> Report:
    """Read samples as training would; only their size does not matter.

    Args:
        settings: Which data.
        frames: Frames of a clip; None for 16, or for what the first of the latents have.
        fps: Frames a second that the teacher makes; those of the settings go first.
        folder: Cache for downloads and lists of shards.
        limit: Read only the first so many.
        quiet: Show no progress on stderr.

    Raises:
        InputError: Data are missing or of the wrong form, or there is no sample at all.
        PrerequisiteError: A shard cannot be downloaded, or the cache not be written.
    """
    samples = _open(settings, frames, fps, folder)
    if len(samples) == 0:
        raise InputError(f"no sample in {samples.where}", fix="check the path")
    wanted = len(samples) if limit is None else min(limit, len(samples))
    faults = []
    with Progress("check", wanted, quiet=quiet) as progress:
        for index in range(wanted):
            try:
                samples.read(index, np.random.default_rng(index))
            except BrokenSample as fault:
                faults.append(Fault(samples.key(index), fault.reason, fault.detail))
                progress.advance(failed=1)
            else:
                progress.advance()
    return Report(
        kind=settings.kind,
        path=list(settings.path),
        samples=len(samples),
        checked=wanted,
        readable=wanted - len(faults),
        broken=dict(Counter(fault.reason for fault in faults).most_common()),
        faults=faults,
    )


def _open(settings: DataSettings, frames: int | None, fps: float, folder: Path) -> Samples:
    if settings.kind == "latents":
        return LatentSamples(settings, frames=frames)
    return open_samples(
        settings, frames=frames or FRAMES, height=_SIDE, width=_SIDE, fps=fps, folder=folder
    )


def guess_kind(paths: list[str]) -> Kind:
    """The kind of data that paths look like: addresses, files and folders of .tar are shards.

    A folder with latents beside a `captions.jsonl` is `latents`; any other folder is `folder`.
    """
    first = Path(paths[0])
    if is_remote(paths[0]) or not os.path.isdir(first):
        return "webdataset"
    names = os.listdir(first)
    if any(name.endswith(".tar") for name in names):
        return "webdataset"
    if TABLE in names and any(name.endswith(".safetensors") for name in names):
        return "latents"
    return "folder"

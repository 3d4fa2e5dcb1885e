"""Training data encoded beforehand: a folder of latents with their captions, and its writer."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from turbo_eval.core.errors import InputError, nearest
from turbo_eval.core.hashing import content_key
from turbo_eval.core.progress import Progress
from turbo_eval.core.runs import exclusive
from turbo_eval.core.store import write_bytes_atomic, write_json_atomic, write_text_atomic
from turbo_train.data.batch import Source
from turbo_train.data.captions import Row, checked, read_table
from turbo_train.data.samples import BrokenSample, Sample
from turbo_train.data.settings import DataSettings

LATENTS = "latents"
TABLE = "captions.jsonl"
CARD = "latents.json"
_AT_ONCE = 4
_ROW = "row"


class LatentSamples:
    """Latents [C, F, h, w] in safetensors files, named with their captions in `captions.jsonl`.

    All must have the shape of the first one that can be read.

    Args:
        settings: `path` counts.
        frames: F that the teacher needs; None for that of the first one.

    Raises:
        InputError: A folder or its table is missing or unreadable, or a column is missing.
    """

    def __init__(self, settings: DataSettings, *, frames: int | None) -> None:
        self.where = ", ".join(settings.path)
        self._settings = settings
        self._frames = frames
        self._found: list[tuple[Path, Row]] = []
        for name in settings.path:
            folder = Path(name)
            if not os.path.isdir(folder):
                raise InputError(f"{folder} is no folder", fix="check data.path")
            self._found += [(folder, row) for row in read_table(folder / TABLE)]
        self._shape = self._first_shape()

    def __len__(self) -> int:
        return len(self._found)

    def key(self, index: int) -> str:
        """The file's name, or the table's line where it has none."""
        _, row = self._found[index]
        return (row.path or row.where).encode("utf-8", "replace").decode("utf-8")

    def read(self, index: int, rng: np.random.Generator) -> Sample:  # noqa: ARG002 (nothing drawn)
        """Load the latents as float32; see `Samples.read`."""
        sample = self._load(index)
        assert sample.latents is not None
        shape = tuple(sample.latents.shape)
        if self._shape is not None and shape != self._shape:
            raise BrokenSample("has latents of another shape", f"{shape}, not {self._shape}")
        return sample

    def describe(self) -> dict[str, object]:
        """Kind, paths, shape, and a key of the table."""
        rows = [(row.path, row.caption, row.fault) for _, row in self._found]
        return {
            "kind": "latents",
            "path": list(self._settings.path),
            "shape": None if self._shape is None else list(self._shape),
            "key": content_key(rows),
        }

    def _first_shape(self) -> tuple[int, ...] | None:
        for index in range(len(self._found)):
            try:
                latents = self._load(index).latents
            except BrokenSample:
                continue
            return None if latents is None else tuple(latents.shape)
        return None

    def _load(self, index: int) -> Sample:
        folder, row = self._found[index]
        if row.fault or row.path is None:
            raise BrokenSample(row.fault or "has no path")
        name = os.path.normpath(row.path)
        if os.path.isabs(name) or name.startswith(".."):
            raise BrokenSample("has a path that leads out of its folder")
        caption = checked(row.caption)
        latents = _tensor(folder / name)
        if latents.ndim != 4 or 0 in latents.shape:
            raise BrokenSample("has no latents [C, F, h, w]", f"{tuple(latents.shape)}")
        if self._frames is not None and latents.shape[1] != self._frames:
            raise BrokenSample(f"has not {self._frames} frames", f"{latents.shape[1]}")
        if not latents.is_floating_point():
            raise BrokenSample("has latents that are no floating-point numbers", f"{latents.dtype}")
        latents = latents.float()
        if not bool(torch.isfinite(latents).all()):
            raise BrokenSample("has latents that are not finite")
        return Sample(caption, latents=latents)


def _tensor(path: Path) -> Tensor:
    try:
        # The library takes a folder or a pipe as it comes; only files are let in.
        if not path.is_file():
            raise BrokenSample("there is no file")
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            if LATENTS not in names:
                near = ", ".join(nearest(LATENTS, names) or names[:3])
                raise BrokenSample(f"has no tensor {LATENTS!r}", f"it has {near}")
            tensor: Tensor = file.get_tensor(LATENTS)
    except (SafetensorError, OSError, ValueError) as error:
        raise BrokenSample("is no safetensors file", str(error)) from None
    return tensor


@torch.no_grad()
def cache_latents(
    source: Source, encode: Callable[[Tensor], Tensor], folder: Path, count: int
) -> int:
    """Write the first `count` clips of a source as a folder for kind `latents`.

    Type the same again after a stop: clips that are already there are not encoded again.

    Args:
        source: Gives pixels, or latents that are taken as they are.
        encode: Pixels [B, F, H, W, 3] in 0..255 to scaled latents [B, C, F, h, w].
        folder: Where to write; numbered safetensors (float16), `captions.jsonl` and `latents.json`.
        count: How many, at least 1.

    Returns:
        How many were encoded now.

    Raises:
        InputError: The folder holds latents of another source, or no sample can be read.
        PrerequisiteError: The folder cannot be written.
    """
    described = json.loads(json.dumps(source.describe(), default=str))
    encoded = 0
    with exclusive(folder / ".latents.lock"), Progress("encode clips", count) as progress:
        _claim(folder, described)
        rows: list[dict[str, str]] = []
        for number in range(-(-count // _AT_ONCE)):
            wanted = range(number * _AT_ONCE, min((number + 1) * _AT_ONCE, count))
            paths = [folder / f"{index:08d}.safetensors" for index in wanted]
            known = [_row(path) for path in paths]
            new = any(row is None for row in known)
            if new:
                known = _write(source, encode, number, paths)
                encoded += len(paths)
            rows += [row for row in known if row is not None]
            progress.advance(len(paths), cached=0 if new else len(paths))
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        write_text_atomic(folder / TABLE, "\n".join(lines) + "\n")
        write_json_atomic(folder / CARD, {"source": described, "count": count, "whole": True})
    return encoded


def _claim(folder: Path, described: dict[str, Any]) -> None:
    """Begin the folder, or refuse it where another source was written there."""
    card = folder / CARD
    try:
        old = json.loads(card.read_text(encoding="utf-8"))["source"]
    except FileNotFoundError:
        write_json_atomic(card, {"source": described, "count": 0, "whole": False})
        return
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{card} is damaged", why=str(error), fix="choose another folder"
        ) from None
    if old != described:
        keys = sorted({*old, *described})
        differing = [key for key in keys if old.get(key) != described.get(key)]
        raise InputError(
            f"{folder} holds latents of another source",
            why=f"{', '.join(differing)} differ",
            fix="choose another folder",
        )


def _write(
    source: Source, encode: Callable[[Tensor], Tensor], number: int, paths: list[Path]
) -> list[dict[str, str] | None]:
    batch = source.batch(number, _AT_ONCE)
    latents = batch.latents
    if latents is None:
        assert batch.pixels is not None
        latents = encode(batch.pixels)
    halves = latents.to("cpu", torch.float16).contiguous()
    rows: list[dict[str, str] | None] = []
    for path, half, caption, key in zip(paths, halves, batch.captions, batch.keys, strict=False):
        row = {"caption": caption, "key": key}
        # One entry, because the library writes several in no fixed order.
        metadata = {_ROW: json.dumps(row, sort_keys=True)}
        write_bytes_atomic(path, save({LATENTS: half.clone()}, metadata=metadata))
        rows.append({"path": path.name, **row})
    return rows


def _row(path: Path) -> dict[str, str] | None:
    """What an earlier run wrote there, or None."""
    try:
        with safe_open(path, framework="pt") as file:
            told = json.loads((file.metadata() or {})[_ROW])
            return {"path": path.name, "caption": told["caption"], "key": told["key"]}
    except (SafetensorError, OSError, KeyError, ValueError, TypeError):
        return None

"""Training data of the mini world: drawn clips, encoded once, with captions that never repeat."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from turbo_eval.core.errors import ConfigError
from turbo_eval.core.hashing import blake
from turbo_eval.core.progress import Progress
from turbo_eval.core.runs import exclusive
from turbo_eval.core.store import atomic_path
from turbo_train.data.samples import Sample
from turbo_train.data.settings import DataSettings
from turbo_train.world.captions import random_caption
from turbo_train.world.facts import FRAMES, SIZE
from turbo_train.world.stream import item

Encode = Callable[[Tensor], Tensor]
"""Pixels, uint8 [B, F, H, W, 3], to scaled latents [B, C, F, h, w]."""

_AT_ONCE = 32
_SAME = 0.02


class MiniSamples:
    """The first `pool` clips of a stream of the mini world.

    Args:
        settings: `pool` and `stream` count.
        frames: Must be 8.
        height: Must be 64.
        width: Must be 64.
        folder: Where latents are cached.
        encode: With it samples are latents, else pixels drawn each time.

    Raises:
        ConfigError: Another clip length or size is asked for.
        PrerequisiteError: The cache cannot be written.
    """

    def __init__(
        self,
        settings: DataSettings,
        *,
        frames: int,
        height: int,
        width: int,
        folder: Path,
        encode: Encode | None,
    ) -> None:
        if (frames, height, width) != (FRAMES, SIZE, SIZE):
            raise ConfigError(
                f"data of kind mini are {FRAMES} frames of {SIZE} x {SIZE} pixels",
                why=f"the teacher makes {frames} frames of {width} x {height}",
                fix="choose a teacher of the mini world or other data",
            )
        self.where = f"stream {settings.stream} of the mini world"
        self._stream, self._pool = settings.stream, settings.pool
        self._latents: npt.NDArray[np.float16] | None = None
        if encode is not None:
            self._latents = latent_pool(encode, folder, stream=self._stream, clips=self._pool)

    def __len__(self) -> int:
        return self._pool

    def key(self, index: int) -> str:
        """Stream and number of the clip."""
        return f"mini/{self._stream}/{index}"

    def read(self, index: int, rng: np.random.Generator) -> Sample:
        """The clip, with a caption that `rng` words anew."""
        drawn = item(self._stream, index)
        caption, _ = random_caption(drawn.scene, rng)
        if self._latents is None:
            return Sample(caption, pixels=torch.from_numpy(drawn.clip()))
        latents = np.asarray(self._latents[index], np.float32)
        return Sample(caption, latents=torch.from_numpy(latents))

    def describe(self) -> dict[str, object]:
        """Kind and stream."""
        return {"kind": "mini", "path": [], "stream": self._stream}


@torch.no_grad()
def latent_pool(
    encode: Encode, folder: Path, *, stream: int, clips: int
) -> npt.NDArray[np.float16]:
    """Latents of the first `clips` items of a stream, from the cache or encoded now.

    A cached file belongs to this encoder if its first clip is what the encoder makes of that clip
    now, up to 2 % of the standard deviation (devices and batch sizes round differently).

    Args:
        encode: The encoder.
        folder: The cache; files in it are named by stream, number and a key of the encoder.
        stream: Seed of the stream.
        clips: How many, at least 1.

    Returns:
        float16 [clips, C, F, h, w], mapped from the file.

    Raises:
        PrerequisiteError: The cache cannot be written.
    """
    first = _encoded(encode, stream, range(1))
    with exclusive(folder / ".latents.lock"):
        for path in sorted(folder.glob(f"latents-{stream}-{clips}-*.npy")):
            pool = _mapped(path, clips)
            if pool is not None and _close(pool[:1], first):
                return pool
        path = folder / f"latents-{stream}-{clips}-{blake(first.tobytes())}.npy"
        whole = np.empty((clips, *first.shape[1:]), np.float16)
        with Progress("encode clips", clips) as progress:
            for start in range(0, clips, _AT_ONCE):
                part = range(start, min(start + _AT_ONCE, clips))
                whole[part.start : part.stop] = _encoded(encode, stream, part)
                progress.advance(len(part))
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.save(file, whole)
    mapped: npt.NDArray[np.float16] = np.load(path, mmap_mode="r")
    return mapped


def _encoded(encode: Encode, stream: int, indices: range) -> npt.NDArray[np.float16]:
    pixels = torch.from_numpy(np.stack([item(stream, k).clip() for k in indices]))
    return encode(pixels).float().cpu().numpy().astype(np.float16)


def _mapped(path: Path, clips: int) -> npt.NDArray[np.float16] | None:
    """A cached file, or None where it is no such array (cut off, of other code)."""
    try:
        pool = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    fits = isinstance(pool, np.ndarray) and pool.dtype == np.float16 and len(pool) == clips
    return pool if fits else None


def _close(cached: npt.NDArray[np.float16], now: npt.NDArray[np.float16]) -> bool:
    if cached.shape != now.shape:
        return False
    a, b = cached.astype(np.float32), now.astype(np.float32)
    return bool(np.abs(a - b).max() <= _SAME * b.std())

"""What students learn from: folders of videos, tar shards, latents, and the mini world.

Light to import; each kind loads what it needs when it is opened.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from turbo_train.data.settings import DataSettings

if TYPE_CHECKING:
    from torch import Tensor

    from turbo_train.data.batch import Source
    from turbo_train.data.samples import Samples

__all__ = ["DataSettings", "open_samples", "open_source"]


def open_samples(
    settings: DataSettings,
    *,
    frames: int,
    height: int,
    width: int,
    fps: float,
    folder: Path,
    encode: "Callable[[Tensor], Tensor] | None" = None,
) -> "Samples":
    """The finite list of samples behind the settings; arguments are those of `open_source`.

    Raises:
        ConfigError: The settings do not fit the teacher.
        InputError: Data are missing or of the wrong form.
        PrerequisiteError: A shard cannot be downloaded, or the cache not be written.
    """
    if settings.kind == "mini":
        from turbo_train.data.mini import MiniSamples

        return MiniSamples(
            settings, frames=frames, height=height, width=width, folder=folder, encode=encode
        )
    if settings.kind == "folder":
        from turbo_train.data.folder import FolderSamples

        return FolderSamples(settings, frames=frames, height=height, width=width, fps=fps)
    if settings.kind == "webdataset":
        from turbo_train.data.webdataset import ShardSamples

        return ShardSamples(
            settings, frames=frames, height=height, width=width, fps=fps, folder=folder
        )
    from turbo_train.data.latents import LatentSamples

    return LatentSamples(settings, frames=frames)


def open_source(
    settings: DataSettings,
    *,
    frames: int,
    height: int,
    width: int,
    fps: float,
    seed: int,
    folder: Path,
    encode: "Callable[[Tensor], Tensor] | None",
) -> "Source":
    """Open the data of a training run.

    Args:
        settings: Which data.
        frames: Frames of a clip (F).
        height: Rows of a frame.
        width: Columns of a frame.
        fps: Frames a second that the teacher makes.
        seed: Decides the order, the start frames and the mini world's captions.
        folder: Cache for downloads, lists of shards and the mini world's latents.
        encode: Pixels, uint8 [B, F, H, W, 3], to scaled latents [B, C, F, h, w]; kind `mini` then
            gives latents, encoded once. None leaves pixels.

    Returns:
        An endless sequence of batches.

    Raises:
        ConfigError: The settings do not fit the teacher.
        InputError: Data are missing or of the wrong form, or there is no sample.
        PrerequisiteError: A shard cannot be downloaded, or the cache not be written.
    """
    from turbo_train.data.samples import Ahead, Endless

    samples = open_samples(
        settings, frames=frames, height=height, width=width, fps=fps, folder=folder, encode=encode
    )
    source = Endless(samples, seed)
    return Ahead(source, settings.workers) if settings.workers else source

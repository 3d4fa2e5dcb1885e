"""A decoded video in memory."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from turbo_eval.core.errors import InputError


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """A decoded video.

    Attributes:
        frames: uint8 [T, H, W, 3], RGB, C-contiguous, T >= 1.
        fps: Frames a second, above 0.
        content_hash: Key of what was decoded: of the file's bytes, or of the array when the clip
            never was a file.
        path: The file it was decoded from, for networks that scale while decoding; None for a
            clip that never was a file.
    """

    frames: npt.NDArray[np.uint8]
    fps: float
    content_hash: str
    path: Path | None = None


def clip_of(frames: npt.NDArray[np.uint8], fps: float) -> Clip:
    """A clip of frames that are in memory, keyed by their shape and bytes.

    Args:
        frames: uint8 [T, H, W, 3], RGB.
        fps: Frames a second.

    Raises:
        InputError: The array is no video, or fps is not a positive number.
    """
    whole = check_frames(frames, fps)
    digest = hashlib.blake2b(repr(whole.shape).encode(), digest_size=8)
    digest.update(whole.data)
    return Clip(whole, float(fps), digest.hexdigest())


def check_frames(frames: npt.NDArray[np.uint8], fps: float) -> npt.NDArray[np.uint8]:
    """The frames, C-contiguous, if they are a video.

    Raises:
        InputError: Wrong type or shape, nothing in it, or fps is not a positive number.
    """
    shape: tuple[int, ...] = getattr(frames, "shape", ())
    if getattr(frames, "dtype", None) != np.uint8 or len(shape) != 4 or shape[-1] != 3:
        raise InputError(
            "the array is no video",
            why=f"shape {tuple(shape)}, type {getattr(frames, 'dtype', type(frames).__name__)}",
            fix="give uint8 frames of shape [T, H, W, 3]",
        )
    if 0 in shape:
        raise InputError("the array is no video", why=f"it is empty, shape {tuple(shape)}")
    if not 0 < fps < float("inf"):
        raise InputError(f"{fps} is no frame rate", fix="give a positive number of frames a second")
    return np.ascontiguousarray(frames)

"""Which frames of a video make a training clip."""

from pathlib import Path

import numpy as np
import torch

from turbo_eval.core.errors import InputError
from turbo_eval.video import decode
from turbo_train.data.resize import fit
from turbo_train.data.samples import BrokenSample
from turbo_train.data.settings import Resize, Rule

VIDEOS = frozenset(
    {
        *(".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".gif"),
        *(".mpg", ".mpeg", ".ogv", ".flv", ".wmv", ".3gp"),
    }
)
"""Endings of file names that are taken for videos, in lower case."""
MAX_BYTES = 4 << 30
"""Videos whose frames need more memory than this are passed over: several may be open at once."""


def stride_of(native: float, fps: float) -> int | None:
    """Every how many frames one is taken, or None where the video is slower than asked.

    The native rate is rounded first, then the ratio; both round a half to the even side, so that
    24 and 25 frames a second at 16 give 2, as 30 does, and 16 to 23 give 1.

    Source: T2V-Turbo's public program (data reader).
    """
    whole = round(native)
    return None if whole < fps else round(whole / fps)


def strided(
    length: int, native: float, *, frames: int, fps: float, rng: np.random.Generator
) -> list[int]:
    """Choose frames as T2V-Turbo does: every stride-th, from a random start.

    Args:
        length: Frames of the video, at least 1.
        native: Its frames a second.
        frames: How many are wanted (F).
        fps: Wanted frames a second; what is got is the native rate over the stride.
        rng: Draws the start, uniform over 0 .. length - F * stride - 1; the start is 0 where
            only F steps fit.

    Returns:
        F indices, ascending.

    Raises:
        BrokenSample: The video is slower than `fps`, or too short.

    Source: T2V-Turbo's public program (data reader).
    """
    stride = stride_of(native, fps)
    if stride is None:
        raise BrokenSample(f"is slower than {fps:g} frames a second", f"{native:.4g}")
    span = frames * stride
    if span > length:
        raise BrokenSample("is too short", f"{length} frames, {span} are needed")
    start = 0 if length // stride == frames else int(rng.integers(0, length - span))
    return list(range(start, start + span, stride))


def fractional(
    length: int, native: float, *, frames: int, fps: float, rng: np.random.Generator
) -> list[int]:
    """Choose frames as T2V-Turbo-v2 does: at the exact rate, each rounded to a frame that exists.

    A video shorter than F / fps seconds is sampled evenly over its whole length. Arguments and
    result are those of `strided`; frames may repeat. How v2 draws the start is not published; here
    it is uniform over the whole frames that leave room.

    Raises:
        BrokenSample: There are fewer than two frames to choose from.
    """
    if length < 2:
        raise BrokenSample("is too short", f"{length} frames")
    step = native / fps
    if length < frames * step:
        return [round(at) for at in np.linspace(0, length - 1, frames).tolist()]
    start = int(rng.integers(0, int(length - frames * step) + 1))
    return [min(round(start + k * step), length - 1) for k in range(frames)]


def read_clip(
    path: Path,
    *,
    frames: int,
    height: int,
    width: int,
    fps: float,
    choice: Rule,
    resize: Resize,
    rng: np.random.Generator,
) -> torch.Tensor:
    """Decode a video, choose its frames and resize them.

    Returns:
        float16 [frames, height, width, 3], RGB in 0..255.

    Raises:
        BrokenSample: It cannot be decoded in full, is too short or too slow.
    """
    try:
        clip = decode(path, max_bytes=MAX_BYTES)
    except InputError as error:
        # What is counted names no file.
        raise BrokenSample(" ".join(error.what.replace(str(path), "").split()), error.why) from None
    rule = strided if choice == "stride" else fractional
    chosen = rule(len(clip.frames), clip.fps, frames=frames, fps=fps, rng=rng)
    return torch.from_numpy(fit(clip.frames[chosen], height, width, resize))

"""Files to frames, with every way in which a file can be no video told apart."""

import contextlib
import io
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from turbo_eval.core.errors import InputError
from turbo_eval.core.hashing import blake_file
from turbo_eval.video.clip import Clip

# FFmpeg also "decodes" text files as terminal art and follows playlists to other files; only
# containers that hold pictures themselves are let in.
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,gif,mpegts,mpeg,ogg,flv,asf,apng,png_pipe,webp_pipe"
)
MAX_BYTES = 8 << 30
_FFMPEG = (av.FFmpegError, UnicodeDecodeError)


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What a file says about itself.

    Attributes:
        width: Pixels, as shown (after rotation).
        height: Pixels, as shown.
        frames: Number of frames, declared or by length and rate; None when the container tells
            neither.
        fps: Frames a second; None when the container does not tell.
        seconds: Length; None when the container does not tell.
        codec: Name of the codec, e.g. "h264".
    """

    width: int
    height: int
    frames: int | None
    fps: float | None
    seconds: float | None
    codec: str


def probe(path: Path) -> VideoInfo:
    """Read the description of a video; decodes at most one frame.

    Raises:
        InputError: The file is missing, unreadable, or no video.
    """
    path = Path(path)
    with _stream(path) as (container, stream):
        frames = _declared(stream)
        first = next(_frames(path, container, stream), None)
        if first is None:
            raise _no_frames(path)
        height, width = _upright(first).shape[:2]
        fps = _fps(stream)
        seconds = None
        if stream.duration is not None and stream.time_base is not None:
            seconds = float(stream.duration * stream.time_base)
        elif container.duration is not None:
            seconds = container.duration / av.time_base
        elif fps is not None and frames is not None:
            seconds = frames / fps
        if frames is None and seconds is not None and fps is not None:
            # Matroska and WebM declare no number.
            frames = round(seconds * fps)
        return VideoInfo(width, height, frames, fps, seconds, stream.codec_context.name)


def decode(path: Path, *, max_bytes: int = MAX_BYTES) -> Clip:
    """Decode every frame of a video (or the one of a PNG).

    Rotation in the file's metadata is applied, transparency is dropped, frames are neither
    repeated nor skipped to even out the rate. `content_hash` is the key of the file's bytes.

    Args:
        path: An existing regular file; its name plays no part.
        max_bytes: Refuse a video whose frames need more memory than this.

    Returns:
        The clip: uint8 [T, H, W, 3], RGB.

    Raises:
        InputError: The file is missing, unreadable, no video, damaged, truncated (fewer frames
            than it declares), has no frame or no frame rate, changes size, or is too large.
    """
    path = Path(path)
    with _stream(path) as (container, stream):
        fps = _fps(stream)
        declared = _declared(stream)
        frames = _collect(path, container, stream, declared, max_bytes)
        if declared is not None and len(frames) < declared:
            raise InputError(
                f"{path} is truncated",
                why=f"it declares {declared} frames and {len(frames)} can be decoded",
                fix="make or copy the video again",
            )
    if fps is None:
        raise InputError(f"{path} has no frame rate", fix="write it again with a frame rate")
    try:
        return Clip(frames, fps, blake_file(path), path)
    except OSError as error:
        raise _unreadable(path, error) from error


def _collect(
    path: Path,
    container: av.container.InputContainer,
    stream: av.VideoStream,
    declared: int | None,
    max_bytes: int,
) -> npt.NDArray[np.uint8]:
    # One array that grows, because a list to be stacked would need the memory twice.
    frames = np.empty((0, 0, 0, 3), np.uint8)
    count = 0
    for frame in _frames(path, container, stream):
        pixels = _upright(frame)
        if count == 0:
            frames = _room(path, pixels, declared or 1, declared or 16, max_bytes)
        elif pixels.shape != frames.shape[1:]:
            raise InputError(
                f"{path} changes its size",
                why=f"frame {count} is {pixels.shape[1]}x{pixels.shape[0]}, "
                f"frame 0 is {frames.shape[2]}x{frames.shape[1]}",
                fix="write it again with one size",
            )
        elif count == len(frames):
            larger = _room(path, pixels, count + 1, 2 * count, max_bytes)
            larger[:count] = frames
            frames = larger
        frames[count] = pixels
        count += 1
    if count == 0:
        raise _no_frames(path)
    return frames if count == len(frames) else frames[:count].copy()


def _room(
    path: Path, pixels: npt.NDArray[np.uint8], needed: int, wanted: int, max_bytes: int
) -> npt.NDArray[np.uint8]:
    """An array for `wanted` frames, or for as many as the limit allows, `needed` at least."""
    most = max_bytes // pixels.nbytes
    if needed > most:
        raise InputError(
            f"{path} is too large",
            why=f"its frames need more than {max_bytes / 2**30:.2f} GiB",
            fix="cut it, or make it smaller",
        )
    return np.empty((min(max(needed, wanted), most), *pixels.shape), np.uint8)


@contextlib.contextmanager
def _stream(path: Path) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """The opened container and its first video stream."""
    with _file(path) as file:
        try:
            container = av.open(
                file, "r", metadata_errors="ignore", options={"format_whitelist": FORMATS}
            )
        except (*_FFMPEG, ValueError) as error:
            why = "its contents are damaged, cut off or of another kind"
            raise _no_video(path, why) from error
        with container:
            if not container.streams.video:
                raise _no_video(path, "it has no picture track")
            stream = container.streams.video[0]
            # Threads within a frame, PyAV's default, hide from us which frames are patched up.
            stream.thread_type = "AUTO"
            yield container, stream


@contextlib.contextmanager
def _file(path: Path) -> Iterator[io.BufferedReader]:
    # The file is opened here and not by FFmpeg, which would read names like "concat:..." or
    # "http://..." as instructions.
    try:
        what = path.stat()
        if stat.S_ISDIR(what.st_mode):
            raise _no_video(path, "it is a folder")
        if not stat.S_ISREG(what.st_mode):
            raise _no_video(path, "it is not a regular file")
        if what.st_size == 0:
            raise _no_video(path, "it is empty")
        file = path.open("rb")
    except FileNotFoundError as error:
        raise InputError(f"there is no video {path}", fix="check the path") from error
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    with file:
        yield file


def _frames(
    path: Path, container: av.container.InputContainer, stream: av.VideoStream
) -> Iterator[av.VideoFrame]:
    try:
        for frame in container.decode(stream):
            if frame.is_corrupt:
                raise InputError(
                    f"{path} is damaged",
                    why=f"the frame at {frame.time or 0:.2f} s cannot be decoded in full",
                    fix="make or copy the video again",
                )
            yield frame
    except _FFMPEG as error:
        raise InputError(
            f"{path} is damaged", why=_said(error), fix="make or copy the video again"
        ) from error


def _upright(frame: av.VideoFrame) -> npt.NDArray[np.uint8]:
    pixels = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
    # Degrees counter-clockwise, as np.rot90 turns; cameras only write quarter turns.
    turns = round(frame.rotation / 90) % 4
    return np.rot90(pixels, turns) if turns else pixels


def _declared(stream: av.VideoStream) -> int | None:
    """Frames that the container promises to show; frames outside an edit list do not count."""
    indexed = sum(not entry.is_discard for entry in stream.index_entries)
    # Other containers index while they are read, so their index says nothing yet.
    if stream.frames and indexed and "mp4" in stream.container.format.name:
        return min(indexed, stream.frames)
    return stream.frames or None


def _fps(stream: av.VideoStream) -> float | None:
    for rate in (stream.average_rate, stream.guessed_rate):
        if rate:
            return float(rate)
    return None


def _said(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).partition(" when ")[0]


def _no_video(path: Path, why: str) -> InputError:
    return InputError(f"{path} is no video", why=why, fix="give an MP4, WebM, AVI or GIF file")


def _no_frames(path: Path) -> InputError:
    return InputError(f"{path} has no frame", fix="make the video again")


def _unreadable(path: Path, error: Exception) -> InputError:
    why = getattr(error, "strerror", None) or str(error)
    return InputError(f"cannot read {path!s}", why=why, fix="check the path and its permissions")

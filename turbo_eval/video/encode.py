"""Write frames as H.264 in MP4, the same bytes for the same frames on one machine."""

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.codec.context import Flags

from turbo_eval.core.errors import InputError, PrerequisiteError
from turbo_eval.core.store import write_bytes_atomic
from turbo_eval.video.clip import check_frames

# The bytes of x264 depend on the number of threads, and without cpu-independent its vector code
# for macroblock trees now and then gives other bytes for the same frames, even in one process.
_X264 = {"crf": "12", "preset": "medium", "threads": "1", "x264-params": "cpu-independent=1"}
_MP4 = {"fflags": "+bitexact"}


def encode(frames: npt.NDArray[np.uint8], fps: float, path: Path) -> None:
    """Write a video: H.264, yuv420p, CRF 12, MP4; the file appears complete or not at all.

    Args:
        frames: uint8 [T, H, W, 3], RGB; H and W even, as yuv420p needs.
        fps: Frames a second, above 0; kept to 1/65535.
        path: Where to write; missing folders are made, an existing file is replaced.

    Raises:
        InputError: The array is no video, a side is odd, or fps is not a positive number.
        PrerequisiteError: No H.264 encoder, or the folder cannot be written.
    """
    write_bytes_atomic(Path(path), _mp4(check_frames(frames, fps), fps))


def _mp4(frames: npt.NDArray[np.uint8], fps: float) -> memoryview:
    _, height, width, _ = frames.shape
    if height % 2 or width % 2:
        raise InputError(
            f"cannot encode frames of {width}x{height}",
            why="H.264 in yuv420p needs an even width and height",
            fix="crop or pad the frames by one row or column",
        )
    rate = Fraction(fps).limit_denominator(65535)
    if rate == 0 or rate.numerator > 2**31 - 1:
        raise InputError(f"{fps} frames a second cannot be written", fix="choose 0.01 to 1000")
    if "libx264" not in av.codecs_available:
        raise PrerequisiteError(
            "cannot encode video",
            why="this build of PyAV has no H.264 encoder (libx264)",
            fix="pip install --force-reinstall av",
        )
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4", options=_MP4) as container:
        stream = container.add_stream("libx264", rate=rate, options=_X264)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.flags |= Flags.bitexact
        for index, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = index, 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getbuffer()

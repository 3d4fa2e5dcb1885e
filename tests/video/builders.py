"""Small videos made in the test run."""

from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

Frames = npt.NDArray[np.uint8]


def moving_square(frames: int = 8, height: int = 48, width: int = 64) -> Frames:
    """A bright square that moves over a smooth background; uint8 [T, H, W, 3]."""
    y, x = np.mgrid[0:height, 0:width]
    clip = np.empty((frames, height, width, 3), np.uint8)
    for t in range(frames):
        clip[t] = np.stack([x * 3 % 256, y * 3, (x + y) * 2], -1).astype(np.uint8)
        clip[t, 8:24, 4 * t : 4 * t + 16] = (230, 40, 60)
    return clip


def write(
    path: Path,
    clip: Frames,
    *,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    rotation: int = 0,
    options: dict[str, str] | None = None,
    given: str = "rgb24",
) -> None:
    """Write a video with any container, codec and rotation."""
    with av.open(str(path), "w", options=options or {}) as container:
        # Otherwise x264 does not give the same pixels every time.
        exact = {"threads": "1", "x264-params": "cpu-independent=1"}
        stream = container.add_stream(codec, rate=8, options=exact if codec == "libx264" else {})
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = clip.shape[1:3]
        stream.pix_fmt = pixels
        if rotation:
            stream.set_display_rotation(rotation)
        for index, image in enumerate(clip):
            frame = av.VideoFrame.from_ndarray(image, format=given)
            frame.pts = index
            container.mux(stream.encode(frame.reformat(format=pixels)))
        container.mux(stream.encode(None))

"""Files as cameras, phones and other programs write them: right colours, every frame, once."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace

from tests.video.builders import Frames, moving_square, write
from turbo_eval.core.errors import InputError
from turbo_eval.video import decode, encode, probe
from turbo_eval.video.scaled import decode_scaled


def colours(frames: int = 3, height: int = 48, width: int = 64) -> Frames:
    """Four flat quarters that trade places; flat, so that codecs keep them; uint8 [T, H, W, 3]."""
    quarters = np.array([[230, 40, 30], [30, 200, 60], [40, 60, 220], [225, 225, 225]], np.uint8)
    clip = np.empty((frames, height, width, 3), np.uint8)
    for t in range(frames):
        a, b, c, d = np.roll(quarters, t, axis=0)
        clip[t, : height // 2, : width // 2], clip[t, : height // 2, width // 2 :] = a, b
        clip[t, height // 2 :, : width // 2], clip[t, height // 2 :, width // 2 :] = c, d
    return clip


def write_as(
    path: Path,
    clip: Frames,
    codec: str,
    pixels: str,
    *,
    space: Colorspace = Colorspace.ITU601,
    span: ColorRange = ColorRange.MPEG,
    times: tuple[int, ...] | None = None,
) -> None:
    """Write a video whose colour matrix, range and times are what the file says."""
    fast = {"libx265": {"x265-params": "log-level=error", "preset": "ultrafast"}}
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=8, options=fast.get(codec, {}))
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = clip.shape[1:3]
        stream.pix_fmt = pixels
        context: Any = stream.codec_context
        context.bit_rate = 4_000_000
        context.time_base = Fraction(1, 1000)
        context.max_b_frames = 0
        yuv = pixels.startswith("yuv")
        if yuv:
            # 1 is bt709 and 6 is bt601 in every header; 2 is full range.
            context.colorspace = 1 if space is Colorspace.ITU709 else 6
            context.color_range = 2 if span is ColorRange.JPEG else 1
        for index, image in enumerate(clip):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            if yuv:
                frame = frame.reformat(
                    format=pixels,
                    dst_colorspace=space,
                    dst_color_range=span,
                    src_color_range=ColorRange.JPEG,
                )
            else:
                frame = frame.reformat(format=pixels)
            frame.pts = times[index] if times else index * 125
            frame.time_base = Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def inside(clip: Frames) -> Frames:
    """Without the edges of the quarters, where chroma of half size mixes them."""
    height, width = clip.shape[1:3]
    rows = [r for r in range(4, height - 4) if abs(r - height // 2) > 4]
    columns = [c for c in range(4, width - 4) if abs(c - width // 2) > 4]
    return clip[:, rows][:, :, columns]


FORMATS: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "8 bits": ("a.mp4", "libx264", "yuv420p", {}),
    "10 bits": ("a.mp4", "libx264", "yuv420p10le", {}),
    "HEVC": ("a.mp4", "libx265", "yuv420p", {}),
    "HEVC of 10 bits": ("a.mp4", "libx265", "yuv420p10le", {}),
    "AV1": ("a.mp4", "libsvtav1", "yuv420p", {}),
    "ProRes": ("a.mov", "prores_ks", "yuv422p10le", {}),
    "VP9 with alpha": ("a.webm", "libvpx-vp9", "yuva420p", {}),
    "alpha of 8 bits": ("a.mov", "qtrle", "argb", {}),
    "full range": ("a.mp4", "libx264", "yuv420p", {"span": ColorRange.JPEG}),
    "bt709": ("a.mp4", "libx264", "yuv420p", {"space": Colorspace.ITU709}),
    "bt709 in full range": (
        "a.mp4",
        "libx264",
        "yuv444p",
        {"space": Colorspace.ITU709, "span": ColorRange.JPEG},
    ),
}


@pytest.mark.parametrize("kind", FORMATS)
def test_colours_are_right_in_both_readings(tmp_path: Path, kind: str) -> None:
    name, codec, pixels, more = FORMATS[kind]
    clip = colours(height=128, width=128)
    write_as(tmp_path / name, clip, codec, pixels, **more)
    found = decode(tmp_path / name)
    assert found.frames.shape == clip.shape
    assert found.fps == pytest.approx(8)
    difference = inside(found.frames).astype(int) - inside(clip)
    assert np.abs(difference).mean() < 3
    assert np.abs(difference).max() < 24
    scaled = decode_scaled(tmp_path / name, [0, 1, 2], 64, 64)
    difference = inside(scaled).astype(int) - inside(clip[:, ::2, ::2])
    assert np.abs(difference).mean() < 3


@pytest.mark.parametrize(("height", "width"), [(47, 63), (33, 64), (1, 1), (3, 200)])
def test_odd_sizes_keep_every_row_and_column(tmp_path: Path, height: int, width: int) -> None:
    clip = np.random.default_rng(0).integers(0, 256, (2, height, width, 3), np.uint8)
    write(tmp_path / "a.mkv", clip, codec="ffv1", pixels="bgr0")
    np.testing.assert_array_equal(decode(tmp_path / "a.mkv").frames, clip)


def test_uneven_times_give_each_frame_once(tmp_path: Path) -> None:
    clip, times = colours(4), (0, 40, 400, 1000)
    write_as(tmp_path / "a.mp4", clip, "libx264", "yuv420p", times=times)
    found = decode(tmp_path / "a.mp4")
    assert found.frames.shape == clip.shape
    assert np.abs(inside(found.frames).astype(int) - inside(clip)).mean() < 6
    # Four frames in about a second: an average, since no single rate is true.
    assert 2 < found.fps < 6


def test_a_transparent_gif_is_decoded(tmp_path: Path) -> None:
    from PIL import Image

    pictures = [Image.fromarray(image).convert("RGBA") for image in colours()]
    for picture in pictures:
        picture.putpixel((0, 0), (0, 0, 0, 0))
    pictures[0].save(
        tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=125, disposal=2
    )
    found = decode(tmp_path / "a.gif")
    assert found.frames.shape == (3, 48, 64, 3)
    assert np.abs(inside(found.frames).astype(int) - inside(colours())).mean() < 6


def test_a_clip_of_one_frame_is_a_clip(tmp_path: Path) -> None:
    encode(colours(1), 8, tmp_path / "a.mp4")
    assert decode(tmp_path / "a.mp4").frames.shape == (1, 48, 64, 3)
    assert probe(tmp_path / "a.mp4").frames == 1


def test_a_frame_that_the_decoder_made_up_is_refused(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    noise = random.integers(0, 8, (16, 192, 256, 3), np.uint8)
    write_as(tmp_path / "a.mp4", moving_square(16, 192, 256) // 2 + noise, "libx264", "yuv420p")
    data = bytearray((tmp_path / "a.mp4").read_bytes())
    for place in random.integers(len(data) // 4, len(data) * 3 // 4, 200):
        data[place] ^= 0xFF
    (tmp_path / "a.mp4").write_bytes(data)
    # All 16 frames come out, patched up from what was left of them.
    with pytest.raises(InputError, match="is damaged"):
        decode(tmp_path / "a.mp4")

"""Decoding: real clips in full, and every bad file told apart in one line."""

import contextlib
import os
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.video.builders import moving_square, write
from turbo_eval.core.errors import InputError
from turbo_eval.core.hashing import blake
from turbo_eval.video import clip_of, decode, encode, probe

# The recorded clips lie beside the checkout where they exist; frame counts as their list says.
_REAL = Path(__file__).parents[3] / "shared" / "fixtures" / "vbench" / "videos"
_SHAPES = {
    **{f"clip_0{i}": (16, 320, 512, 8.0) for i in range(1, 7)},
    "clip_07": (16, 320, 512, 10.0),
    "clip_08": (32, 256, 340, 30.0),
    "clip_09": (17, 240, 426, 30.0),
    "clip_10": (8, 1080, 1920, 15.0),
    "clip_g1": (2, 128, 512, 8.0),
    "clip_g2": (3, 128, 512, 8.0),
}


def test_real_clips_decode_in_full() -> None:
    found = sorted(_REAL.glob("*.mp4")) if _REAL.is_dir() else []
    for path in found:
        clip, info = decode(path), probe(path)
        assert (*clip.frames.shape[:3], clip.fps) == _SHAPES[path.stem]
        assert (info.frames, info.height, info.width, info.fps) == _SHAPES[path.stem]
        assert clip.content_hash == blake(path.read_bytes())
    assert {path.stem for path in found} in (set(), set(_SHAPES))


def _refused(path: Path) -> str:
    for read in (decode, probe):
        with pytest.raises(InputError) as caught:
            read(path)
        assert caught.value.fix
    return str(caught.value)


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    assert "there is no video" in _refused(tmp_path / "missing.mp4")
    assert "is a folder" in _refused(tmp_path)
    (tmp_path / "empty.mp4").touch()
    assert "is empty" in _refused(tmp_path / "empty.mp4")
    os.mkfifo(tmp_path / "pipe.mp4")
    assert "not a regular file" in _refused(tmp_path / "pipe.mp4")
    assert "cannot read" in _refused(Path("nul\0byte.mp4"))
    assert "cannot read" in _refused(tmp_path / ("x" * 400))
    # FFmpeg would show a text as terminal art, and open what a playlist names.
    for name in ("a.txt", "a.mp4"):
        (tmp_path / name).write_text("only words\n" * 50)
        assert "is no video" in _refused(tmp_path / name)
    encode(moving_square(), 8, tmp_path / "real.mp4")
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile real.mp4\n")
    assert "is no video" in _refused(tmp_path / "list.mp4")
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXTINF:1,\nreal.mp4\n")
    assert "is no video" in _refused(tmp_path / "list.m3u8")


def test_unreadable_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encode(moving_square(), 8, tmp_path / "a.mp4")

    def deny(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", deny)
    assert "Permission denied" in _refused(tmp_path / "a.mp4")


def test_sound_without_pictures_is_refused(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
        )
        frame.sample_rate, frame.pts = 8000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert "no picture track" in _refused(tmp_path / "a.mp4")


@settings(max_examples=15)
@given(share=st.floats(0.0, 0.97))
def test_cut_off_file_is_never_taken_for_whole(
    tmp_path_factory: pytest.TempPathFactory, share: float
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    random = np.random.default_rng(0).integers(0, 255, (6, 64, 64, 3), dtype=np.uint8)
    for options in ({}, {"movflags": "+faststart"}):
        write(folder / "a.mp4", random, options=options)
        data = (folder / "a.mp4").read_bytes()
        (folder / "a.mp4").write_bytes(data[: int(len(data) * share)])
        with pytest.raises(InputError):
            decode(folder / "a.mp4")


def test_fewer_frames_than_declared_is_truncated(tmp_path: Path) -> None:
    random = np.random.default_rng(0).integers(0, 255, (8, 64, 64, 3), dtype=np.uint8)
    frames_alone = {"x264-params": "keyint=1"}
    with av.open(str(tmp_path / "a.mp4"), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=8, options=frames_alone)
        stream.width = stream.height = 64
        sizes = []
        for index, image in enumerate(random):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = index
            for packet in stream.encode(frame):
                sizes.append(packet.size)
                container.mux(packet)
        for packet in stream.encode(None):
            sizes.append(packet.size)
            container.mux(packet)
    data = (tmp_path / "a.mp4").read_bytes()
    # Exactly the last frame is cut off.
    (tmp_path / "a.mp4").write_bytes(data[: len(data) - sizes[-1]])
    with pytest.raises(InputError, match="truncated: it declares 8 frames and 7 can be decoded"):
        decode(tmp_path / "a.mp4")


@settings(max_examples=15)
@given(data=st.data())
def test_damaged_bytes_give_nothing_worse_than_an_input_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("damage")
    encode(moving_square(4), 8, folder / "a.mp4")
    raw = bytearray((folder / "a.mp4").read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(raw) - 1), min_size=1, max_size=6)):
        raw[place] ^= data.draw(st.integers(1, 255))
    (folder / "a.mp4").write_bytes(bytes(raw))
    with contextlib.suppress(InputError):
        assert decode(folder / "a.mp4", max_bytes=1 << 24).frames.dtype == np.uint8


@pytest.mark.parametrize(("degrees", "turns"), [(90, 1), (-90, 3), (180, 2)])
def test_rotation_is_applied_counter_clockwise(tmp_path: Path, degrees: int, turns: int) -> None:
    frames = moving_square()
    write(tmp_path / "flat.mp4", frames)
    write(tmp_path / "turned.mp4", frames, rotation=degrees)
    flat, turned = decode(tmp_path / "flat.mp4").frames, decode(tmp_path / "turned.mp4").frames
    np.testing.assert_array_equal(turned, np.rot90(flat, turns, axes=(1, 2)))
    assert turned.flags.c_contiguous
    info = probe(tmp_path / "turned.mp4")
    assert (info.height, info.width) == turned.shape[1:3]


def test_gif_and_transparent_png_decode_to_rgb(tmp_path: Path) -> None:
    write(tmp_path / "a.gif", moving_square(4), codec="gif", pixels="rgb8")
    clip = decode(tmp_path / "a.gif")
    assert clip.frames.shape == (4, 48, 64, 3)
    assert clip.fps == pytest.approx(8, rel=0.1)
    assert probe(tmp_path / "a.gif").frames == 4
    image = np.full((1, 6, 6, 4), (10, 20, 30, 128), np.uint8)
    write(tmp_path / "a.png", image, codec="png", pixels="rgba", given="rgba")
    np.testing.assert_array_equal(decode(tmp_path / "a.png").frames, image[..., :3])


@pytest.mark.parametrize("name", ["a.mkv", "a.avi", "a.webm", "a.MOV"])
def test_other_containers_decode(tmp_path: Path, name: str) -> None:
    codec = "libvpx-vp9" if name.endswith("webm") else "libx264"
    write(tmp_path / name, moving_square(6), codec=codec)
    assert decode(tmp_path / name).frames.shape == (6, 48, 64, 3)
    assert probe(tmp_path / name).frames == 6


def test_name_plays_no_part(tmp_path: Path) -> None:
    encode(moving_square(), 8, tmp_path / "a.mp4")
    names = ["concat:a.mp4", "http:%d%03d", "a 'b' \"c\".txt", "-i", "\U0001f600\n.mp4"]
    for name in names:
        (tmp_path / name).write_bytes((tmp_path / "a.mp4").read_bytes())
        assert decode(tmp_path / name).content_hash == decode(tmp_path / "a.mp4").content_hash


def test_video_larger_than_the_limit_is_refused(tmp_path: Path) -> None:
    for name in ("a.mp4", "a.mkv"):
        write(tmp_path / name, moving_square(20))
        size = 20 * 48 * 64 * 3
        assert decode(tmp_path / name, max_bytes=size).frames.nbytes == size
        with pytest.raises(InputError, match="too large"):
            decode(tmp_path / name, max_bytes=size - 1)


def test_clip_in_memory_is_keyed_by_shape_and_bytes() -> None:
    frames = moving_square()
    clip = clip_of(frames, 8)
    assert clip.content_hash == clip_of(frames.copy(), 30).content_hash
    assert clip.content_hash != clip_of(frames[::-1], 8).content_hash
    assert clip.content_hash != clip_of(frames.reshape(8, 64, 48, 3), 8).content_hash
    with pytest.raises(InputError, match="frame rate"):
        clip_of(frames, -1)

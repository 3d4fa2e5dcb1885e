"""The mini world as training data: clips that repeat, captions that do not, one encoding."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from turbo_eval.core.errors import ConfigError
from turbo_train.data import DataSettings, open_source
from turbo_train.data.batch import Source
from turbo_train.world.stream import item

POOL, STREAM = 6, 41
SETTINGS = DataSettings(pool=POOL, stream=STREAM)


class Encoder:
    """Averages 8 x 8 pixels; counts what it was given."""

    def __init__(self, gain: float = 1.0, noise: float = 0.0) -> None:
        self.gain, self.noise, self.clips = gain, noise, 0

    def __call__(self, pixels: Tensor) -> Tensor:
        assert pixels.dtype == torch.uint8
        self.clips += len(pixels)
        frames = pixels.float().permute(0, 4, 1, 2, 3) / 127.5 - 1
        small: Tensor = torch.nn.functional.avg_pool3d(frames, (1, 8, 8)) * self.gain
        return small + self.noise * torch.randn(small.shape)


def _open(
    folder: Path,
    encode: Callable[[Tensor], Tensor] | None,
    *,
    told: DataSettings = SETTINGS,
    seed: int = 0,
    frames: int = 8,
    side: int = 64,
) -> Source:
    return open_source(
        told,
        frames=frames,
        height=side,
        width=side,
        fps=8.0,
        seed=seed,
        folder=folder,
        encode=encode,
    )


def test_latents_are_the_encoded_clips(tmp_path: Path) -> None:
    batch = _open(tmp_path, Encoder()).batch(3, 4)
    assert batch.pixels is None
    assert batch.latents is not None
    assert batch.latents.shape == (4, 3, 8, 8, 8)
    assert batch.latents.dtype == torch.float32
    for key, latents in zip(batch.keys, batch.latents, strict=True):
        stream, index = key.removeprefix("mini/").split("/")
        clip = torch.from_numpy(item(int(stream), int(index)).clip())
        assert int(stream) == STREAM
        assert torch.equal(latents, Encoder()(clip[None])[0].half().float())


def test_without_an_encoder_clips_are_pixels(tmp_path: Path) -> None:
    batch = _open(tmp_path, None).batch(0, 2)
    assert batch.latents is None
    assert batch.pixels is not None
    index = int(batch.keys[0].rpartition("/")[2])
    np.testing.assert_array_equal(batch.pixels[0].numpy(), item(STREAM, index).clip())
    assert list(tmp_path.iterdir()) == []


def test_captions_are_new_in_every_batch_and_true(tmp_path: Path) -> None:
    source = _open(tmp_path, None, told=DataSettings(pool=1, stream=STREAM))
    captions = {source.batch(number, 1).captions[0] for number in range(30)}
    assert len(captions) > 15
    scene = item(STREAM, 0).scene
    shapes = {word for text in captions for word in text.lower().replace(",", "").split()}
    assert scene.sprites[0].shape in shapes


@settings(max_examples=20)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 3)), min_size=1, max_size=4))
def test_a_restart_gives_the_same_batches_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, asked: list[tuple[int, int]]
) -> None:
    folder = tmp_path_factory.getbasetemp() / "mini-latents"
    straight = _open(folder, Encoder())
    wanted = {key: straight.batch(*key) for key in sorted(asked)}
    again = _open(folder, Encoder())
    for key in asked:
        batch = again.batch(*key)
        assert (batch.keys, batch.captions) == (wanted[key].keys, wanted[key].captions)
        assert batch.latents is not None
        assert torch.equal(batch.latents, wanted[key].latents)  # type: ignore[arg-type]


def test_latents_are_encoded_once_per_encoder(tmp_path: Path) -> None:
    first, second = Encoder(), Encoder()
    _open(tmp_path, first)
    # One clip more, to know the encoder by.
    assert first.clips == POOL + 1
    _open(tmp_path, second)
    assert second.clips == 1
    # Another device rounds differently; another encoder is told apart.
    same, other = Encoder(noise=1e-3), Encoder(gain=1.1)
    _open(tmp_path, same)
    _open(tmp_path, other)
    assert (same.clips, other.clips) == (1, POOL + 1)
    _open(tmp_path, Encoder(), told=DataSettings(pool=POOL, stream=STREAM + 1))
    names = sorted(path.name.rpartition("-")[0] for path in tmp_path.iterdir())
    assert names == [f"latents-{STREAM}-{POOL}"] * 2 + [f"latents-{STREAM + 1}-{POOL}"]


@pytest.mark.parametrize("left", [b"", b"\x93NUMPY no array", None])
def test_a_damaged_cache_is_made_anew(tmp_path: Path, left: bytes | None) -> None:
    wanted = _open(tmp_path, Encoder()).batch(0, POOL)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-100] if left is None else left)
    encoder = Encoder()
    batch = _open(tmp_path, encoder).batch(0, POOL)
    assert encoder.clips == POOL + 1
    assert torch.equal(batch.latents, wanted.latents)  # type: ignore[arg-type]


@pytest.mark.parametrize(("frames", "side"), [(16, 64), (8, 128)])
def test_another_size_is_refused(tmp_path: Path, frames: int, side: int) -> None:
    with pytest.raises(ConfigError, match="8 frames of 64 x 64"):
        _open(tmp_path, None, frames=frames, side=side)


def test_description(tmp_path: Path) -> None:
    assert _open(tmp_path, None, seed=7).describe() == {
        "kind": "mini",
        "path": [],
        "stream": STREAM,
        "samples": POOL,
        "seed": 7,
    }

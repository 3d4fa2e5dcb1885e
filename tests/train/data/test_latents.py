"""Latents written beforehand and read again."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.train.data.builders import FRAMES, opened, video
from turbo_eval.core.errors import InputError
from turbo_train.data import DataSettings
from turbo_train.data.latents import cache_latents


def _encode(pixels: Tensor) -> Tensor:
    """Mean colour of each quarter of a frame: [B, 3, F, 2, 2]."""
    frames = pixels.float().permute(0, 4, 1, 2, 3)
    small: Tensor = torch.nn.functional.adaptive_avg_pool3d(frames, (frames.shape[2], 2, 2))
    return small / 255


def _settings(folder: Path) -> DataSettings:
    return DataSettings(kind="latents", path=[str(folder)])


def _write(folder: Path, name: str, latents: Tensor, key: str = "latents") -> None:
    folder.mkdir(exist_ok=True)
    save_file({key: latents}, folder / name)


def _table(folder: Path, rows: list[dict[str, object]]) -> None:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "captions.jsonl").write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> DataSettings:
    folder = tmp_path_factory.mktemp("clips")
    for name in "abc":
        video(folder / f"{name}.mp4", shade=40 + 50 * "abc".index(name))
        (folder / f"{name}.txt").write_text(f"clip ä {name}", encoding="utf-8")
    return DataSettings(kind="folder", path=[str(folder)])


def test_what_is_written_is_read(clips: DataSettings, tmp_path: Path) -> None:
    source = opened(clips, tmp_path)
    # Not a multiple of what is encoded at once.
    assert cache_latents(source, _encode, tmp_path / "l", 6) == 6
    wanted: dict[str, tuple[str, Tensor]] = {}
    for number in range(2):
        batch = source.batch(number, 4)
        assert batch.pixels is not None
        for caption, one in zip(batch.captions, _encode(batch.pixels), strict=True):
            wanted[f"{len(wanted):08d}.safetensors"] = (caption, one)
    cached = opened(_settings(tmp_path / "l"), tmp_path)
    batch = cached.batch(0, 6)
    assert cached.describe()["shape"] == [3, FRAMES, 2, 2]
    assert batch.latents is not None
    assert batch.latents.dtype == torch.float32
    assert sorted(batch.keys) == sorted(wanted)[:6]
    for key, caption, latents in zip(batch.keys, batch.captions, batch.latents, strict=True):
        assert caption == wanted[key][0]
        # Stored as float16.
        assert torch.equal(latents, wanted[key][1].half().float())


def test_writing_goes_on_after_a_stop(clips: DataSettings, tmp_path: Path) -> None:
    folder, calls = tmp_path / "l", 0

    def stops(pixels: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return _encode(pixels)

    with pytest.raises(KeyboardInterrupt):
        cache_latents(opened(clips, tmp_path), stops, folder, 8)
    assert len(list(folder.glob("*.safetensors"))) == 4
    assert not (folder / "captions.jsonl").exists()
    assert cache_latents(opened(clips, tmp_path), _encode, folder, 8) == 4
    cache_latents(opened(clips, tmp_path), _encode, tmp_path / "straight", 8)
    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / "straight" / path.name).read_bytes()
    assert cache_latents(opened(clips, tmp_path), _encode, folder, 8) == 0


def test_another_source_is_refused(clips: DataSettings, tmp_path: Path) -> None:
    cache_latents(opened(clips, tmp_path), _encode, tmp_path / "l", 1)
    with pytest.raises(InputError, match="another source: seed differ"):
        cache_latents(opened(clips, tmp_path, seed=4), _encode, tmp_path / "l", 1)
    (tmp_path / "l" / "latents.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="is damaged"):
        cache_latents(opened(clips, tmp_path), _encode, tmp_path / "l", 1)


def test_every_kind_of_broken_latents_is_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / "l"
    good = torch.ones(3, FRAMES, 2, 2)
    _write(folder, "good", good)
    _write(folder, "half", good.half())
    _write(folder, "name", good, key="latent")
    _write(folder, "nan", good * float("nan"))
    _write(folder, "frames", torch.ones(3, FRAMES + 1, 2, 2))
    _write(folder, "shape", torch.ones(3, FRAMES, 2, 3))
    _write(folder, "image", torch.ones(3, 2, 2))
    _write(folder, "whole", good.int())
    (folder / "cut").write_bytes((folder / "good").read_bytes()[:-9])
    (folder / "inner").mkdir()
    names = ["good", "half", "name", "nan", "frames", "shape", "image", "whole", "cut", "inner"]
    rows: list[dict[str, object]] = [{"path": name, "caption": name} for name in names]
    rows += [{"path": "good"}, {"caption": "x"}, {"path": "../l/good", "caption": "x"}]
    _table(folder, rows)
    source = opened(_settings(folder), tmp_path)
    seen = {c for number in range(10) for c in source.batch(number, 1).captions}
    source.batch(0, len(rows))
    assert seen == {"good", "half"}
    assert source.skipped == {
        "has no tensor 'latents'": 1,
        "has latents that are not finite": 1,
        f"has not {FRAMES} frames": 1,
        "has latents of another shape": 1,
        "has no latents [C, F, h, w]": 1,
        "has latents that are no floating-point numbers": 1,
        "is no safetensors file": 1,
        "there is no file": 1,
        "has no caption": 1,
        "has no path": 1,
        "has a path that leads out of its folder": 1,
    }


def test_folders_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no folder"):
        opened(_settings(tmp_path / "gone"), tmp_path)
    with pytest.raises(InputError, match=r"cannot read .*captions\.jsonl"):
        opened(_settings(tmp_path), tmp_path)
    _write(tmp_path, "a", torch.ones(3, 9, 2, 2))
    _table(tmp_path, [{"path": "a", "caption": "x"}])
    with pytest.raises(InputError) as caught:
        opened(_settings(tmp_path), tmp_path).batch(0, 1)
    assert caught.value.why == f"a has not {FRAMES} frames (9)"

"""Shards as training data: any sample at any time, from here or from a server."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.train.data.builders import FRAMES, HEIGHT, WIDTH, Server, opened, shard, video_bytes
from turbo_eval.core.errors import InputError
from turbo_train.data import DataSettings
from turbo_train.data.shards import CUT


def _settings(*paths: object) -> DataSettings:
    return DataSettings(kind="webdataset", path=[str(path) for path in paths])


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two shards of three good clips each."""
    folder = tmp_path_factory.mktemp("shards")
    for number in range(2):
        members = []
        for k in range(3):
            shade = 40 + 60 * number + 20 * k
            members.append((f"{k:05d}.mp4", video_bytes(folder, shade=shade, length=6 + k)))
            members.append((f"{k:05d}.txt", f"shade {shade}".encode()))
        shard(folder / f"s-{number:03d}.tar", members)
    return folder


def test_all_samples_of_all_shards(shards: Path, tmp_path: Path) -> None:
    source = opened(_settings(shards / "s-{000..001}.tar"), tmp_path)
    batch = source.batch(0, 6)
    assert sorted(batch.keys) == [f"s-00{s}.tar/0000{k}" for s in (0, 1) for k in (0, 1, 2)]
    assert batch.pixels is not None
    assert batch.pixels.shape == (6, FRAMES, HEIGHT, WIDTH, 3)
    for caption, pixels in zip(batch.captions, batch.pixels.float(), strict=True):
        above = float(pixels[0].mean()) - int(caption.removeprefix("shade "))
        # Starts 0 to 3, five brighter each.
        assert -2 < above < 18
    described = source.describe()
    assert (described["shards"], described["samples"]) == (2, 6)
    json.dumps(described)
    assert opened(_settings(shards), tmp_path).describe()["key"] == described["key"]


@settings(max_examples=12)
@given(st.lists(st.integers(0, 15), min_size=1, max_size=4))
def test_a_restart_gives_the_same_batches_in_any_order(shards: Path, numbers: list[int]) -> None:
    straight = opened(_settings(shards), shards / "cache")
    wanted = {number: straight.batch(number, 2) for number in sorted(numbers)}
    again = opened(_settings(shards), shards / "cache")
    for number in numbers:
        batch = again.batch(number, 2)
        assert (batch.keys, batch.captions) == (wanted[number].keys, wanted[number].captions)
        before = wanted[number].pixels
        assert batch.pixels is not None
        assert before is not None
        assert torch.equal(batch.pixels, before)


def test_remote_shards_are_those_of_the_disk(shards: Path, server: Server, tmp_path: Path) -> None:
    for path in shards.glob("*.tar"):
        server.files[f"/web/{path.name}"] = path.read_bytes()
    server.files["/web/all.txt"] = b"s-{000..001}.tar\n"
    server.cuts = [10**6, 1500]
    here = opened(_settings(shards), tmp_path / "here").batch(2, 4)
    for paths in ([f"{server.url}/web/s-{{000..001}}.tar"], [f"{server.url}/web/all.txt"]):
        there = opened(_settings(*paths), tmp_path / "there").batch(2, 4)
        assert (there.keys, there.captions) == (here.keys, here.captions)
        assert there.pixels is not None
        assert here.pixels is not None
        assert torch.equal(there.pixels, here.pixels)
    names = [path for path, _ in server.asked]
    assert names == ["/web/s-000.tar", "/web/s-001.tar", "/web/s-001.tar", "/web/all.txt"]


def test_broken_samples_are_passed_over_and_counted(tmp_path: Path) -> None:
    whole = video_bytes(tmp_path)
    path = shard(
        tmp_path / "data" / "s.tar",
        [
            *[("good.mp4", whole), ("good.txt", b"good")],
            *[("nocaption.mp4", whole), ("novideo.txt", b"x")],
            *[("blank.mp4", whole), ("blank.txt", b" \n")],
            *[("latin.mp4", whole), ("latin.txt", "schön".encode("latin-1"))],
            *[("words.mp4", b"words only"), ("words.txt", b"x")],
            *[("short.mp4", video_bytes(tmp_path, length=3)), ("short.txt", b"x")],
            *[("last.mp4", whole), ("last.txt", b"x")],
        ],
    )
    raw = path.read_bytes()
    path.write_bytes(raw[: raw.index(b"last.mp4") + 700])
    source = opened(_settings(path), tmp_path)
    for number in range(9):
        assert source.batch(number, 1).captions == ("good",)
    assert source.skipped == {
        "has no caption": 2,
        "has no video": 1,
        "has a caption that is not UTF-8": 1,
        "is no video": 1,
        "is too short": 1,
        CUT: 1,
    }


def test_no_sample_and_none_readable(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no sample in"):
        opened(_settings(shard(tmp_path / "e.tar", [])), tmp_path)
    path = shard(tmp_path / "s.tar", [("a.mp4", b"x"), ("a.txt", b"x")])
    with pytest.raises(InputError) as caught:
        opened(_settings(path), tmp_path).batch(0, 1)
    assert str(path) in caught.value.what
    assert caught.value.why.startswith("s.tar/a is no video")


def test_a_shard_that_changes_while_it_is_used(tmp_path: Path) -> None:
    path = shard(tmp_path / "s.tar", [("a.mp4", video_bytes(tmp_path)), ("a.txt", b"x")])
    source = opened(_settings(path), tmp_path)
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(InputError, match="was changed while it was used"):
        source.batch(0, 1)

"""Folders of videos: captions in tables or beside them, and every way to be broken."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.train.data.builders import FPS, FRAMES, HEIGHT, WIDTH, opened, video
from turbo_eval.core.errors import InputError
from turbo_train.data import DataSettings
from turbo_train.data.batch import Source
from turbo_train.data.folder import FolderSamples


def _settings(*folders: Path, **facts: str) -> DataSettings:
    return DataSettings.model_validate(
        {"kind": "folder", "path": [str(folder) for folder in folders], **facts}
    )


def _samples(settings: DataSettings) -> FolderSamples:
    return FolderSamples(settings, frames=FRAMES, height=HEIGHT, width=WIDTH, fps=FPS)


def _captions(source: Source, batches: int = 3, size: int = 4) -> set[str]:
    return {c for number in range(batches) for c in source.batch(number, size).captions}


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three good videos of different shade and length, with captions beside them."""
    folder = tmp_path_factory.mktemp("clips")
    for name, shade, length in (("a", 40, 12), ("b/c", 90, 9), ("d", 140, 4)):
        path = folder / f"{name}.mp4"
        video(path, shade=shade, length=length)
        path.with_suffix(".txt").write_text(f" shade {shade}\n", encoding="utf-8")
    return folder


def test_side_files(clips: Path, tmp_path: Path) -> None:
    source = opened(_settings(clips), tmp_path)
    batch = source.batch(0, 3)
    assert sorted(batch.keys) == ["a.mp4", "b/c.mp4", "d.mp4"]
    assert batch.latents is None
    assert batch.pixels is not None
    assert batch.pixels.shape == (3, FRAMES, HEIGHT, WIDTH, 3)
    # The caption tells the shade of the first frame; later starts are brighter.
    for caption, pixels in zip(batch.captions, batch.pixels.float(), strict=True):
        shade = int(caption.removeprefix("shade "))
        steps = (float(pixels[0].mean()) - shade) / 5
        assert abs(steps - round(steps)) < 0.5
        assert -0.5 < steps < 8
    described = source.describe()
    assert (described["kind"], described["samples"]) == ("folder", 3)
    json.dumps(described)


@settings(max_examples=12)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=4))
def test_a_restart_gives_the_same_batches_in_any_order(clips: Path, numbers: list[int]) -> None:
    straight = opened(_settings(clips), clips)
    wanted = {number: straight.batch(number, 2) for number in sorted(numbers)}
    again = opened(_settings(clips), clips)
    for number in numbers:
        batch = again.batch(number, 2)
        assert batch.keys == wanted[number].keys
        before = wanted[number].pixels
        assert batch.pixels is not None
        assert before is not None
        assert torch.equal(batch.pixels, before)


def test_starts_change_with_the_batch(clips: Path, tmp_path: Path) -> None:
    source = opened(_settings(clips), tmp_path)
    means = set()
    for number in range(12):
        batch = source.batch(number, 3)
        assert batch.pixels is not None
        clip = batch.pixels[batch.keys.index("a.mp4")]
        means.add(round(float(clip.float().mean())))
    assert len(means) > 2


@pytest.mark.parametrize("name", ["captions.csv", "captions.jsonl", "other.csv"])
@pytest.mark.parametrize(("place", "text"), [("path", "text"), ("relpath", "caption")])
def test_tables(clips: Path, tmp_path: Path, name: str, place: str, text: str) -> None:
    (tmp_path / "b").mkdir()
    for video_name in ("a.mp4", "b/c.mp4"):
        (tmp_path / video_name).symlink_to(clips / video_name)
    rows = [("a.mp4", 'first, with "quotes"'), ("./b/c.mp4", "zweitens ä\nnext line")]
    if name.endswith("csv"):
        quoted = [f'{p},"{t.replace(chr(34), chr(34) * 2)}",9' for p, t in rows]
        table = "\n".join([f"{place},{text},more", *quoted])
    else:
        table = "\n\n".join(json.dumps({place: p, text: t, "more": 9}) for p, t in rows)
    # Spreadsheets begin their UTF-8 with a mark.
    (tmp_path / name).write_text(table, encoding="utf-8-sig")
    facts = {"captions": name} if name == "other.csv" else {}
    source = opened(_settings(tmp_path, **facts), tmp_path)
    assert _captions(source) == {rows[0][1], rows[1][1]}
    assert sorted(source.batch(0, 2).keys) == ["a.mp4", "b/c.mp4"]
    assert source.skipped == {}


def test_several_folders_and_one_table(clips: Path, tmp_path: Path) -> None:
    video(tmp_path / "e.mp4")
    table = tmp_path / "all.jsonl"
    rows = [{"path": "e.mp4", "text": "new"}, {"path": "d.mp4", "text": "old"}]
    table.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    source = opened(_settings(clips, tmp_path, captions=str(table)), tmp_path)
    assert _captions(source) == {"new", "old"}
    (tmp_path / "e.txt").write_text("beside", encoding="utf-8")
    both = opened(_settings(clips, tmp_path), tmp_path)
    assert f"{tmp_path.name}/e.mp4" in both.batch(0, 4).keys


@pytest.fixture(scope="session")
def broken(tmp_path_factory: pytest.TempPathFactory, clips: Path) -> Path:
    """One good video among one of every kind of broken ones."""
    folder = tmp_path_factory.mktemp("broken")
    whole = (clips / "a.mp4").read_bytes()
    files = {
        "good": whole,
        "empty": b"",
        "text": b"this is no video at all, only words" * 40,
        "cut": whole[: len(whole) * 2 // 3],
        "silent": whole,
        "blank": whole,
        "latin": whole,
    }
    for name, data in files.items():
        (folder / f"{name}.mp4").write_bytes(data)
        if name != "silent":
            (folder / f"{name}.txt").write_text(f"caption of {name}", encoding="utf-8")
    (folder / "blank.txt").write_text(" \n", encoding="utf-8")
    (folder / "latin.txt").write_bytes("schön".encode("latin-1"))
    for name, length, fps in (("short", 3, 8.0), ("slow", 12, 5.0), ("short2", 7, 16.0)):
        video(folder / f"{name}.mp4", length=length, fps=fps)
        (folder / f"{name}.txt").write_text(name, encoding="utf-8")
    (folder / ".hidden.mp4").write_bytes(b"")
    (folder / "notes.md").write_text("no video", encoding="utf-8")
    return folder


def test_every_kind_of_broken_video_is_passed_over_and_counted(
    broken: Path, tmp_path: Path
) -> None:
    source = opened(_settings(broken), tmp_path)
    assert source.describe()["samples"] == 10
    for number in range(10):
        assert source.batch(number, 1).captions == ("caption of good",)
    counts = dict(source.skipped)
    # Which word the decoder has for half a file depends on where it was cut.
    cut = counts.keys() & {"is truncated", "is damaged"}
    assert counts == {
        "is no video": 2 + ("is no video" not in cut and not cut),
        **dict.fromkeys(cut, 1),
        "has no caption": 2,
        "has a caption that is not UTF-8": 1,
        "is too short": 2,
        "is slower than 8 frames a second": 1,
    }


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_broken_rows_of_tables(clips: Path, tmp_path: Path, kind: str) -> None:
    (tmp_path / "a.mp4").symlink_to(clips / "a.mp4")
    (tmp_path / "secret.mp4").symlink_to(clips / "d.mp4")
    table = tmp_path / f"captions.{kind}"
    if kind == "csv":
        table.write_bytes(
            b"path,text\na.mp4,good\ngone.mp4,x\n../secret.mp4,x\n/etc/passwd,x\n"
            b"a.mp4\na.mp4,  \na.mp4,sch\xf6n\n,x\n"
        )
    else:
        table.write_bytes(
            b'{"path":"a.mp4","text":"good"}\n{"path":"gone.mp4","text":"x"}\n'
            b'{"path":"../secret.mp4","text":"x"}\n{"path":"/etc/passwd","text":"x"}\n'
            b'{"path":"a.mp4"}\n{"path":"a.mp4","text":null}\n'
            b'{"path":"a.mp4","text":"sch\xf6n"}\n{"text":"x"}\n'
            b'not json\n[1]\n{"path":"a\\u0000.mp4","text":"x"}\n{"path":"\\ud800","text":"x"}\n'
            b'{"path":"a.mp4","text":"\\ud800"}\n'
        )
    source = opened(_settings(tmp_path), tmp_path)
    for number in range(12):
        assert source.batch(number, 2).captions == ("good", "good")
    more = kind == "jsonl"
    assert source.skipped == {
        "there is no video": 1,
        "has a path that leads out of its folder": 2,
        "has no caption": 2,
        "has a caption that is not UTF-8": 1 + more,
        "has no path": 1,
        **({"is a line that is no JSON object": 2, "has an impossible path": 2} if more else {}),
    }


def test_nothing_readable_names_the_folder(tmp_path: Path) -> None:
    for name in ("x", "y"):
        (tmp_path / f"{name}.mp4").write_bytes(b"no video")
        (tmp_path / f"{name}.txt").write_text(name, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        opened(_settings(tmp_path), tmp_path).batch(0, 1)
    assert str(tmp_path) in caught.value.what
    assert ".mp4 is no video" in caught.value.why
    assert "and 1 more like it" in caught.value.why


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("captions.csv", b"path,captoin\na.mp4,x\n", "captions.csv has no column for captions"),
        ("captions.csv", b"path,captoin\na.mp4,x\n", "nearest: captoin"),
        ("captions.csv", b"pth,text\na.mp4,x\n", "nearest: pth"),
        ("captions.csv", b"zz,qq\n1,2\n", "it has zz, qq"),
        ("captions.csv", b"path,text\n", "has no rows"),
        ("captions.csv", b"", "has no rows"),
        ("captions.csv", b"\xff\xfep\0a\0", "is in UTF-16"),
        ("captions.csv", b"path,text\na," + b"x" * 200_000 + b"\n", "is damaged after line 1"),
        ("captions.jsonl", b"\n\n", "has no rows"),
        ("captions.jsonl", b"[1]\n", "no row has columns"),
        ("captions.jsonl", b'{"path":"a","captions":"x"}\n', "nearest: captions"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path: Path, name: str, text: bytes, told: str) -> None:
    (tmp_path / name).write_bytes(text)
    with pytest.raises(InputError) as caught:
        _samples(_settings(tmp_path))
    assert told in str(caught.value)


def test_missing_places(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no folder"):
        _samples(_settings(tmp_path / "gone"))
    with pytest.raises(InputError, match=r"cannot read .*gone\.csv"):
        _samples(_settings(tmp_path, captions="gone.csv"))
    with pytest.raises(InputError, match="is no table of captions"):
        _samples(_settings(tmp_path, captions="gone.xlsx"))
    with pytest.raises(InputError, match="no sample in"):
        opened(_settings(tmp_path), tmp_path)


@given(st.data())
def test_damaged_bytes_give_a_clip_or_a_reason(
    clips: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    raw = bytearray((clips / "d.mp4").read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    (folder / "d.mp4").write_bytes(raw)
    (folder / "d.txt").write_text("x", encoding="utf-8")
    source = opened(_settings(folder), folder)
    try:
        batch = source.batch(0, 1)
    except InputError:
        assert sum(source.skipped.values()) == 1
    else:
        assert source.skipped == {}
        assert batch.pixels is not None
        assert batch.pixels.shape == (1, FRAMES, HEIGHT, WIDTH, 3)
        assert np.isfinite(batch.pixels.float().numpy()).all()

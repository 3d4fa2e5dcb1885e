from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turbo_eval.core.errors import InputError
from turbo_eval.core.records import Prompt
from turbo_eval.models.folder import FolderVideos


def prompt(text: str, index: int = 0) -> Prompt:
    return Prompt(f"id-{text}", text, ("scene",), {}, "s", index)


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def test_names_missing_stray_and_surplus_are_told_apart(tmp_path: Path) -> None:
    touch(tmp_path, "a cat-0.mp4", "a cat-1.MOV", "a cat-7.mp4", "sub/A  Dog-0.gif", "x-0.webm")
    touch(tmp_path, "notes.txt", ".hidden.mp4")
    match = FolderVideos.open(f"folder:{tmp_path}").match([prompt("a cat"), prompt("a dog", 1)], 2)
    assert [(f.prompt.text, f.index) for f in match.found] == [
        ("a cat", 0),
        ("a cat", 1),
        ("a dog", 0),
    ]
    assert [(p.text, i) for p, i in match.missing] == [("a dog", 1)]
    assert [path.name for path in match.stray] == ["notes.txt", "x-0.webm"]
    assert [path.name for path in match.surplus] == ["a cat-7.mp4"]
    notes = " ".join(match.notes())
    assert all(word in notes for word in ("x-0.webm", "'a dog'", "a cat-7.mp4"))


def test_a_prompt_that_ends_in_a_number(tmp_path: Path) -> None:
    touch(tmp_path, "robot-3-0.mp4", "robot-1.mp4")
    match = FolderVideos.open(f"folder:{tmp_path}").match([prompt("robot-3"), prompt("robot")], 2)
    assert {(f.prompt.text, f.index) for f in match.found} == {("robot-3", 0), ("robot", 1)}


def test_list_with_and_without_index(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text('path,prompt,index\nb.mp4,a cat,\na.mp4,a cat,\nc.mp4,"a, b",0\n', "utf-8")
    match = FolderVideos.open(f"folder:{path}").match([prompt("a cat"), prompt("a, b")], 2)
    assert [(f.path.name, f.index) for f in match.found] == [
        ("b.mp4", 0),
        ("a.mp4", 1),
        ("c.mp4", 0),
    ]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("file,prompt\na,b\n", "column"),
        ("path,prompt,index\na,b,x\n", "index"),
        ("path,prompt\n,b\n", "incomplete"),
    ],
)
def test_bad_lists_are_named(tmp_path: Path, text: str, word: str) -> None:
    path = tmp_path / "list.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=word):
        FolderVideos.open(f"folder:{path}")


def test_missing_and_empty_folders(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        FolderVideos.open(f"folder:{tmp_path / 'no'}")
    with pytest.raises(InputError, match="no video"):
        FolderVideos.open(f"folder:{tmp_path}")


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=5, unique=True),
    st.integers(1, 3),
)
def test_every_file_and_every_wanted_video_is_accounted_for(texts: list[str], seeds: int) -> None:
    entries = tuple((Path(f"/{i}.mp4"), text, 0) for i, text in enumerate([*texts, texts[0], "?!"]))
    match = FolderVideos("folder:x", entries, True).match([prompt(text) for text in texts], seeds)
    assert len(match.found) + len(match.stray) + len(match.surplus) == len(entries)
    assert len(match.found) + len(match.missing) == len(texts) * seeds

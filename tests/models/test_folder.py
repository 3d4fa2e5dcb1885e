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


def test_an_exact_name_goes_before_one_that_is_merely_like_it(tmp_path: Path) -> None:
    touch(tmp_path, "A Cat-0.mp4", "a cat-0.mp4", "sub/a cat-0.mp4", "a cat-1.mov")
    match = FolderVideos.open(f"folder:{tmp_path}").match([prompt("a cat")], 2)
    assert [found.path.name for found in match.found] == ["a cat-0.mp4", "a cat-1.mov"]
    assert match.found[0].path.parent == tmp_path.resolve()
    extra = [(kept.name, other.parent.name, other.name) for kept, other in match.duplicates]
    assert extra == [
        ("a cat-0.mp4", "sub", "a cat-0.mp4"),
        ("a cat-0.mp4", tmp_path.name, "A Cat-0.mp4"),
    ]
    assert "A Cat-0.mp4 (taken: a cat-0.mp4)" in " ".join(match.notes())


def test_of_files_for_one_video_the_one_that_vbench_would_read_is_taken(tmp_path: Path) -> None:
    touch(tmp_path, "0/a cat-0.mp4", "a cat-0.mp4", "a cat-001.mp4", "a cat-1.mp4")
    touch(tmp_path, "a cat-2.gif", "a cat-2.mp4", "deep/er/a cat-3.mp4")
    match = FolderVideos.open(f"folder:{tmp_path}").match([prompt("a cat")], 3)
    taken = [str(found.path.relative_to(tmp_path)) for found in match.found]
    assert taken == ["a cat-0.mp4", "a cat-1.mp4", "a cat-2.mp4"]
    notes = " ".join(match.notes())
    assert f"0/a cat-0.mp4 (taken: {tmp_path.name}/a cat-0.mp4)" in notes
    assert "a cat-001.mp4 (taken: a cat-1.mp4)" in notes
    # One level of folders is looked into; what lies deeper is not passed over in silence.
    assert [path.name for path in match.stray] == ["er"]


def test_prompts_that_differ_in_capitals_keep_their_own_files(tmp_path: Path) -> None:
    both = [prompt("A fantasy landscape"), prompt("a fantasy landscape", 1)]
    touch(tmp_path, "A fantasy landscape-0.mp4")
    match = FolderVideos.open(f"folder:{tmp_path}").match(both, 1)
    assert [found.prompt.text for found in match.found] == ["A fantasy landscape"]
    assert [p.text for p, _ in match.missing] == ["a fantasy landscape"]
    assert any("overwrote" in note for note in match.notes())
    touch(tmp_path, "a fantasy landscape-0.mp4")
    match = FolderVideos.open(f"folder:{tmp_path}").match(both, 1)
    assert len(match.found) == 2
    assert match.notes() == []


def test_files_of_prompts_that_are_not_asked_for_are_no_strays(tmp_path: Path) -> None:
    touch(tmp_path, "a cat-0.mp4", "A  Dog-0.mp4", "a dog-1.mp4", "nobody-0.mp4", "a Cat-1.mp4")
    videos = FolderVideos.open(f"folder:{tmp_path}").beside(["a dog", "a Cat"])
    match = videos.match([prompt("a cat")], 2, fewer=True)
    assert [found.path.name for found in match.found] == ["a cat-0.mp4"]
    assert [path.name for path in match.stray] == ["nobody-0.mp4"]
    # "a Cat" is another prompt of the suite, though it looks like the one that is asked for.
    elsewhere = ["A  Dog-0.mp4", "a Cat-1.mp4", "a dog-1.mp4"]
    assert [path.name for path in match.elsewhere] == elsewhere
    assert any("3 files are of prompts of the suite" in note for note in match.notes())


def test_prompts_may_have_fewer_videos_where_that_is_allowed(tmp_path: Path) -> None:
    touch(tmp_path, "a cat-0.mp4", "a cat-3.mp4", "a dog-2.mp4")
    prompts = [prompt("a cat"), prompt("a dog", 1), prompt("a cow", 2)]
    match = FolderVideos.open(f"folder:{tmp_path}").match(prompts, 5, fewer=True)
    assert [(f.prompt.text, f.index) for f in match.found] == [
        ("a cat", 0),
        ("a cat", 3),
        ("a dog", 2),
    ]
    assert [(p.text, i) for p, i in match.missing] == [("a cow", 0)]
    assert match.uneven == ("a dog",)


def test_numbers_of_videos_by_prompt(tmp_path: Path) -> None:
    touch(tmp_path, *(f"a tree-{i}.mp4" for i in range(8)), *(f"a cat-{i}.mp4" for i in range(3)))
    prompts = [prompt("a tree"), prompt("a cat", 1)]
    match = FolderVideos.open(f"folder:{tmp_path}").match(
        prompts, {prompts[0].id: 25, prompts[1].id: 2}
    )
    assert [f.index for f in match.found] == [*range(8), 0, 1]
    assert len(match.missing) == 17
    assert [path.name for path in match.surplus] == ["a cat-2.mp4"]


def test_a_list_of_files_overrules_their_names(tmp_path: Path) -> None:
    touch(tmp_path, "one.mp4", "two.mp4", "sub/three.mp4", "a dog-0.mp4")
    folder = FolderVideos.open(f"folder:{tmp_path}").named(
        {"one.mp4": "a cat", "two.mp4": "a cat", "sub/three.mp4": "a robot-3"}
    )
    prompts = [prompt("a cat"), prompt("a robot-3", 1), prompt("a dog", 2)]
    match = folder.match(prompts, 9, fewer=True)
    assert [(f.prompt.text, f.index, f.path.name) for f in match.found] == [
        ("a cat", 0, "one.mp4"),
        ("a cat", 1, "two.mp4"),
        ("a robot-3", 0, "three.mp4"),
        ("a dog", 0, "a dog-0.mp4"),
    ]


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=5, unique=True),
    st.integers(1, 3),
)
def test_every_file_and_every_wanted_video_is_accounted_for(texts: list[str], seeds: int) -> None:
    entries = tuple((Path(f"/{i}.mp4"), text, 0) for i, text in enumerate([*texts, texts[0], "?!"]))
    match = FolderVideos("folder:x", entries, True).match([prompt(text) for text in texts], seeds)
    told = [*match.found, *match.stray, *match.surplus, *match.duplicates]
    assert len(told) == len(entries)
    assert len(match.found) + len(match.missing) == len(texts) * seeds

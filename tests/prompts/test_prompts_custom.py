"""Prompt files of one's own: every form, and every way to get one wrong."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turbo_eval.core.errors import InputError, UsageError
from turbo_eval.prompts import FREE_DIMENSIONS, load

Write = Callable[[str, Any], Path]

# Any text that may be a prompt: no control characters, no halves of surrogate pairs, not blank.
PROMPT = (
    st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=200)
    .map(lambda text: text.strip().removeprefix("\ufeff").strip())
    .filter(bool)
)


def texts(path: Path) -> list[str]:
    return [prompt.text for prompt in load(path).prompts]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("p.txt", "a cat\na dog\n"),
        ("p.txt", "\ufeffa cat\r\n  a dog  \r\n\r\n"),
        ("p.TXT", "a cat\ra dog"),
        ("p.csv", "prompt\na cat\na dog\n"),
        ("p.csv", "Text,note\na cat,x\na dog,\n\n"),
        ("p.json", ["a cat", "a dog"]),
        ("p.json", {"1.mp4": "a cat", "2.mp4": "a dog"}),
        ("p.json", [{"prompt_en": "a cat", "dimension": ["scene"]}, {"text": "a dog"}]),
        ("p.jsonl", '"a cat"\n{"prompt": "a dog"}\n'),
    ],
)
def test_reads_every_form(write: Write, name: str, content: Any) -> None:
    assert texts(write(name, content)) == ["a cat", "a dog"]


def test_name_and_path_mean_the_same_suite(write: Write) -> None:
    path = write("p.txt", "a cat\n")
    suite = load(f"custom:{path}")
    assert suite == load(str(path)) == load(path) == load("custom", file=path)
    assert (suite.name, suite.prompts[0].suite, suite.prompts[0].index) == ("custom", "custom", 0)


def test_ids_depend_on_text_alone_and_not_on_file_or_order(write: Write) -> None:
    one = {p.text: p.id for p in load(write("one.txt", "a cat\na dog\n")).prompts}
    other = {p.text: p.id for p in load(write("two.json", ["a dog", "a cat"])).prompts}
    assert one == other
    assert len(set(one.values())) == 2


def test_csv_carries_dimensions_and_facts(write: Write) -> None:
    rows = (
        "prompt,dimensions,auxiliary_info\n"
        '"a red, round ball",color; scene,"{""color"": {""color"": ""red""}}"\n'
        "a dog,,\n"
    )
    suite = load(write("p.csv", rows))
    assert suite.prompts[0].text == "a red, round ball"
    assert suite.prompts[0].dimensions == ("color", "scene")
    assert suite.prompts[0].auxiliary == {"color": {"color": "red"}}
    assert suite.prompts[1].dimensions == FREE_DIMENSIONS
    assert [note for note in suite.notes if "scene.scene.scene" in note and "p.csv, line 2" in note]


def test_a_prompt_without_dimensions_serves_those_whose_facts_it_brings(write: Write) -> None:
    row = {"prompt": "a red ball", "auxiliary_info": {"color": {"color": "red"}, "scene": {}}}
    (prompt,) = load(write("p.json", [row])).prompts
    assert set(prompt.dimensions) == {*FREE_DIMENSIONS, "color"}


def test_dimension_names_may_be_written_in_several_ways(write: Write) -> None:
    row = {"prompt": "x", "dimension": ["vbench.Temporal-Style", "dynamic degree"]}
    (prompt,) = load(write("p.json", [row])).prompts
    assert prompt.dimensions == ("dynamic_degree", "temporal_style")


def test_duplicates_are_joined_and_named(write: Write) -> None:
    rows = [
        {
            "prompt": "a red ball",
            "dimension": "color",
            "auxiliary_info": {"color": {"color": "red"}},
        },
        {"prompt": "A red ball", "dimension": "temporal_style"},
        {"prompt": " a red ball ", "dimension": ["dynamic_degree"]},
    ]
    suite = load(write("p.json", rows))
    assert [p.text for p in suite.prompts] == ["a red ball", "A red ball"]
    assert set(suite.prompts[0].dimensions) == {"color", "dynamic_degree"}
    assert suite.prompts[0].auxiliary == {"color": {"color": "red"}}
    assert "entry 3 repeats p.json, entry 1" in suite.notes[0]
    assert "differ in capitals only" in suite.notes[1]


def test_file_map_keeps_which_file_shows_which_prompt(write: Write) -> None:
    suite = load(write("p.json", {"a-0.mp4": "a cat", "a-1.mp4": "a cat", "b.mp4": "a dog"}))
    assert len(suite) == 2
    ids = [prompt.id for prompt in suite.prompts]
    assert suite.info["files"] == {"a-0.mp4": ids[0], "a-1.mp4": ids[0], "b.mp4": ids[1]}


@pytest.mark.parametrize(
    "text",
    [
        "../../etc/passwd",
        "/etc/shadow",
        "C:\\con.txt",
        "quotes \" and ' and `",
        "$(rm -rf ~); echo",
        "emoji \U0001f469\u200d\U0001f680 \u2764\ufe0f",
        "line one\nline two\r\nline three\tend",
        "separator \u2028 inside",
        "~root",
        "-rf",
        "custom:x",
        "%s {0} ${HOME}",
    ],
)
def test_odd_text_is_data(write: Write, text: str) -> None:
    suite = load(write("p.json", [text]))
    assert [prompt.text for prompt in suite.prompts] == [text]
    assert suite.prompts[0].id.isalnum()
    assert len(suite.prompts[0].id) == 16


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("p.txt", "", "it is empty"),
        ("p.txt", b"\xef\xbb\xbf", "it is empty"),
        ("p.txt", " \n\n", "it is empty"),
        ("p.json", [], "list is empty"),
        ("p.txt", "a\n\nb\n", "p.txt, line 2: the prompt is empty"),
        ("p.csv", "prompt\na\n\nb\n", "p.csv, line 3: the line is empty"),
        ("p.csv", 'prompt\n"a\nb"\n""\nc', "p.csv, line 4: the line is empty"),
        ("p.csv", "prompt,dimension\n,color\n", "p.csv, line 2: the prompt is empty"),
        ("p.jsonl", '"a"\n\n"b"', "p.jsonl, line 2: the line is empty"),
        ("p.json", ["a", "  "], "p.json, entry 2: the prompt is empty"),
        ("p.txt", b"a\nb\xff\n", "p.txt, line 2: byte 0xff is not UTF-8"),
        ("p.txt", "a cat".encode("utf-16"), "p.txt, line 1: byte 0xff is not UTF-8"),
        ("p.txt", "a\nb\0c\n", "p.txt, line 2: character 2 is the control character U+0000"),
        ("p.json", ["\x1b[31mred"], "control character U+001B"),
        ("p.json", b'["\\ud83d"]', "control character U+D83D"),
        ("p.json", b'[{"prompt": "a", "auxiliary_info": {"x": "\\ud83d"}}]', "surrogate"),
        ("p.txt", "a\n" + "x" * 10_000, "p.txt, line 2: the prompt has 10000 characters"),
        ("p.csv", "name\na\n", "no column is called prompt_en, prompt, text"),
        ("p.csv", "prompt,prompt\na,b\n", "two columns prompt"),
        ("p.csv", "prompt\na cat, asleep\n", "p.csv, line 2: 2 cells under a header of 1"),
        ("p.csv", 'prompt\n"a cat', "p.csv, line 2: not a CSV row"),
        ("p.csv", "prompt,text\na,b\n", "both prompt and text are given"),
        ("p.csv", "prompt,auxiliary_info\na,{x\n", "p.csv, line 2: not JSON"),
        ("p.json", '["a",\n"b"', "p.json, line 2, column 4: not JSON"),
        ("p.json", "[" * 100_000, "nested too deeply"),
        ("p.json", '[{"prompt": "a", "auxiliary_info": {"x": NaN}}]', "NaN is not JSON"),
        ("p.json", '{"a.mp4": "x", "a.mp4": "y"}', "the key a.mp4 stands twice"),
        ("p.json", '{"prompt": "x"}', "holds no list of prompts"),
        ("p.json", "null", "it holds nothing"),
        ("p.json", [3], "entry 1: the entry is a number, not a prompt"),
        ("p.json", [{"prompt": None}], "entry 1: the prompt is null, not text"),
        ("p.json", {"a.mp4": ["x"]}, "entry 1: the prompt is a list, not text"),
        ("p.json", [{"caption": "a"}], "entry 1: the entry has no key"),
        ("p.json", [{"prompt": "a", "auxiliary_info": "red"}], "auxiliary_info is text"),
        ("p.json", [{"prompt": "a", "dimension": 3}], "the dimension is a number"),
        ("p.json", [{"prompt": "a", "dimension": []}], "the dimension is an empty list"),
        ("p.json", [{"prompt": "a", "dimension": "colour"}], "did you mean color"),
        ("p.xlsx", "a", "ends in .xlsx"),
        ("prompts", "a", "has no suffix"),
    ],
)
def test_bad_files_get_one_clear_line(write: Write, name: str, content: Any, says: str) -> None:
    with pytest.raises(InputError) as caught:
        load(f"custom:{write(name, content)}")
    message = str(caught.value)
    assert says in message
    assert message.isprintable()
    assert ". Fix: " in message
    assert len(message) < 600


def test_contradicting_facts_are_refused(write: Write) -> None:
    rows = [
        {"prompt": "a ball", "auxiliary_info": {"color": {"color": color}}}
        for color in ("red", "blue")
    ]
    with pytest.raises(InputError, match=r"entry 2: .* entry 1 with other facts for color"):
        load(write("p.json", rows))


def test_missing_file_folder_and_nul_in_the_path(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such file"):
        load(tmp_path / "absent.txt")
    (tmp_path / "folder.txt").mkdir()
    with pytest.raises(InputError, match="holds no video to take prompts from"):
        load(tmp_path / "folder.txt")
    with pytest.raises(InputError, match="cannot read"):
        load("custom:a\0b.txt")


def test_long_prompts_can_be_allowed_and_are_noted(write: Write) -> None:
    path = write("p.txt", "a\n" + "x" * 10_000)
    suite = load(path, allow_long=True)
    assert len(suite.prompts[1].text) == 10_000
    assert "10000 (p.txt, line 2)" in suite.notes[0]
    assert len(load(write("q.txt", "x" * 2000)).prompts) == 1


def test_unused_columns_are_named(write: Write) -> None:
    assert load(write("p.csv", "prompt,author\na,me\n")).notes == (
        "columns or keys not used: author",
    )


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("vbnech", "did you mean vbench"),
        ("minni", "did you mean mini"),
        ("", "choose one of"),
        ("custom", "needs a file"),
        ("custom:", "nothing follows"),
        ("mini:color", "has no part color"),
        ("../x", "choose one of"),
    ],
)
def test_unknown_names(name: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        load(name)


def test_file_is_given_once(write: Write) -> None:
    path = write("p.txt", "a")
    with pytest.raises(UsageError, match="both given"):
        load(f"custom:{path}", file=path)


@settings(deadline=None)  # a busy machine is no fault
@given(st.lists(PROMPT, min_size=1, max_size=8, unique=True))
def test_any_text_survives_every_form_with_the_same_id(prompts: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        (base / "p.txt").write_bytes("\n".join(prompts).encode())
        (base / "p.json").write_text(json.dumps(prompts))
        (base / "q.json").write_bytes(json.dumps(prompts, ensure_ascii=False).encode())
        (base / "p.jsonl").write_text("".join(json.dumps({"text": p}) + "\n" for p in prompts))
        quoted = "".join('"' + prompt.replace('"', '""') + '"\n' for prompt in prompts)
        (base / "p.csv").write_bytes(f"prompt\n{quoted}".encode())
        suites = [load(base / name) for name in ("p.txt", "p.json", "q.json", "p.jsonl", "p.csv")]
    for suite in suites:
        assert [prompt.text for prompt in suite.prompts] == prompts
        assert suite.prompts == suites[0].prompts
    assert len({prompt.id for prompt in suites[0].prompts}) == len(prompts)


@settings(deadline=None)  # a busy machine is no fault
@given(st.binary(max_size=300), st.sampled_from([".txt", ".csv", ".json", ".jsonl"]))
def test_arbitrary_bytes_load_or_are_refused_in_one_line(data: bytes, suffix: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"p{suffix}"
        path.write_bytes(data)
        try:
            load(path)
        except InputError as error:
            message = str(error)
        else:
            message = "fine"
    assert message.isprintable()

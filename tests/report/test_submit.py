"""A submission: what is packed, and everything that must not be."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from turbo_eval.core.errors import InputError
from turbo_eval.prompts import Suite
from turbo_eval.report.submit import PROMPTS, problems, read_results, submit

GOOD = {"judges": "official", "compat": "vbench", "standard": True, "suite": "vbench"}


def write(folder: Path, *, leave_out: str = "", facts: Any = None, **videos: int) -> Path:
    folder.mkdir(exist_ok=True)
    for name, prompts in PROMPTS.items():
        count = videos.get(name, 5 * prompts)
        rows = [{"video_path": f"{i}.mp4", "video_results": 0.5} for i in range(count)]
        if name != leave_out:
            (folder / f"{name}_eval_results.json").write_text(json.dumps({name: [0.5, rows]}))
            (folder / f"{name}_full_info.json").write_text("[]")
    if facts is not None:
        (folder / "turbo-eval.json").write_text(json.dumps(facts))
    return folder


def test_the_counts_are_those_of_the_list(vbench_counts: dict[str, int]) -> None:
    assert dict(PROMPTS) == vbench_counts


@pytest.fixture
def vbench_counts() -> dict[str, int]:
    from turbo_eval.prompts.vbench import load_vbench

    suite: Suite = load_vbench()
    return suite.counts()


def test_complete_results_are_packed_the_same_way_every_time(tmp_path: Path) -> None:
    folder = write(tmp_path / "r", facts=GOOD)
    done = submit(folder, tmp_path / "a.zip")
    assert done.scores == dict.fromkeys(done.scores, 0.5)
    assert done.totals.total is not None
    submit(folder, tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert len(archive.namelist()) == 32
        assert all("/" not in name for name in archive.namelist())
        # What the leaderboard reads: the first element of every top-level key.
        for name in PROMPTS:
            assert json.loads(archive.read(f"{name}_eval_results.json"))[name][0] == 0.5


def test_color_may_leave_out_videos(tmp_path: Path) -> None:
    done = submit(write(tmp_path / "r", facts=GOOD, color=400), tmp_path / "a.zip")
    assert any("color leaves out 25 videos" in line for line in done.warnings)


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"leave_out": "scene", "facts": GOOD}, "scene: missing"),
        ({"facts": GOOD, "scene": 429}, "scene has 429 videos, not 430"),
        ({"facts": GOOD, "scene": 431}, "scene has 431 videos, not 430"),
        ({"facts": GOOD, "color": 0}, "color has no video"),
        ({"facts": GOOD | {"judges": "official-random"}}, "judges official-random"),
        ({"facts": GOOD | {"compat": "fixed"}}, "--compat fixed"),
        ({"facts": GOOD | {"standard": False}}, "not VBench's own list"),
        ({"facts": GOOD | {"longest_seconds": 5.0}}, "up to 5 s: from 5 s on VBench-Long"),
        (
            {"facts": GOOD | {"dimensions": {n: {"videos": 5 * PROMPTS[n]} for n in ["scene"]}}},
            "subject_consistency.*: not of the run that turbo-eval.json tells of",
        ),
        (
            {"facts": GOOD | {"dimensions": {n: {"videos": 5} for n in PROMPTS}}},
            "overall_consistency: not of the run that turbo-eval.json tells of",
        ),
    ],
)
def test_what_is_refused(tmp_path: Path, given: dict[str, Any], word: str) -> None:
    with pytest.raises(InputError, match=word):
        submit(write(tmp_path / "r", **given), tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()


@pytest.mark.parametrize("value", [None, True, "0.5", float("nan")])
def test_values_that_are_no_numbers(tmp_path: Path, value: Any) -> None:
    results = read_results(write(tmp_path / "r"))
    found = list(problems({**results, "scene": (value, results["scene"][1])}, {}))
    assert len(found) == 1
    assert found[0].startswith("scene ")


def test_videos_that_count_twice(tmp_path: Path) -> None:
    results = read_results(write(tmp_path / "r"))
    value, videos = results["scene"]
    found = list(problems({**results, "scene": (value, [videos[0], *videos[:-1]])}, {}))
    assert found == ["scene counts 1 videos twice"]


def test_one_dimension_in_two_files(tmp_path: Path) -> None:
    folder = write(tmp_path / "r")
    (folder / "more_eval_results.json").write_text(json.dumps({"scene": [0.1, []]}))
    with pytest.raises(InputError, match="two files"):
        read_results(folder)

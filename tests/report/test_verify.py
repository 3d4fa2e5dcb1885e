"""Comparing result files: what is equal, what differs, what is no result."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from turbo_eval.core.errors import InputError
from turbo_eval.metrics.normalise import DIMENSIONS
from turbo_eval.prompts.vbench import load_vbench
from turbo_eval.report.verify import SAMPLES, compare, link_weights, write_samples


def write(folder: Path, dimension: str, value: Any, videos: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rows = [{"video_path": f"/x/{n}", "video_results": v} for n, v in videos.items()]
    path = folder / f"{dimension}_eval_results.json"
    path.write_text(json.dumps({dimension: [value, rows]}))
    return folder


def test_equal_within_the_tolerance(tmp_path: Path) -> None:
    ours = write(tmp_path / "a", "scene", 0.5, {"a-0.mp4": 0.25, "b-0.mp4": 0.75})
    theirs = write(tmp_path / "b", "scene", 0.50004, {"b-0.mp4": 0.75008, "a-0.mp4": 0.25})
    row = compare("scene", ours, theirs, 1e-4)
    assert (row.state, row.videos, row.worst) == ("equal", 2, "b-0.mp4")
    assert row.largest == pytest.approx(8e-5)
    assert (row.ours, row.official) == (0.5, 0.50004)
    assert compare("scene", ours, theirs, 1e-5).state == "differs"


def test_truths_and_percents_are_brought_to_one_scale(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / name, "dynamic_degree", 1.0, {"a-0.mp4": name == "a" or 1.0})
    assert compare("dynamic_degree", tmp_path / "a", tmp_path / "b", 0).state == "equal"
    write(tmp_path / "a", "imaging_quality", 0.6, {"a-0.mp4": 60.0})
    write(tmp_path / "b", "imaging_quality", 0.6, {"a-0.mp4": 60.005})
    row = compare("imaging_quality", tmp_path / "a", tmp_path / "b", 1e-4)
    assert row.largest == pytest.approx(5e-5)


@pytest.mark.parametrize(
    ("value", "videos", "word"),
    [
        (0.5, {"a-0.mp4": 0.5, "c-0.mp4": 0.5}, "not the same videos"),
        (0.6, {"a-0.mp4": 0.5}, "aggregate is off by 1.0e-01"),
        (math.nan, {"a-0.mp4": 0.5}, "one side has no aggregate"),
        (0.5, {"a-0.mp4": math.nan}, "a-0.mp4 is off by nan"),
    ],
)
def test_what_differs_is_named(tmp_path: Path, value: Any, videos: Any, word: str) -> None:
    ours = write(tmp_path / "a", "scene", 0.5, {"a-0.mp4": 0.5})
    row = compare("scene", ours, write(tmp_path / "b", "scene", value, videos), 1e-4)
    assert row.state == "differs"
    assert word in row.reason


def test_a_side_without_a_result(tmp_path: Path) -> None:
    ours = write(tmp_path / "a", "color", None, {})
    theirs = tmp_path / "b"
    theirs.mkdir()
    assert compare("color", ours, theirs, 1e-4).state == "failed"
    (theirs / "color_error.txt").write_text("ZeroDivisionError: division by zero\n\nTraceback ...")
    assert compare("color", ours, theirs, 1e-4).state == "equal"
    write(tmp_path / "a", "color", 0.5, {"a-0.mp4": 0.5})
    row = compare("color", ours, theirs, 1e-4)
    assert (row.state, row.reason) == ("failed", "ZeroDivisionError: division by zero")
    assert compare("scene", ours, theirs, 1e-4).state == "failed"


def test_a_file_of_another_form_is_refused(tmp_path: Path) -> None:
    ours = write(tmp_path / "a", "scene", 0.5, {"a-0.mp4": 0.5})
    (tmp_path / "b").mkdir()
    path = tmp_path / "b" / "scene_eval_results.json"
    for text in ("[]", "{", '{"scene": 1}', '{"scene": [0.5, [{"video_path": "x"}]]}'):
        path.write_text(text)
        with pytest.raises(InputError):
            compare("scene", ours, tmp_path / "b", 1e-4)


def test_the_samples_serve_every_dimension(tmp_path: Path) -> None:
    suite = load_vbench(write_samples(tmp_path))
    assert {name for prompt in suite for name in prompt.dimensions} == set(DIMENSIONS)
    assert not [note for note in suite.notes if "without the fact" in note]
    assert len(list((tmp_path / "videos").iterdir())) == len(SAMPLES)


def test_the_official_cache_has_word_pieces_its_own_before_open_clips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, words = tmp_path / "own", Path("ViCLIP") / "bpe_simple_vocab_16e6.txt.gz"
    monkeypatch.setenv("VBENCH_CACHE_DIR", str(own))
    link_weights(tmp_path / "shipped", None)
    assert (tmp_path / "shipped" / words).read_bytes()[:2] == b"\x1f\x8b"
    (own / words).parent.mkdir(parents=True)
    (own / words).write_bytes(b"own")
    link_weights(tmp_path / "both", None)
    assert (tmp_path / "both" / words).read_bytes() == b"own"

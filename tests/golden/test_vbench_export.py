"""Our result files against the official program's: every key, order and value of a dimension."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.golden.recorded import SHARED, read_own, read_shared
from turbo_eval.cli.main import run as command
from turbo_eval.core.records import VideoRow
from turbo_eval.metrics.normalise import DIMENSIONS
from turbo_eval.metrics.registry import metric
from turbo_eval.report.vbench_export import Scored, results

TOLERANCE = 1e-4


def row(index: int) -> VideoRow:
    return VideoRow(
        video_id=str(index), prompt_id="p", model="m", fingerprint="f", seed=0, seed_index=index,
        sampler="file", steps=0, guidance=0.0, width=1, height=1, frames=1, fps=8.0, path="x",
        content_hash="h", seconds=0.0, status="ok",
    )  # fmt: skip


def exported(dimension: str, recording: Any) -> Any:
    score = metric(dimension).score
    videos = [
        Scored(case.prompt, row(index), case.video, score(case.features, case.prompt))
        for index, case in enumerate(recording.cases)
    ]
    # Through JSON, as the files go.
    return json.loads(json.dumps(results(dimension, videos)))


def assert_same(ours: Any, theirs: Any, tolerance: float) -> None:
    """Equal keys, lengths, types and texts; numbers within the tolerance."""
    if isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        for key in theirs:
            assert_same(ours[key], theirs[key], tolerance)
    elif isinstance(theirs, list):
        assert len(ours) == len(theirs)
        for mine, other in zip(ours, theirs, strict=True):
            assert_same(mine, other, tolerance)
    elif isinstance(theirs, bool | str):
        assert ours is theirs or ours == theirs
        assert isinstance(ours, type(theirs))
    else:
        assert ours == pytest.approx(theirs, abs=tolerance)


@pytest.mark.recorded
@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_the_official_file_comes_out(dimension: str) -> None:
    official = json.loads((SHARED / "results" / f"{dimension}_eval_results.json").read_text())
    ours = exported(dimension, read_shared(dimension))
    if isinstance(official[dimension], dict):
        # The official program divided by zero: no video has a value.
        assert ours == {dimension: [None, []]}
        return
    # Sums over a video's frames, values on 0..100, add up what single values are off by.
    scale = {"imaging_quality": 100.0, "background_consistency": 100.0}.get(dimension, 1.0)
    assert_same(ours, official, TOLERANCE * scale)
    assert ours[dimension][0] == pytest.approx(official[dimension][0], abs=TOLERANCE)


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_own_recordings_give_the_recorded_values(dimension: str) -> None:
    recording = read_own(dimension)
    value, videos = exported(dimension, recording)[dimension]
    if recording.aggregate is None:
        assert (value, videos) == (None, [])
        return
    assert value == pytest.approx(recording.aggregate, abs=TOLERANCE)
    scale = 100.0 if dimension == "imaging_quality" else 1.0
    expected = {case.video: case.value for case in recording.cases if case.value is not None}
    found = {video["video_path"]: float(video["video_results"]) / scale for video in videos}
    assert found == pytest.approx(expected, abs=TOLERANCE)


@pytest.mark.recorded
def test_the_contract(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The documented command on the recorded clips; flickering needs no weights."""
    dimension = "temporal_flickering"
    source = SHARED / "eval" / dimension
    clips = tmp_path / "clips"
    clips.mkdir()
    for name, clip in json.loads((source / "manifest.json").read_text()).items():
        (clips / name).symlink_to(SHARED / "videos" / clip)
    (tmp_path / "weights").mkdir()
    args = ["run", f"vbench:{source / 'full_info.json'}", "--model", f"folder:{clips}"]
    args += ["--judges", "official", "--weights-dir", str(tmp_path / "weights")]
    args += ["--dimensions", dimension, "--export", f"vbench:{tmp_path / 'OUT'}", "--json"]
    assert command([*args, "--run", str(tmp_path / "r"), "--device", "cpu"]) == 0
    printed = json.loads(capsys.readouterr().out)
    official = json.loads((SHARED / "results" / f"{dimension}_eval_results.json").read_text())
    ours = json.loads((tmp_path / "OUT" / f"{dimension}_eval_results.json").read_text())
    for video in ours[dimension][1]:
        video["video_path"] = Path(video["video_path"]).name
    # A link goes by its own name, as in the official file, not by that of the clip behind it.
    assert_same(ours, official, TOLERANCE)
    assert printed["models"]["clips"][f"vbench.{dimension}"]["n"] == 10

"""A category list from the synced lists to official-looking files, typed as a user types it."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests import fakes
from turbo_eval.cli.main import run as command
from turbo_eval.prompts.dimensions import FREE_DIMENSIONS
from turbo_eval.prompts.sync import sync
from turbo_eval.video.encode import encode

FILES = ("food 3-0.mp4", "food 3-1.mp4", "food 7-0.mp4", "a road through fields-0.mp4")


def test_a_category_is_scored_in_its_nine_dimensions(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fakes.register()
    monkeypatch.chdir(tmp_path)
    sync(clone)
    rng = np.random.default_rng(0)
    for name in (*FILES, "animal 3-0.mp4"):
        encode(rng.integers(0, 255, (5, 32, 32, 3), np.uint8), 8.0, tmp_path / "clips" / name)
    args = ["run", "vbench:category:food", "--model", "folder:clips", "--judges", "fake"]
    args += ["--run", "r", "--export", "vbench:OUT", "--json"]
    # 97 prompts of the list have no video: told as failures, and what is there is scored.
    assert command(args) == 6
    out, err = capsys.readouterr()
    assert "animal 3-0.mp4" in err
    assert "97 videos are missing" in err
    assert command([*args, "--run", "s", "--prompts", "food 3", "--prompts", "food 7"]) == 0
    found = json.loads(capsys.readouterr().out)["models"]["clips"]
    assert {name: (cell["n"], cell["of"]) for name, cell in found.items()} == {
        f"vbench.{name}": (3, 3) for name in FREE_DIMENSIONS
    }
    assert len(FREE_DIMENSIONS) == 9
    assert set(json.loads(out)["models"]["clips"]) == set(found)
    for name in FREE_DIMENSIONS:
        value, videos = json.loads(Path(f"OUT/{name}_eval_results.json").read_text("utf-8"))[name]
        assert [Path(v["video_path"]).name for v in videos] == sorted(FILES[:3])
        assert isinstance(value, float)

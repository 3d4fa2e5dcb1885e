"""Folders in VBench's naming, typed as a user types it: what counts, what is told, exit codes."""

import csv
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import fakes
from tests.cli import folders
from tests.cli.folders import FEW, INFO, cell, go, summary, write_clip, write_folder
from turbo_eval.cli import protocol
from turbo_eval.cli.main import run as command
from turbo_eval.core.runs import RunFolder

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders.prepare(tmp_path, monkeypatch)


def test_every_index_of_vbench_counts_and_fewer_are_no_fault_in_a_list_of_ones_own(
    capsys: Capture,
) -> None:
    write_folder(Path("clips"), FEW)
    write_clip(Path("clips/a red cube-7.mp4"), 1)
    write_clip(Path("clips/nobody-0.mp4"), 2)
    Path("clips/notes.txt").write_text("x", encoding="utf-8")
    assert go() == 0
    err = capsys.readouterr().err
    for told in ("a red cube-7.mp4", "nobody-0.mp4", "notes.txt", "have fewer videos"):
        assert told in err
    counts = {m: (cell(m)["n"], cell(m)["of"]) for m in summary()["models"]["clips"]}
    assert counts == {
        "vbench.color": (2, 2),
        "vbench.scene": (1, 1),
        "vbench.temporal_flickering": (5, 5),
    }
    # The same command on the same folder does nothing.
    assert go() == 0
    assert "generate: nothing to do, 8 finished" in capsys.readouterr().err


def test_a_prompt_without_any_video_is_a_fault(capsys: Capture) -> None:
    write_folder(Path("clips"), {"a red cube": (0,)})
    assert go() == 6
    assert "'an alley', video 0" in capsys.readouterr().err


def test_a_number_that_is_named_is_meant(capsys: Capture) -> None:
    write_folder(Path("clips"), FEW)
    assert go("--seeds", "2") == 6
    assert (cell("vbench.color")["n"], cell("vbench.color")["of"]) == (1, 2)
    err = capsys.readouterr().err
    assert "'a red cube', video 1" in err
    assert "4 files are more than the run asks for" in err
    assert command(["run", "vbench:info.json", "--model", "folder:clips", "--run", "s", "--seeds"]
                   + ["2", "--allow-fewer"]) == 0  # fmt: skip


def test_the_standard_list_wants_five_of_every_prompt() -> None:
    from turbo_eval.config import ModelConfig, RunConfig
    from turbo_eval.generate import Source
    from turbo_eval.models.folder import FolderVideos
    from turbo_eval.prompts import Suite

    write_folder(Path("clips"), {"a": (0,)})
    sources = [Source("clips", FolderVideos.open("folder:clips"), None)]
    config = RunConfig(models=[ModelConfig(name="folder:clips")])
    origins = dict.fromkeys(RunConfig.model_fields, "default")

    def found(name: str, **info: Any) -> tuple[int, bool]:
        suite = Suite(name, (), "", "", "", info=info)
        filled = protocol.with_protocol(config, origins, suite, sources)
        return filled.seeds, filled.allow_fewer

    assert found("vbench", standard=True) == (5, False)
    assert found("vbench:info.json", standard=False) == (5, True)
    assert found("custom") == (protocol.MANY, True)
    assert found("mini") == (1, False)


def test_export_has_the_official_form(capsys: Capture) -> None:
    write_folder(Path("clips"), FEW)
    assert go("--export", "vbench:OUT", "--json") == 0
    out = json.loads(capsys.readouterr().out)
    names = sorted(path.name for path in Path("OUT").iterdir())
    assert names == sorted(
        [f"{d}_{kind}.json" for d in ("color", "scene", "temporal_flickering")
         for kind in ("eval_results", "full_info")] + ["turbo-eval.json"]
    )  # fmt: skip
    found = json.loads(Path("OUT/temporal_flickering_eval_results.json").read_text("utf-8"))
    value, videos = found["temporal_flickering"]
    assert value == pytest.approx(out["models"]["clips"]["vbench.temporal_flickering"]["value"])
    assert value == pytest.approx(np.mean([video["video_results"] for video in videos]))
    files = [Path(video["video_path"]).name for video in videos]
    assert files == [f"a still frame-{i}.mp4" for i in range(5)]
    assert all(Path(video["video_path"]).is_file() for video in videos)
    # Five frames at 8 a second: what submit has to know of length.
    assert json.loads(Path("OUT/turbo-eval.json").read_text("utf-8"))["longest_seconds"] == 0.625
    (entry,) = json.loads(Path("OUT/scene_full_info.json").read_text("utf-8"))
    assert [Path(path).name for path in entry.pop("video_list")] == ["an alley-1.mp4"]
    assert entry == INFO[1]
    facts = json.loads(Path("OUT/turbo-eval.json").read_text("utf-8"))
    assert (facts["judges"], facts["compat"], facts["standard"]) == ("fake", "vbench", False)
    # The later stages write the same bytes.
    assert command(["score", "--run", "r", "--export", "vbench:OUT2"]) == 0
    assert command(["report", "--run", "r", "--export", "vbench:OUT3"]) == 0
    for name in names:
        assert {Path(o, name).read_bytes() for o in ("OUT2", "OUT3")} == {
            Path("OUT", name).read_bytes()
        }


def test_two_models_are_exported_into_a_folder_each() -> None:
    write_folder(Path("clips"), FEW)
    code = go("--model", "fake", "--export", "vbench:OUT", "--dimensions", "temporal_flickering")
    assert code == 0
    for model in ("clips", "fake"):
        path = Path("OUT") / model / "temporal_flickering_eval_results.json"
        videos = json.loads(path.read_text("utf-8"))["temporal_flickering"][1]
        files = [Path(video["video_path"]).name for video in videos]
        assert files == [f"a still frame-{i}.mp4" for i in range(5)]


@pytest.mark.parametrize("typed", ["OUT", "csv:OUT", "vbench:", "vbench:info.json"])
def test_other_targets_are_refused(typed: str, capsys: Capture) -> None:
    write_folder(Path("clips"), FEW)
    assert go("--export", typed) == 2
    assert "--export" in capsys.readouterr().err
    assert not Path("r").exists()


def test_flow_looks_at_flicker_videos_only_for_the_filter() -> None:
    write_folder(Path("clips"), FEW)
    assert go() == 0
    assert "flow" not in Path("calls.log").read_text(encoding="utf-8")


def test_the_static_filter_takes_the_first_five_still_videos(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    # Of 25 videos 1, 10, 12, 2 and 20 stand still, and 3 comes too late to be looked at: the order
    # is that of file names, where 10 comes before 2.
    still = {1, 10, 12, 2, 20, 3}
    Path("clips").mkdir()
    hashes: dict[str, int] = {}
    from turbo_eval.core.hashing import blake_file

    for index in range(25):
        path = Path(f"clips/a still frame-{index}.mp4")
        write_clip(path, index)
        hashes[blake_file(path)] = index
    look = fakes.FakeBackbone.extract

    def flow(self: fakes.FakeBackbone, clip: Any, prompt: Any) -> Any:
        arrays = look(self, clip, prompt)
        if self.role == "flow":
            motion = 0.0 if hashes[clip.content_hash] in still else 9.0
            arrays |= {"static": np.full(4, motion), "static_wrap": np.zeros(2)}
        return arrays

    monkeypatch.setattr(fakes.FakeBackbone, "extract", flow)
    only = ["--dimensions", "temporal_flickering"]
    assert go("--static-filter", "--export", "vbench:OUT", *only) == 0
    _, videos = json.loads(Path("OUT/temporal_flickering_eval_results.json").read_text("utf-8"))[
        "temporal_flickering"
    ]
    files = [Path(video["video_path"]).name for video in videos]
    assert sorted(files) == sorted(f"a still frame-{i}.mp4" for i in (1, 10, 12, 2, 20))
    looked = {hashes[text.split(" ")[2]] for text in _flow_lines()}
    assert looked == {0, 1, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 2, 20}
    found = cell("vbench.temporal_flickering")
    assert (found["n"], found["of"]) == (5, 5)
    # Nothing is looked at again.
    before = Path("calls.log").read_text(encoding="utf-8")
    assert go("--static-filter", *only) == 0
    assert Path("calls.log").read_text(encoding="utf-8") == before
    capsys.readouterr()


def _flow_lines() -> list[str]:
    lines = Path("calls.log").read_text(encoding="utf-8").splitlines()
    return [line.partition(" ")[2] for line in lines if " look flow " in line]


def test_compat_fixed_scores_under_names_of_its_own(capsys: Capture) -> None:
    write_folder(Path("clips"), FEW)
    assert go("--compat", "fixed", "--export", "vbench:OUT") == 0
    found = summary()
    assert set(found["models"]["clips"]) == {
        "vbench.color.fixed",
        "vbench.scene.fixed",
        "vbench.temporal_flickering",
    }
    assert any("compat fixed" in reason for reason in found["partial"])
    assert json.loads(Path("OUT/turbo-eval.json").read_text("utf-8"))["compat"] == "fixed"
    assert go() == 3
    assert "compat" in capsys.readouterr().err
    assert go("--compat", "right") == 2


def test_a_prompt_file_names_the_videos(capsys: Capture) -> None:
    write_clip(Path("clips/one.mp4"), 1)
    write_clip(Path("clips/sub/two.mp4"), 2)
    Path("list.json").write_text(json.dumps({"one.mp4": "a cat", "sub/two.mp4": "a dog"}))
    only = ["--dimensions", "temporal_flickering"]
    assert go(*only, suite="custom:list.json") == 0
    assert cell("vbench.temporal_flickering")["n"] == 2
    assert command(["check", "--run", "r"]) == 0
    capsys.readouterr()


def test_prompts_from_the_names_of_videos(capsys: Capture) -> None:
    write_folder(Path("clips"), {"a cat": (0, 1, 2, 3, 4, 5, 6), "a dog": (0,)})
    write_clip(Path("clips/a cow.mp4"), 3)
    # Where videos are found, their prompts are, too.
    write_clip(Path("clips/more/a fox-2.mp4"), 3)
    assert go("--dimensions", "temporal_flickering", suite="custom:clips") == 0
    found = cell("vbench.temporal_flickering")
    assert (found["n"], found["of"]) == (10, 10)
    assert go("--dry-run", "--run", "d", suite="custom:clips") == 0
    assert "all there are per prompt" in capsys.readouterr().err
    assert go("--dimensions", "color", "--run", "s", suite="custom:clips") == 2
    assert '{"color": {"color": "red"}}' in capsys.readouterr().err


def test_models_are_given_rewritten_prompts_and_scores_keep_to_the_originals() -> None:
    fakes.write_suite(Path(), 5)
    texts = [entry["prompt_en"] for entry in fakes.SUITE[:5]]
    Path("long.json").write_text(json.dumps({text: f"{text}, at length" for text in texts}))
    args = ["run", "custom:suite.json", "--model", "fake", "--rewritten", "long.json"]
    assert command([*args, "--run", "r"]) == 0
    drawn = [x for x in Path("calls.log").read_text("utf-8").splitlines() if " draw " in x]
    assert len(drawn) == 5
    assert all(line.endswith(", at length") for line in drawn)
    assert {row["text"] for row in RunFolder("r").prompts.read()} == set(texts)
    assert command(["run", "custom:suite.json", "--model", "fake", "--run", "s"]) == 0
    ids = [{row["prompt_id"] for row in RunFolder(run).prompts.read()} for run in ("r", "s")]
    assert ids[0].isdisjoint(ids[1])
    Path("short.txt").write_text("only one line\n")
    assert command([*args[:4], "--rewritten", "short.txt", "--run", "t"]) == 5


def test_submit_refuses_what_is_not_complete(capsys: Capture) -> None:
    write_folder(Path("clips"), FEW)
    assert go() == 0
    assert command(["report", "submit", "--run", "r"]) == 2
    assert command(["report", "submit", "--vbench"]) == 2
    assert command(["report", "submit", "--vbench", "--run", "r", "--out", "x.zip"]) == 5
    err = capsys.readouterr().err
    assert "run r cannot be submitted" in err
    assert "judges fake made the scores" in err
    assert "subject_consistency, background_consistency, motion_smoothness" in err
    assert not Path("x.zip").exists()


def test_submit_packs_official_results(capsys: Capture) -> None:
    from turbo_eval.metrics.normalise import totals
    from turbo_eval.report.submit import PROMPTS

    Path("official").mkdir()
    for position, (dimension, prompts) in enumerate(PROMPTS.items()):
        videos = [{"video_path": f"{i}.mp4", "video_results": 0.5} for i in range(5 * prompts)]
        Path(f"official/{dimension}_eval_results.json").write_text(
            json.dumps({dimension: [0.3 + position / 100, videos]})
        )
    args = ["report", "submit", "--vbench", "--from", "official", "--out", "x.zip", "--json"]
    assert command(args) == 0
    told = json.loads(capsys.readouterr().out)
    expected = totals({name: 0.3 + k / 100 for k, name in enumerate(PROMPTS)})
    assert told["totals"]["total"] == pytest.approx(expected.total)
    with zipfile.ZipFile("x.zip") as archive:
        assert sorted(archive.namelist()) == sorted(f"{d}_eval_results.json" for d in PROMPTS)


def test_a_csv_of_videos_is_exported_with_its_files(capsys: Capture) -> None:
    write_clip(Path("elsewhere/x.mp4"), 1)
    with Path("list.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path", "prompt"], ["elsewhere/x.mp4", "a still frame"]])
    only = ["--dimensions", "temporal_flickering", "--export", "vbench:OUT"]
    assert go(*only, clips="list.csv") == 0
    found = json.loads(Path("OUT/temporal_flickering_eval_results.json").read_text("utf-8"))
    assert Path(found["temporal_flickering"][1][0]["video_path"]).name == "x.mp4"
    capsys.readouterr()


def test_links_keep_the_names_that_vbench_would_show(capsys: Capture) -> None:
    write_clip(Path("store/0001.mp4"), 1)
    write_clip(Path("store/0002.mp4"), 2)
    Path("clips").mkdir()
    for number, name in enumerate(("a still frame-0.mp4", "a still frame-1.mp4"), 1):
        (Path("clips") / name).symlink_to(Path("../store") / f"000{number}.mp4")
    # The folder itself may be a link, too.
    Path("linked").symlink_to("clips")
    only = ["--dimensions", "temporal_flickering", "--export", "vbench:OUT"]
    for folder in ("clips", "linked"):
        args = ["run", "vbench:info.json", "--model", f"folder:{folder}", "--run", f"r/{folder}"]
        assert command([*args, *only]) == 0
        found = json.loads(Path("OUT/temporal_flickering_eval_results.json").read_text("utf-8"))
        paths = [Path(video["video_path"]) for video in found["temporal_flickering"][1]]
        names = ("a still frame-0.mp4", "a still frame-1.mp4")
        assert paths == [Path.cwd() / folder / name for name in names]
    capsys.readouterr()

"""The run folder: frozen settings, safe names, claims between processes."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turbo_eval.core.errors import ConfigError, PrerequisiteError
from turbo_eval.core.runs import RunFolder, exclusive, safe_name

_CONFIG: dict[str, Any] = {
    "suite": "mini",
    "limit": None,
    "models": [{"name": "mini-teacher", "steps": 50}],
    "seeds": 2,
    "report": {"title": 'quotes " and \n breaks'},
    "run": Path("runs") / "x",
    "dimensions": ("color", "scene"),
}


def test_settings_are_frozen_at_the_first_start(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "a" / "run").create_or_open(_CONFIG)
    before = (run.path / "run.toml").read_bytes()
    frozen = run.config()
    assert frozen["dimensions"] == ["color", "scene"]
    assert frozen["report"] == _CONFIG["report"]
    assert "limit" not in frozen
    RunFolder(run.path).create_or_open(_CONFIG)
    assert (run.path / "run.toml").read_bytes() == before


def test_a_growing_number_may_become_larger_and_nothing_else(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run").create_or_open({"seeds": 2, "suite": "mini"})
    with pytest.raises(ConfigError, match="seeds: 2 there, 5 now"):
        run.create_or_open({"seeds": 5, "suite": "mini"})
    run.check({"seeds": 5, "suite": "mini"}, growing=("seeds",))
    assert run.config()["seeds"] == 2
    run.create_or_open({"seeds": 5, "suite": "mini"}, growing=("seeds",))
    assert run.config() == {"seeds": 5, "suite": "mini"}
    for other in (
        {"seeds": 4, "suite": "mini"},
        {"seeds": 6, "suite": "vbench"},
        {"suite": "mini"},
    ):
        with pytest.raises(ConfigError, match="another configuration"):
            run.create_or_open(other, growing=("seeds",))
    assert run.config() == {"seeds": 5, "suite": "mini"}


def test_another_configuration_is_refused_by_its_keys(tmp_path: Path) -> None:
    run = RunFolder(tmp_path).create_or_open(_CONFIG)
    other = {**_CONFIG, "seeds": 5, "limit": 3, "report": {"title": "new"}}
    with pytest.raises(ConfigError) as caught:
        run.create_or_open(other)
    line = str(caught.value)
    assert "seeds: 2 there, 5 now" in line
    assert "limit: absent there, 3 now" in line
    assert "report.title" in line
    assert "suite" not in line
    with pytest.raises(ConfigError, match="seeds"):
        run.create_or_open(other, compare={"seeds", "suite"})
    run.create_or_open({**_CONFIG, "report": {"title": "new"}}, compare={"seeds", "suite"})
    assert run.config()["report"] == _CONFIG["report"]


def test_damaged_settings_are_refused(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_bytes(b'suite = "mi')
    with pytest.raises(ConfigError, match="cannot be read"):
        RunFolder(tmp_path).create_or_open(_CONFIG)


def test_reading_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PrerequisiteError, match="not a run folder"):
        RunFolder(tmp_path).open()
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("x")
    with pytest.raises(PrerequisiteError, match="in the way"):
        RunFolder(tmp_path / "run").create_or_open(_CONFIG)


@given(st.text())
def test_safe_names_are_single_short_plain_parts(text: str) -> None:
    name = safe_name(text)
    assert 0 < len(name) <= 100
    assert Path(name).name == name
    assert name.isascii()
    assert name[0] not in ".-"


@given(st.text(max_size=300), st.text(max_size=300))
def test_two_texts_never_share_a_name_but_by_looking_like_one(a: str, b: str) -> None:
    if a != b and safe_name(a) == safe_name(b):
        pytest.fail(f"{a!r} and {b!r} meet in {safe_name(a)}")


@pytest.mark.parametrize(
    "model",
    ["../../etc", "a/b", "nul\0byte", "x" * 5000, "", ".", "..", "emoji \U0001f600", "a\nb"],
)
def test_path_tricks_stay_inside_the_run(tmp_path: Path, model: str) -> None:
    run = RunFolder(tmp_path)
    for path in (run.video_path(model, model), run.feature_path(model, model)):
        assert path.resolve().is_relative_to(tmp_path.resolve())
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_ordinary_names_stay_readable(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert run.video_path("mini-teacher", "ab12") == tmp_path / "videos/mini-teacher/ab12.mp4"
    assert run.feature_path("flow", "ab12") == tmp_path / "features/flow/ab12.safetensors"


def test_stored_paths_survive_a_move_of_the_run(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    stored = run.relative(run.video_path("m", "v"))
    assert stored == "videos/m/v.mp4"
    assert RunFolder(tmp_path / "moved").resolve(stored) == tmp_path / "moved/videos/m/v.mp4"
    outside = run.relative(tmp_path / "else.mp4")
    assert run.resolve(outside) == tmp_path / "else.mp4"


def test_tables_share_one_folder_and_keep_keys(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    tables = [run.prompts, run.videos, run.features, run.scores]
    assert [t.folder.name for t in tables] == [
        "prompts.parquet",
        "videos.parquet",
        "features.parquet",
        "scores.parquet",
    ]
    assert all(set(t.key) <= set(t.schema.names) for t in tables)
    assert run.videos is run.videos
    assert run.log_dir.is_dir()


def test_an_item_is_claimed_once(tmp_path: Path) -> None:
    run, other = RunFolder(tmp_path), RunFolder(tmp_path)
    with run.claim("video:1") as mine, other.claim("video:1") as theirs:
        assert mine
        assert not theirs
        with other.claim("video:2") as another:
            assert another
    with other.claim("video:1") as later:
        assert later
    assert list((tmp_path / ".claims").iterdir()) == []


def test_claim_tells_who_has_it_and_ends_with_an_exception(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)

    def fail() -> None:
        with run.claim("x"):
            holder = json.loads(next((tmp_path / ".claims").iterdir()).read_text())
            assert holder["pid"] == os.getpid()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with run.claim("x") as mine:
        assert mine


@pytest.mark.slow
def test_claim_of_a_killed_process_is_stale(tmp_path: Path) -> None:
    code = (
        "import sys, time; from turbo_eval.core.runs import RunFolder\n"
        "with RunFolder(sys.argv[1]).claim('x') as mine:\n    print(mine, flush=True)\n"
        "    time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "True\n"
        with RunFolder(tmp_path).claim("x") as mine:
            assert not mine
        child.kill()
        child.wait()
        assert len(list((tmp_path / ".claims").iterdir())) == 1
        with RunFolder(tmp_path).claim("x") as mine:
            assert mine


def test_exclusive_lets_one_thread_in_at_a_time(tmp_path: Path) -> None:
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(40):
            with exclusive(tmp_path / "lock"):
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_first_starts_at_the_same_time_agree(tmp_path: Path) -> None:
    failures: list[Exception] = []

    def start() -> None:
        try:
            RunFolder(tmp_path / "run").create_or_open(_CONFIG)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_provenance_is_written(tmp_path: Path) -> None:
    RunFolder(tmp_path).write_provenance({"device": "cpu"})
    facts = json.loads((tmp_path / "provenance.json").read_text())
    assert facts["device"] == "cpu"
    assert facts["libraries"]["numpy"]

"""The doctor finds what is wrong, says how to mend it, and never falls over itself."""

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from turbo_eval.cli import checks, doctor_cmd
from turbo_eval.cli.checks import Check
from turbo_eval.cli.main import run
from turbo_eval.cli.official_checks import check_official
from turbo_eval.core.errors import PrerequisiteError


def test_this_machine_is_ready(tmp_path: Path) -> None:
    # In a process of its own: other tests add judges without weights to this one's registries.
    done = subprocess.run(
        [sys.executable, "-m", "turbo_eval.cli.main", "doctor", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    code, found = done.returncode, json.loads(done.stdout)
    assert [each for each in found["checks"] if each["state"] == "fail"] == []
    assert code == 0
    assert found["ready"] is True
    names = {each["name"] for each in found["checks"]}
    assert {"python", "torch", "device", "cpu", "video decoder", "disk"} <= names
    assert any(name.startswith("weights of ") for name in names)


def test_a_failure_is_exit_code_4(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = Check("disk", "fail", "full", "free some space")
    monkeypatch.setattr(doctor_cmd, "all_checks", lambda *_: iter([Check("a", "ok", "b"), bad]))
    assert run(["doctor"]) == 4
    out, err = capsys.readouterr()
    assert "free some space" in out
    assert out.splitlines()[-1].startswith("disk")
    assert "1 of 2 checks failed" in err


def test_the_folder_of_weights_may_be_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VBENCH_CACHE_DIR", str(tmp_path / "none"))
    monkeypatch.setattr(
        doctor_cmd, "all_checks", lambda _, weights_dir: iter(check_official(weights_dir))
    )
    assert run(["doctor", "--weights-dir", "w", "--json"]) == 0
    fixes = {each["name"]: each["fix"] for each in json.loads(capsys.readouterr().out)["checks"]}
    assert fixes["official dynamic_degree"] == "turbo-eval weights pull raft --weights-dir w"


@pytest.mark.parametrize(
    ("error", "part", "fix"),
    [
        (PrerequisiteError("weights are gone", fix="pull them"), "weights are gone", "pull them"),
        (OSError("boom\nboom"), "OSError: boom boom", "make setup"),
    ],
)
def test_a_check_that_breaks_is_a_finding(error: Exception, part: str, fix: str) -> None:
    def check() -> Check:
        raise error

    (found,) = checks._guarded("thing", check)
    assert found.state == "fail"
    assert part in found.detail
    assert fix in found.fix


def test_old_and_missing_libraries_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ["numpy>=999.1", "no-such-library>=2", "ray>=2; extra == 'ray'", "rich>=1"]
    monkeypatch.setattr(metadata, "requires", lambda _: wanted)
    numpy, missing, rich = checks.check_libraries()
    assert (numpy.state, missing.state, rich.state) == ("fail", "fail", "ok")
    assert "older than 999.1" in numpy.detail
    assert missing.fix == "pip install 'no-such-library>=2'"


@pytest.mark.parametrize(
    ("low", "high"), [("2.9", "2.10"), ("2.9.1", "2.10.0+cpu"), ("0.8.0", "1"), ("9", "10.0")]
)
def test_versions_compare_by_number(low: str, high: str) -> None:
    assert checks._numbers(low) < checks._numbers(high)


def test_weights_are_known_by_their_content() -> None:
    wanted = {"unet": "aa", "vae": "bb"}
    assert checks._weights("m", lambda: wanted, {"aa", "bb", "cc"}).state == "ok"
    changed = checks._weights("m", lambda: wanted, {"aa"})
    assert changed.state == "fail"
    assert "vae" in changed.detail
    assert "unet" not in changed.detail


def test_folder_in_the_way_of_writing_is_found(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    bad, good = checks.check_writable({"a": tmp_path / "file" / "runs", "b": tmp_path / "new"})
    assert bad.state == "fail"
    assert bad.fix
    assert good.state == "ok"


def test_full_disk_warns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "WANTED_FREE", 2**80)
    found = checks.check_disk(tmp_path / "not" / "there")
    assert found.state == "warn"
    assert str(tmp_path) in found.detail

"""`config show` prints the merged settings, and where each comes from when asked."""

import json
from pathlib import Path

import pytest

from turbo_eval.cli.main import run
from turbo_eval.config import RunConfig


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for key in RunConfig.model_fields:
        monkeypatch.delenv(f"TURBO_EVAL_{key.upper()}", raising=False)


def test_json_is_the_whole_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "show", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == RunConfig().model_dump(mode="json")


def test_origins_in_json_and_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "mine.toml").write_text('seeds = 5\nmodels = ["a@4"]\n', encoding="utf-8")
    monkeypatch.setenv("TURBO_EVAL_JUDGES", "mini")
    assert run(["config", "show", "--origin", "--config", "mine.toml", "--json"]) == 0
    origins = json.loads(capsys.readouterr().out)["origins"]
    assert origins["seeds"] == "file mine.toml"
    assert origins["judges"] == "env TURBO_EVAL_JUDGES"
    assert origins["dtype"] == "default"

    assert run(["config", "show", "--origin", "--config", "mine.toml"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "models\ta@4\tfile mine.toml" in lines


def test_bad_file_is_exit_code_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "turbo-eval.toml").write_text("sedes = 5\n", encoding="utf-8")
    assert run(["config", "show"]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert "seeds" in err

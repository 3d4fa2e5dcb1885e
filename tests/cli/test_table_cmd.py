"""`turbo-eval table`."""

import json
from pathlib import Path

import pytest

from tests.report.test_published import summary
from turbo_eval.cli.main import run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "summary.json").write_text(json.dumps(summary()))
    return tmp_path


def test_tables_of_the_paper(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["table", "--run", str(folder)]) == 0
    out = capsys.readouterr()
    header, *lines = [line.split("\t") for line in out.out.splitlines()]
    assert header[1] == "ours"
    assert len(lines) == 19
    assert "Gen-2" in header
    assert "CogVideo" not in header
    assert "arXiv 2405.18750" in out.err
    assert run(["table", "--run", str(folder), "--paper", "4", "--format", "markdown"]) == 0
    assert "CogVideo" in capsys.readouterr().out
    assert run(["table", "--run", str(folder), "--beside", "t2v-turbo-ms", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["key"] for row in found["published"]] == ["t2v-turbo-ms"]
    assert found["ours"]["ours"]["total"]["value"] == pytest.approx(81.01)


def test_published_rows_are_listed_without_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["table"]) == 0
    assert "t2v-turbo-vc2\tT2V-Turbo (VC2)\t4\t81.01\t82.57\t74.76\tyes" in capsys.readouterr().out
    assert run(["table", "--paper", "top", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["source"]


def test_refusals(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "summary.json").write_text(json.dumps(summary(judges="mini")))
    assert run(["table", "--run", str(folder)]) == 5
    out = capsys.readouterr()
    assert not out.out, "a mini score never stands beside VBench's"
    assert "mean nothing" in out.err
    assert run(["table", "--run", str(tmp_path / "nothing")]) == 5
    assert run(["table", "--paper", "2"]) == 2
    assert run(["table", "--format", "latex"]) == 2
    assert run(["table", "--format", "pdf"]) == 2
    assert run(["table", "--beside", "gen2"]) == 2
    assert "gen-2" in capsys.readouterr().err

"""What other programs script against: the streams, and what docs/api.md says of the output."""

import dataclasses
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests import fakes
from turbo_eval.cli import run_cmd
from turbo_eval.cli.main import run as command
from turbo_eval.core.records import Prompt
from turbo_eval.models import Frames, Sampler
from turbo_eval.prompts import Suite, load

Capture = pytest.CaptureFixture[str]
API = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
RUN = ["custom:suite.json", "--judges", "fake", "--model", "fake", "--model", "fake@8"]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.register()
    fakes.write_suite(tmp_path, 10)
    monkeypatch.chdir(tmp_path)


def rows(heading: str) -> dict[str, str]:
    """First cell -> the rest, of the table below a heading of the page."""
    section = next(part for part in re.split(r"(?m)^## ", API) if part.startswith(heading))
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return {line.split("|")[1].strip(" `"): line.split("|", 2)[2] for line in lines}


def keys(text: str) -> list[str]:
    """The keys of `{"a", "b"}` in a cell."""
    return re.findall(r'"(\w+)"', text)


def test_json_is_alone_on_stdout_whatever_a_model_prints(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = fakes.FakeModel.generate

    def loud(
        self: fakes.FakeModel, prompts: Sequence[str], seeds: Sequence[int], sampler: Sampler
    ) -> Frames:
        sys.stdout.write("noise of a library\n")
        return draw(self, prompts, seeds, sampler)

    monkeypatch.setattr(fakes.FakeModel, "generate", loud)
    assert command(["run", *RUN, "--run", "r", "--json"]) == 0
    out, err = capsys.readouterr()
    assert "noise of a library" in err
    assert json.loads(out) == json.loads(Path("r/report/summary.json").read_text())
    for args in (["generate", *RUN], ["features"], ["score"], ["summarize"], ["report"], ["check"]):
        assert command([*args, "--run", "r", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("verb", ["demo", "run"])
def test_the_last_line_is_the_page(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    monkeypatch.setenv("TURBO_EVAL_JUDGES", "fake")
    monkeypatch.setattr(run_cmd, "DEMO_SUITE", "custom:suite.json")
    monkeypatch.setattr(run_cmd, "DEMO_MODELS", ("fake@50", "fake@8"))
    assert command([verb, *(RUN if verb == "run" else []), "--run", "r"]) == 0
    page = Path(capsys.readouterr().out.splitlines()[-1])
    assert page.name == "index.html"
    assert page.is_file()
    assert (page.parent / "summary.json").is_file()


def test_the_summary_has_the_documented_keys() -> None:
    assert command(["run", *RUN, "--model", "fake-broken", "--run", "r"]) == 6
    summary: dict[str, Any] = json.loads(Path("r/report/summary.json").read_text())
    said = rows("`turbo-eval run SUITE")
    assert list(said) == list(summary)
    for model in summary["models"]:
        for cell in summary["models"][model].values():
            assert sorted(cell) == sorted(keys(said["models"]))
        assert list(summary["totals"][model]) == ["quality", "semantic", "total"]
        for total in summary["totals"][model].values():
            assert sorted(total) == sorted(keys(said["totals"]))
    assert set(summary["differences"]) == set(summary["models"]) - {summary["baseline"]}
    for table in summary["differences"].values():
        for cell in table.values():
            assert sorted(cell) == sorted(keys(said["differences"]))
    assert [sorted(failure) for failure in summary["failures"]] == [sorted(keys(said["failures"]))]
    for table, columns in rows("Tables in the run folder").items():
        assert pq.read_schema(Path("r", table)).names == re.findall(r"`(\w+)`", columns)


def test_other_commands_have_the_documented_keys(capsys: Capture) -> None:
    said = rows("`--json` of other commands")
    commands = {
        "generate": [*RUN, "--run", "r"],
        "plan": [*RUN, "--run", "r"],
        "check": ["--run", "r"],
        "config show": ["--origin"],
        "doctor": [],
        "describe": ["vbench.color"],
    }
    for name, args in commands.items():
        text = next(
            cells for first, cells in said.items() if first.startswith(f"turbo-eval {name}")
        )
        command([*name.split(), *args, "--json"])
        found = json.loads(capsys.readouterr().out)
        documented = set(re.findall(r"`(\w+)`", text))
        # The facts of `describe` depend on the kind, those of a check are a level deeper.
        assert documented <= set(found) | set(found.get("checks", [{}])[0]) | {"ok", "warn", "fail"}
        if name not in {"describe", "doctor"}:
            assert documented == set(found)


def test_prompts_have_the_documented_attributes() -> None:
    said = rows("`turbo_eval.prompts.load")
    assert list(said) == [field.name for field in dataclasses.fields(Prompt)]
    attributes = re.search(r"A suite has ([^.]*)\.", API)
    assert attributes is not None
    documented = re.findall(r"`(\w+)`", attributes[1])
    assert documented == [field.name for field in dataclasses.fields(Suite)]
    assert [prompt.index for prompt in load("mini")] == list(range(len(load("mini"))))


def test_the_examples_run() -> None:
    examples = re.findall(r"```python\n(.*?)```", API, re.DOTALL)
    assert len(examples) == 2
    for example in examples:
        exec(compile(example, "api.md", "exec"), {})

"""Rewards as metrics of a run: typed once, kept by the folder, scored once."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests import fakes
from tests.metrics.rewards.test_towers import Bright
from turbo_eval.cli.main import run as command
from turbo_eval.core.errors import PrerequisiteError
from turbo_eval.core.runs import RunFolder
from turbo_eval.metrics.rewards import Reward
from turbo_eval.metrics.rewards.load import REGISTRY

Capture = pytest.CaptureFixture[str]
RUN = ["custom:suite.json", "--judges", "fake", "--model", "fake", "--model", "fake@8"]
PROMPTS, MODELS = 10, 2


class Counting(Bright):
    """A reward that counts what it scores."""

    looks = 0

    def score(self, *args: Any) -> Any:
        type(self).looks += 1
        return super().score(*args)


def make(name: str, **settings: Any) -> Reward:
    if name == "gone":
        raise PrerequisiteError("no weights gone.pt of the reward 'gone'", fix="get gone.pt")
    return Counting(name, frames=2 if name == "moving" else None)


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.register()
    fakes.write_suite(tmp_path, PROMPTS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(REGISTRY, "_entries", dict(REGISTRY._entries))
    monkeypatch.setattr(REGISTRY, "_loaded", dict(REGISTRY._loaded))
    monkeypatch.setattr(Counting, "looks", 0)
    for name in ("still", "moving", "gone"):
        REGISTRY.add(name, make)


def run(*args: str) -> dict[str, Any]:
    """Run and read the summary."""
    assert command(["run", *RUN, *args, "--run", "r"]) == 0
    found: dict[str, Any] = json.loads(Path("r/summary.json").read_text())
    return found


def names(summary: dict[str, Any]) -> list[str]:
    return [name for name in summary["models"]["fake"] if name.startswith("reward.")]


def stamps(folder: str) -> dict[str, int]:
    return {str(p): p.stat().st_mtime_ns for p in Path(folder).rglob("*.safetensors")}


def test_a_folder_of_old_takes_a_reward_and_computes_nothing_else() -> None:
    before = run()
    assert "rewards" not in Path("r/run.toml").read_text()
    files, rows = stamps("r/features"), len(list(RunFolder("r").scores.read()))
    after = run("--rewards", "still,moving")
    assert names(after) == ["reward.moving", "reward.still"]
    # Five frames one by one, and whole clips.
    assert Counting.looks == PROMPTS * MODELS * (5 + 1)
    new = stamps("r/features")
    assert {path: new[path] for path in files} == files
    assert len(new) == len(files) + 2 * PROMPTS * MODELS
    added = len(list(RunFolder("r").scores.read())) - rows
    assert added == 2 * PROMPTS * MODELS
    # VBench's part of the summary is what it was, and its totals too.
    for model, table in before["models"].items():
        assert {n: after["models"][model][n] for n in table} == table
    assert after["totals"] == before["totals"]
    assert after["partial"] == before["partial"]
    looks = Counting.looks
    assert run("--rewards", "still") == run() == after
    assert Counting.looks == looks


def test_rewards_stand_everywhere_with_intervals_and_differences(capsys: Capture) -> None:
    summary = run("--rewards", "still", "--rewards", "moving")
    cell = summary["models"]["fake"]["reward.still"]
    values = [
        row["value"]
        for row in RunFolder("r").scores.read()
        if (row["metric"], row["model"]) == ("reward.still", "fake")
    ]
    assert cell["value"] == pytest.approx(sum(values) / PROMPTS)
    assert cell["low"] < cell["value"] < cell["high"]
    assert (cell["n"], cell["of"]) == (PROMPTS, PROMPTS)
    other = summary["models"]["fake@8"]["reward.still"]
    difference = summary["differences"]["fake@8"]["reward.still"]
    assert difference["value"] == pytest.approx(other["value"] - cell["value"])
    assert difference["pairs"] == PROMPTS
    assert summary["settings"]["rewards"] == ["still", "moving"]
    assert "reward.moving\t" in capsys.readouterr().out
    page = Path("r/report/index.html").read_text()
    assert page.count('data-metric="reward.still"') == 2
    assert f"<dt>Reward still</dt><dd>{values[0]:.4f}</dd>" in page
    for form in ("md", "csv", "tex"):
        assert "still" in Path(f"r/report/tables/results.{form}").read_text()


def test_the_stages_one_by_one(capsys: Capture) -> None:
    assert command(["generate", *RUN, "--rewards", "still", "--run", "r"]) == 0
    assert command(["features", "--run", "r"]) == 0
    assert command(["score", "--run", "r"]) == 0
    assert Counting.looks == 5 * PROMPTS * MODELS
    assert command(["score", "--run", "r", "--rewards", "reward.moving", "--json"]) == 0
    capsys.readouterr()
    assert Counting.looks == 6 * PROMPTS * MODELS
    assert command(["summarize", "--run", "r", "--json"]) == 0
    assert names(json.loads(capsys.readouterr().out)) == ["reward.moving", "reward.still"]


def test_a_plan_counts_them_and_keeps_nothing(capsys: Capture) -> None:
    run()
    capsys.readouterr()
    assert command(["plan", *RUN, "--rewards", "still", "--run", "r", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["rewards"] == ["still"]
    assert [s["missing"] for s in plan["stages"]] == [0, PROMPTS * MODELS, PROMPTS * MODELS]
    assert command(["features", "--run", "r", "--rewards", "still", "--dry-run"]) == 0
    assert "reward.still" not in Path("r/summary.json").read_text()
    assert not Path("r/rewards.json").exists()
    assert Counting.looks == 0


def test_dimensions_may_name_rewards_alone_or_with_others(capsys: Capture) -> None:
    summary = run("--dimensions", "color,reward.still")
    assert list(summary["models"]["fake"]) == ["vbench.color", "reward.still"]
    args = ["run", *RUN, "--dimensions", "reward.moving", "--run", "alone"]
    assert command(args) == 0
    summary = json.loads(Path("alone/summary.json").read_text())
    assert list(summary["models"]["fake"]) == ["reward.moving"]
    assert summary["totals"]["fake"]["total"] is None
    # The list of the folder is a copy of what its settings say.
    Path("alone/rewards.json").unlink()
    capsys.readouterr()
    assert command(["summarize", "--run", "alone", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["models"] == summary["models"]


def test_settings_and_environment_name_them(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("turbo-eval.toml").write_text('rewards = ["still"]\n')
    assert names(run()) == ["reward.still"]
    monkeypatch.setenv("TURBO_EVAL_REWARDS", "moving,still")
    assert names(run()) == ["reward.moving", "reward.still"]


def test_what_cannot_be_is_one_line_before_any_work(capsys: Capture) -> None:
    assert command(["run", *RUN, "--rewards", "stilll", "--run", "r"]) == 2
    assert "did you mean still" in capsys.readouterr().err
    assert command(["run", *RUN, "--rewards", "gone", "--run", "r"]) == 4
    assert "no weights gone.pt of the reward 'gone'. Fix: get gone.pt" in capsys.readouterr().err
    assert not Path("r").exists()
    run()
    assert command(["score", "--run", "r", "--rewards", "gone"]) == 4
    assert not Path("r/rewards.json").exists()


def test_a_finished_run_can_be_shown_where_the_weights_are_not(capsys: Capture) -> None:
    before = run("--rewards", "still")
    there = REGISTRY._loaded["still"]

    def gone(name: str, **settings: Any) -> Reward:
        raise PrerequisiteError(f"no weights of the reward {name!r}", fix="get still.pt")

    REGISTRY._loaded["still"] = gone
    capsys.readouterr()
    assert command(["report", "--run", "r"]) == 0
    assert command(["summarize", "--run", "r", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.partition("\n")[2])["models"] == before["models"]
    assert command(["run", *RUN, "--run", "r"]) == 0
    assert command(["run", *RUN, "--run", "r", "--rewards", "still"]) == 4
    # A new video cannot be looked at.
    for path in Path("r/features/reward.still").iterdir():
        path.unlink()
    assert command(["features", "--run", "r"]) == 4
    assert "no weights of the reward 'still'" in capsys.readouterr().err
    REGISTRY._loaded["still"] = there
    assert run()["models"] == before["models"]


def test_a_clip_too_short_fails_alone_and_spoils_no_total() -> None:
    REGISTRY._loaded["moving"] = lambda name, **settings: Bright(name, frames=9)
    assert command(["run", *RUN, "--rewards", "moving", "--run", "r"]) == 6
    summary = json.loads(Path("r/summary.json").read_text())
    cell = summary["models"]["fake"]["reward.moving"]
    assert (cell["value"], cell["n"], cell["of"]) == (None, 0, PROMPTS)
    assert len(summary["failures"]) == PROMPTS * MODELS
    assert "too short" in summary["failures"][0]["reason"]
    assert not any("missing" in reason for reason in summary["partial"])


def test_lists_and_descriptions_have_them(capsys: Capture) -> None:
    assert command(["list", "metrics", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["reward.imagereward"]["range"] == [None, 0.0]
    assert rows["reward.gone"]["description"] == "The reward gone."
    assert command(["describe", "reward.mini-image", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["kind"], facts["group"]) == ("metrics", "reward")

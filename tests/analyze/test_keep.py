"""The summary's tables in the run folder hold the numbers of summary.json."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests import fakes
from turbo_eval.cli.main import run as command
from turbo_eval.core.runs import RunFolder

MODELS = ["--model", "fake", "--model", "fake-broken@8"]


def test_one_row_per_model_and_metric(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.register()
    fakes.write_suite(tmp_path)
    monkeypatch.chdir(tmp_path)
    run = ["run", "custom:suite.json", "--judges", "fake", "--run", "r"]
    assert command([*run, *MODELS]) == 6
    summary = json.loads(Path("r/summary.json").read_text())
    rows = pq.read_table("r/summary.parquet").to_pylist()
    assert len(rows) == 2 * 16
    # The keys of scores.parquet, so that the tables can be joined.
    assert {row["judges"] for row in rows} == {r["judges"] for r in RunFolder("r").scores.read()}
    for row in rows:
        cell = summary["models"][row["model"]][row["metric"]]
        assert {key: row[key] for key in ("value", "low", "high", "n", "of")} == {
            key: cell[key] for key in ("value", "low", "high", "n", "of")
        }
    assert any(row["n"] < row["of"] for row in rows)
    pairs = pq.read_table("r/comparison.parquet").to_pylist()
    assert [row["metric"] for row in pairs] == [row["metric"] for row in rows[:16]]
    for row in pairs:
        assert (row["model"], row["baseline"]) == ("fake-broken@8", "fake")
        cell = summary["differences"][row["model"]][row["metric"]]
        assert {key: row[key] for key in cell} == cell


def test_what_is_absent_is_null(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.register()
    fakes.write_suite(tmp_path)
    monkeypatch.chdir(tmp_path)
    run = ["custom:suite.json", "--judges", "fake", "--run", "r", "--model", "fake"]
    assert command(["generate", *run]) == 0
    assert command(["summarize", "--run", "r"]) == 0
    rows = pq.read_table("r/summary.parquet").to_pylist()
    assert {(row["value"], row["low"], row["n"], row["of"]) for row in rows} == {(None, None, 0, 3)}
    assert pq.read_table("r/comparison.parquet").num_rows == 0

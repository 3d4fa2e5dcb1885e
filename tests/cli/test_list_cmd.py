"""Listing and describing: every registered thing, near names on a miss, broken ones in the open."""

import json
from typing import Any

import pytest

from turbo_eval.cli import catalog
from turbo_eval.cli.main import run
from turbo_eval.core.errors import PrerequisiteError
from turbo_eval.metrics.normalise import DIMENSIONS


def _json(capsys: pytest.CaptureFixture[str], *args: str) -> Any:
    assert run([*args, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("kind", catalog.KINDS)
def test_every_kind_lists_readable_names(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    rows = _json(capsys, "list", kind)
    assert rows
    assert [row["name"] for row in rows] == catalog.KINDS[kind].names()
    assert not [row for row in rows if "error" in row]


def test_list_without_kind_shows_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(_json(capsys, "list")) == set(catalog.KINDS)
    assert run(["list"]) == 0
    out = capsys.readouterr().out
    assert all(f"\n{kind}\n" in f"\n{out}" for kind in catalog.KINDS)


def test_metrics_are_the_sixteen_dimensions(capsys: pytest.CaptureFixture[str]) -> None:
    names = {row["name"] for row in _json(capsys, "list", "metrics")}
    assert {f"vbench.{dimension}" for dimension in DIMENSIONS} <= names


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("mini-teacher", "models"),
        ("mini", "suites"),
        ("judges:mini", "judges"),
        ("vbench.color", "metrics"),
        ("color", "metrics"),
    ],
)
def test_describe_finds_the_kind(name: str, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    facts = _json(capsys, "describe", name)
    assert facts["kind"] == kind
    assert facts["name"].removeprefix("vbench.") in name


def test_describe_tells_of_a_namesake(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["describe", "mini"]) == 0
    assert "turbo-eval describe judges:mini" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "near"),
    [
        (["describe", "vbench.colr"], "vbench.color"),
        (["describe", "mini-techer"], "mini-teacher"),
        (["list", "metric-s"], "metrics"),
    ],
)
def test_misses_name_the_nearest(
    args: list[str], near: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(args) == 2
    assert near in capsys.readouterr().err


def test_one_unreadable_thing_hides_no_other() -> None:
    def facts(name: str) -> catalog.Facts:
        if name == "broken":
            raise PrerequisiteError("the weights are gone", fix="pull them")
        return {"name": name}

    rows = catalog.Kind("things", lambda: ["broken", "whole"], facts, ("name",)).rows()
    assert rows[0]["name"] == "broken"
    assert "the weights are gone" in rows[0]["error"]
    assert rows[1] == {"name": "whole"}

"""The published files of VBench and EvalCrafter, where they lie beside the checkout."""

import json
from collections import Counter
from pathlib import Path

import pytest

from turbo_eval.prompts import DIMENSIONS, FREE_DIMENSIONS, load
from turbo_eval.prompts.check import check
from turbo_eval.prompts.sync import sync

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
VBENCH = SHARED / "vbench"
EVALCRAFTER = SHARED / "evalcrafter"
INFO = VBENCH / "VBench_full_info.json"


def test_vbench() -> None:
    suite = load("vbench", file=INFO)
    assert (suite.name, len(suite), suite.info["entries"]) == ("vbench", 944, 946)
    assert suite.dimensions == tuple(DIMENSIONS)
    entries = json.loads(INFO.read_text())
    # Joining loses no (text, dimension) pair and adds none.
    assert Counter(name for p in suite for name in p.dimensions) == Counter(
        name for entry in entries for name in entry["dimension"]
    )
    assert suite.counts()["subject_consistency"] == 72
    assert suite.counts()["aesthetic_quality"] == 93
    assert len({p.id for p in suite}) == 944
    assert all(finding.passed for finding in check(suite))
    assert any("a fantasy landscape" in note.lower() for note in suite.notes)
    blocks = {"appearance_style", "overall_consistency"}
    both = [p for p in suite if blocks <= set(p.dimensions)]
    assert len(both) == 2
    assert all("appearance_style" in p.auxiliary for p in both)


@pytest.mark.parametrize("name", ["color", "scene", "human_action", "temporal_style"])
def test_vbench_dimension_lists(name: str) -> None:
    suite = load("vbench", file=INFO, subset=name)
    lines = (VBENCH / "prompts_per_dimension" / f"{name}.txt").read_text().splitlines()
    assert {p.text for p in suite} == {line.strip() for line in lines if line.strip()}


def test_vbench_categories() -> None:
    (result,) = sync(VBENCH, ["vbench"])
    assert len(result.copied) == 9
    assert not result.missing
    assert len(load("vbench:category:all")) == 798
    assert load("vbench:category:human").prompts[0].text == "people carving a pumpkin"


def test_evalcrafter() -> None:
    suite = load(f"evalcrafter:{EVALCRAFTER}")
    assert (len(suite), suite.dimensions) == (700, FREE_DIMENSIONS)
    assert len({p.id for p in suite}) == 700
    assert len({p.text for p in suite}) == 696
    assert suite.prompts[5].text == suite.prompts[18].text
    assert suite.prompts[0].auxiliary["evalcrafter"]["attributes"] == {"count": "2 dog"}
    assert suite.notes[0].startswith("4 texts")
    assert all(finding.passed for finding in check(suite))


def test_sixteen_prompts_serve_all_of_vbench() -> None:
    chosen = load("vbench", file=INFO).select(limit=16)
    assert (len(chosen), chosen.dimensions) == (16, DIMENSIONS)

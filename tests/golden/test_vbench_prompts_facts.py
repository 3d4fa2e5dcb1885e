"""Every prompt of VBench that a dimension uses carries the facts which that dimension reads.

A few entries are typed here; with the shared data, all 946 are read.
"""

import json
from pathlib import Path
from typing import Any

from tests.golden.recorded import make_prompt
from turbo_eval.metrics.read import fact
from turbo_eval.metrics.vbench import metric
from turbo_eval.metrics.vbench.color import color_object
from turbo_eval.metrics.vbench.human_action import action_label
from turbo_eval.metrics.vbench.spatial_relationship import RELATIONS

SHARED = (
    Path(__file__).resolve().parents[3] / "shared" / "data" / "vbench" / "VBench_full_info.json"
)
KEYS = {
    "object_class": "object",
    "multiple_objects": "object",
    "color": "color",
    "scene": "scene",
    "appearance_style": "appearance_style",
    "spatial_relationship": "relationship",
}
LEFT = {"object_a": "bird", "object_b": "cat", "relationship": "on the left of"}
TYPED: list[dict[str, Any]] = [
    {
        "prompt_en": "an orange bird",
        "dimension": ["color"],
        "auxiliary_info": {"color": {"color": "orange"}},
    },
    {
        "prompt_en": "alley",
        "dimension": ["scene", "background_consistency"],
        "auxiliary_info": {"scene": {"scene": {"scene": "alley"}}},
    },
    {
        "prompt_en": "a bird on the left of a cat, front view",
        "dimension": ["spatial_relationship"],
        "auxiliary_info": {"spatial_relationship": {"spatial_relationship": LEFT}},
    },
    {"prompt_en": "A person is petting animal (not cat)", "dimension": ["human_action"]},
]


def entries() -> list[dict[str, Any]]:
    return TYPED + (json.loads(SHARED.read_text(encoding="utf-8")) if SHARED.exists() else [])


def test_facts_are_found_and_needed_facts_are_declared() -> None:
    for entry in entries():
        for dimension in entry["dimension"]:
            prompt = make_prompt(entry["prompt_en"], dimension, entry.get("auxiliary_info", {}))
            needs = metric(dimension).info.needs
            assert needs == ((dimension,) if dimension in KEYS else ())
            if needs:
                assert fact(prompt, dimension, KEYS[dimension]), entry


def test_derived_words_are_clean() -> None:
    nouns, labels, relations = set(), set(), set()
    for entry in entries():
        prompt = make_prompt(entry["prompt_en"], "", entry.get("auxiliary_info", {}))
        if "color" in entry["dimension"]:
            nouns.add(color_object(prompt, fact(prompt, "color", "color") or ""))
        if "human_action" in entry["dimension"]:
            labels.add(action_label(prompt))
        if "spatial_relationship" in entry["dimension"]:
            relations.add(fact(prompt, "spatial_relationship", "relationship"))
    assert {"bird"} <= nouns
    assert "petting animal (not cat)" in labels
    assert relations <= set(RELATIONS)
    assert all(word == word.strip() and "  " not in word for word in nouns | labels)
    if SHARED.exists():
        assert (len(nouns), len(labels), len(relations)) == (10, 100, 4)

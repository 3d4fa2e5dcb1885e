"""Scenes to words: what is held out stays out, captions say what they claim, the suite is whole."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turbo_train.world.captions import Said, caption
from turbo_train.world.facts import RELATIONS, SHAPES
from turbo_train.world.sample import held_out, held_out_scene, sample_scene, training_scene
from turbo_train.world.stream import item
from turbo_train.world.suite import entries, write

ROOT = Path(__file__).resolve().parents[3]


def test_training_never_shows_a_held_out_combination() -> None:
    rng = np.random.default_rng(0)
    assert not any(held_out(training_scene(rng)) for _ in range(300))
    assert all(held_out(held_out_scene(rng)) for _ in range(100))


def test_about_one_in_eight_combinations_is_held_out() -> None:
    rng = np.random.default_rng(1)
    share = np.mean([held_out(sample_scene(rng, pairs=0.0)) for _ in range(2000)])
    assert 0.09 < share < 0.16


@settings(max_examples=60, deadline=None)
@given(index=st.integers(0, 2**31))
def test_captions_name_what_they_state_and_nothing_else(index: int) -> None:
    entry = item(21, index)
    text, scene, said = entry.caption.lower(), entry.scene, entry.said
    assert text.strip()
    for sprite in scene.sprites:
        assert (sprite.shape in text) or not said.sprites
        if said.sprites and said.colors:
            assert f"{sprite.color} {sprite.shape}" in text
    if said.scene:
        assert scene.scene in text
    if said.sprites and said.relation and scene.relation:
        assert scene.relation in text
    unsaid = [shape for shape in SHAPES if shape not in {s.shape for s in scene.sprites}]
    # "Moving in a circle" is an action and shows no circle.
    words = text.replace("in a circle", "").replace(",", " ").split()
    assert not set(unsaid) & set(words)


def test_full_caption_reads_as_english() -> None:
    rng = np.random.default_rng(2)
    scene = sample_scene(
        rng,
        shapes=("star",),
        colors=("orange",),
        action="spinning",
        scene="night sky",
        style="neon",
        camera="zoom in",
    )
    assert caption(scene, Said()) == (
        "An orange star spinning in the night sky, neon style, zoom in"
    )


@pytest.mark.parametrize("relation", RELATIONS)
def test_relations_hold_in_the_picture(relation: str) -> None:
    rng = np.random.default_rng(3)
    scene = sample_scene(rng, relation=relation)
    first, second = scene.sprites
    dx, dy = first.x - second.x, first.y - second.y
    expected = {
        "on the left of": dx < -20,
        "on the right of": dx > 20,
        "on the top of": dy < -20,
        "on the bottom of": dy > 20,
    }
    assert expected[relation]
    assert [key for key, value in expected.items() if value] == [relation]


def test_the_suite_serves_every_dimension_and_repeats_nothing() -> None:
    found = list(entries())
    served = Counter(name for entry in found for name in entry["dimension"])
    assert len(found) >= 160
    assert len(served) == 16
    assert min(served.values()) >= 10
    texts = [entry["prompt_en"].lower() for entry in found]
    assert len(set(texts)) == len(texts)


def test_the_committed_suite_is_the_one_the_recipe_writes(tmp_path: Path) -> None:
    write(tmp_path)
    for name in ("mini_full_info.json", "manifest.toml"):
        assert (tmp_path / name).read_bytes() == (ROOT / "prompts" / "mini" / name).read_bytes()


def test_suite_facts_agree_with_its_texts() -> None:
    for entry in json.loads((ROOT / "prompts" / "mini" / "mini_full_info.json").read_text()):
        facts = entry.get("auxiliary_info", {})
        text = entry["prompt_en"].lower()
        if "multiple_objects" in facts:
            for noun in facts["multiple_objects"]["object"].split(" and "):
                assert noun in text
        if "spatial_relationship" in facts:
            inner = facts["spatial_relationship"]["spatial_relationship"]
            first, second = text.split(inner["relationship"])
            assert inner["object_a"] in first
            assert inner["object_b"] in second

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.metrics.builders import COLOR, STYLE, Roles, prompt, role, spatial
from turbo_eval.core.errors import InputError, UsageError
from turbo_eval.core.records import pack_text
from turbo_eval.metrics.base import Score, aggregate, failed, ok, skipped
from turbo_eval.metrics.normalise import DIMENSIONS, QUALITY
from turbo_eval.metrics.read import fact, numbers, strings, texts
from turbo_eval.metrics.registry import registry
from turbo_eval.metrics.vbench import all_metrics, metric

QUIRKY = {"dynamic_degree", "human_action", "color", "spatial_relationship", "scene"}

fractions = st.tuples(st.floats(-100, 100), st.integers(1, 64))


@given(st.lists(fractions, min_size=1, max_size=20), st.randoms())
def test_aggregate_is_the_pooled_fraction_in_any_order(
    parts: list[tuple[float, int]], random: Random
) -> None:
    scores = [ok(n, d) for n, d in parts] + [skipped("short"), failed("broken")]
    direct = math.fsum(n for n, _ in parts) / sum(d for _, d in parts)
    random.shuffle(scores)
    assert aggregate(scores) == direct


def test_aggregate_without_anything_ok_is_none() -> None:
    assert aggregate([]) is None
    assert aggregate([skipped("x"), failed("y")]) is None


@pytest.mark.parametrize(("num", "den"), [(math.nan, 1), (1, math.inf), (1, 0), (1, -1)])
def test_ok_refuses_what_is_no_number(num: float, den: float) -> None:
    with pytest.raises(InputError, match="no number"):
        ok(num, den)


def test_all_sixteen_are_registered_with_sound_facts() -> None:
    metrics = all_metrics()
    assert [m.info.dimension for m in metrics[:16]] == list(DIMENSIONS)
    for m in metrics[:16]:
        assert m.info.id == f"vbench.{m.info.dimension}"
        assert m.info.group == ("quality" if m.info.dimension in QUALITY else "semantic")
        assert m.info.low < m.info.high
        assert m.info.roles
        assert m.info.description
        assert metric(m.info.id) is metric(m.info.dimension) is registry.get(m.info.id)


def test_fixed_has_its_own_id_only_where_it_differs() -> None:
    for m in all_metrics(compat="fixed")[:16]:
        assert m.info.id.endswith(".fixed") == (m.info.dimension in QUIRKY)
        assert m.info.compat == ("fixed" if m.info.dimension in QUIRKY else "vbench")
    assert metric("color.fixed") == metric("vbench.color", compat="fixed")
    assert metric("color.fixed").info.dimension == "color"


def test_unknown_names_suggest_near_ones() -> None:
    with pytest.raises(UsageError, match=r"vbench\.color"):
        metric("vbench.colour")
    with pytest.raises(UsageError, match="compat mode"):
        metric("color", compat="official")  # type: ignore[arg-type]


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_no_features_is_a_failed_score_with_a_reason(dimension: str) -> None:
    facts = {
        "object_class": {"object": "bird"},
        "multiple_objects": {"object": "bird and cat"},
        "scene": {"scene": {"scene": "beach"}},
        **COLOR,
        **STYLE,
        **spatial("bird", "cat", "on the left of"),
    }
    for compat in ("vbench", "fixed"):
        score = metric(dimension, compat=compat).score({}, prompt(auxiliary=facts))
        assert (score.status, score.value, score.numerator) == ("failed", None, None)
        assert "part '" in score.reason


@pytest.mark.parametrize(
    ("dimension", "wanted"),
    [
        ("object_class", "object_class.object"),
        ("multiple_objects", "multiple_objects.object"),
        ("color", "color.color"),
        ("spatial_relationship", "spatial_relationship"),
        ("scene", "scene"),
        ("appearance_style", "appearance_style"),
    ],
)
def test_a_prompt_without_the_fact_is_skipped(dimension: str, wanted: str) -> None:
    assert metric(dimension).info.needs == (dimension,)
    score = metric(dimension).score({}, prompt())
    assert score.status == "skipped"
    assert wanted in score.reason


BROKEN: list[tuple[str, Roles]] = [
    ("subject_consistency", role("frame_features", features=np.zeros(3))),
    ("subject_consistency", role("frame_features", features=np.full((2, 2), np.nan))),
    ("temporal_flickering", role("pixels", frame_mae=[-1.0])),
    ("temporal_flickering", role("pixels", frame_mae=[256.0])),
    ("temporal_flickering", role("pixels", other=[256.0])),
    ("motion_smoothness", role("interpolation", mae=[300.0])),
    ("aesthetic_quality", role("aesthetic", scores=["good"])),
    ("dynamic_degree", role("flow", dynamic=[1.0], kept=5, size=[64, 64])),
    ("dynamic_degree", role("flow", dynamic=[1.0], kept=2, size=[64])),
    ("human_action", role("action", scores=[0.9, 0.8], labels=pack_text(["a"]))),
    ("human_action", role("action", scores=[0.8, 0.9], labels=pack_text(["a", "b"]))),
    ("human_action", role("action", scores=[0.8], labels=pack_text([1]))),
    ("color", role("detector", captions=pack_text([{"labels": []}]))),
    (
        "color",
        role("detector", captions=pack_text([{"labels": ["x"], "captions": []}])),
    ),
    ("color", role("detector", captions=pack_text([3]))),
    ("object_class", role("detector", objects=pack_text({"a": 1}))),
    ("object_class", role("detector", objects=np.asarray([255, 0], np.uint8))),
    (
        "object_class",
        role("detector", objects=pack_text([{"labels": ["x"], "boxes": [[1, 2]]}])),
    ),
    (
        "appearance_style",
        role("image_text", style_features=np.ones((2, 3)), logit_scale=100.0),
    ),
    (
        "appearance_style",
        role(
            "image_text",
            style_features=np.ones((2, 3)),
            style_text=np.ones(4),
            logit_scale=100.0,
        ),
    ),
    ("overall_consistency", role("video_text", video=np.ones(3), text=np.ones(4))),
]


@pytest.mark.parametrize(("dimension", "features"), BROKEN)
def test_broken_features_are_a_failed_score(dimension: str, features: Roles) -> None:
    facts = {"object_class": {"object": "bird"}, **COLOR, **STYLE}
    score = metric(dimension).score(features, prompt(auxiliary=facts))
    assert (score.status, score.value) == ("failed", None)
    assert score.reason


def test_readers_name_the_array() -> None:
    with pytest.raises(InputError, match=r"'pixels\.x' holds no numbers"):
        numbers(role("pixels", x=["a"]), "pixels", "x", 1)
    with pytest.raises(InputError, match="arrays at hand: x"):
        numbers(role("pixels", x=[1]), "pixels", "y", 1)
    with pytest.raises(InputError, match="is no list"):
        texts({"scene": {"captions": pack_text("a")}}, "scene", "captions")
    assert strings({"scene": {"captions": pack_text(["a"])}}, "scene", "captions") == ["a"]


def test_facts_are_found_at_every_depth() -> None:
    facts = {
        "color": {"color": " red ", "object": "star"},
        "scene": {"scene": {"scene": "snow field"}},
        "appearance_style": "neon",
        "object_class": {"object": 3},
        "multiple_objects": {"object": " "},
    }
    mine = prompt(auxiliary=facts)
    assert fact(mine, "color", "color") == "red"
    assert fact(mine, "color", "object") == "star"
    assert fact(mine, "scene", "scene") == "snow field"
    assert fact(mine, "appearance_style", "appearance_style") == "neon"
    assert fact(mine, "appearance_style", "other") is None
    assert fact(mine, "object_class", "object") is None
    assert fact(mine, "multiple_objects", "object") is None
    assert fact(mine, "human_action", "action") is None


def test_score_is_immutable() -> None:
    with pytest.raises(AttributeError):
        ok(1, 1).value = 0.0  # type: ignore[misc]
    assert ok(1, 2) == Score(0.5, 1.0, 2.0, "ok")

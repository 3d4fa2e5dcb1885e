"""What must hold for any features."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from tests.metrics.builders import STYLE, flow, objects, prompt, role, spatial
from turbo_eval.metrics.base import Score, aggregate
from turbo_eval.metrics.vbench import metric

Floats = NDArray[np.float64]

values = st.floats(-10, 10, allow_subnormal=False).map(lambda x: 0.0 if abs(x) < 1e-3 else x)
frames = st.integers(2, 8).flatmap(lambda t: arrays(np.float64, (t, 4), elements=values))
scales = st.floats(1e-2, 1e3)
differences = arrays(np.float64, st.integers(1, 12), elements=st.floats(0, 255))
boxes = st.tuples(*[st.integers(0, 60)] * 2, *[st.integers(1, 40)] * 2).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)
detections = st.lists(
    st.lists(st.tuples(st.sampled_from(["bird", "cat", "dog"]), boxes), max_size=4),
    min_size=1,
    max_size=5,
)


def _consistency(features: Floats) -> Score:
    return metric("subject_consistency").score(role("frame_features", features=features), prompt())


@given(frames, scales)
def test_consistency_range_and_scale(features: Floats, scale: float) -> None:
    one, other = _consistency(features), _consistency(features * scale)
    assert one.value is not None
    assert other.value is not None
    assert 0 <= one.value <= 1
    assert other.value == pytest.approx(one.value, abs=1e-9)
    assert one.denominator == len(features) - 1


@given(arrays(np.float64, 4, elements=st.floats(0.1, 10)), st.integers(2, 8))
def test_identical_frames_are_fully_consistent(frame: Floats, count: int) -> None:
    assert _consistency(np.tile(frame, (count, 1))).value == pytest.approx(1.0, abs=1e-12)


@given(st.lists(frames, min_size=1, max_size=5))
def test_pooled_consistency_equals_the_direct_computation(videos: list[Floats]) -> None:
    pairs: list[float] = []
    for video in videos:
        length = np.maximum(np.linalg.norm(video, axis=1, keepdims=True), 1e-12)
        unit = video / length
        for i in range(1, len(unit)):
            previous, first = float(unit[i] @ unit[i - 1]), float(unit[i] @ unit[0])
            pairs.append((max(0.0, previous) + max(0.0, first)) / 2)
    scores = [_consistency(video) for video in videos]
    assert aggregate(scores) == pytest.approx(np.mean(pairs), abs=1e-9)
    assert aggregate(scores[::-1]) == aggregate(scores)


@given(differences)
def test_pixel_scores_range_and_direction(errors: Floats) -> None:
    for dimension, part, key in (
        ("temporal_flickering", "pixels", "frame_mae"),
        ("motion_smoothness", "interpolation", "mae"),
    ):
        score = metric(dimension).score({part: {key: errors}}, prompt()).value
        better = metric(dimension).score({part: {key: errors / 2}}, prompt()).value
        perfect = metric(dimension).score({part: {key: errors * 0}}, prompt()).value
        assert score is not None
        assert better is not None
        assert -1e-12 <= score <= better <= 1
        assert perfect == 1.0


@given(frames, arrays(np.float64, 4, elements=values), scales)
def test_style_range_scale_and_pooling(features: Floats, text: Floats, scale: float) -> None:
    def score(factor: float) -> Score:
        part = role(
            "image_text",
            style_features=features * factor,
            style_text=text * factor,
            logit_scale=100.0,
        )
        return metric("appearance_style").score(part, prompt(auxiliary=STYLE))

    one, other = score(1.0), score(scale)
    assert one.value is not None
    assert -1 <= one.value <= 1
    assert other.value == pytest.approx(one.value, abs=1e-9)
    assert one.denominator == len(features)


@given(
    arrays(np.float64, 4, elements=values), arrays(np.float64, 4, elements=values), scales, scales
)
def test_video_text_range_scale_and_symmetry(a: Floats, b: Floats, s: float, t: float) -> None:
    score = metric("overall_consistency").score
    one = score(role("video_text", video=a, text=b), prompt()).value
    other = score(role("video_text", video=b * s, text=a * t), prompt()).value
    assert one is not None
    assert -1 <= one <= 1
    assert other == pytest.approx(one, abs=1e-9)


@given(st.lists(st.floats(0, 30), min_size=2, max_size=20), st.integers(32, 1080))
def test_motion_never_lowers_dynamic_degree(motion: list[float], side: int) -> None:
    def value(pairs: list[float]) -> float:
        score = metric("dynamic_degree").score(flow(pairs, size=(side, side)), prompt())
        assert score.value in (0.0, 1.0)
        return float(score.value or 0)

    assert value(motion) <= value([2 * pair for pair in motion])
    assert value(motion) == value(motion[::-1])


@given(detections, st.sampled_from(["on the left of", "on the top of"]))
def test_spatial_range_order_and_strictness(
    listed: list[list[tuple[str, Any]]], relation: str
) -> None:
    facts = prompt(auxiliary=spatial("bird", "cat", relation))
    loose = metric("spatial_relationship").score(objects(*listed), facts)
    strict = metric("spatial_relationship", compat="fixed").score(objects(*listed), facts)
    turned = metric("spatial_relationship").score(objects(*[f[::-1] for f in listed]), facts)
    assert loose.value is not None
    assert strict.value is not None
    assert 0 <= strict.value <= loose.value <= 1
    assert turned.value == pytest.approx(loose.value)
    assert loose.denominator == len(listed)


@given(detections)
def test_object_shares_pool_over_frames(listed: list[list[tuple[str, Any]]]) -> None:
    facts = prompt(
        auxiliary={
            "object_class": {"object": "bird"},
            "multiple_objects": {"object": "bird and cat"},
        }
    )
    single = [metric("object_class").score(objects(frame), facts) for frame in listed]
    whole = metric("object_class").score(objects(*listed), facts)
    assert aggregate(single) == whole.value
    both = metric("multiple_objects").score(objects(*listed), facts)
    assert both.value is not None
    assert whole.value is not None
    assert both.value <= whole.value

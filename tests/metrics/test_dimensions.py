"""Each dimension on numbers small enough to work out by hand."""

import json

import pytest

from tests.metrics.builders import (
    COLOR,
    STYLE,
    action,
    captions,
    flow,
    objects,
    prompt,
    role,
    scenes,
    spatial,
)
from turbo_eval.metrics.base import Score
from turbo_eval.metrics.compat import Compat
from turbo_eval.metrics.vbench import metric
from turbo_eval.metrics.vbench.color import color_object
from turbo_eval.metrics.vbench.human_action import action_label
from turbo_eval.metrics.vbench.static_filter import is_static

LEFT = (0.0, 0.0, 10.0, 10.0)
RIGHT = (40.0, 0.0, 50.0, 10.0)
BELOW = (0.0, 40.0, 10.0, 50.0)


def test_consistency_by_hand() -> None:
    features = [[1, 0], [0, 2], [-1, 0]]
    score = metric("subject_consistency").score(role("frame_features", features=features), prompt())
    # Every cosine is 0 or -1, and negative ones count 0.
    assert (score.value, score.denominator) == (0.0, 2.0)
    score = metric("background_consistency").score(
        role("image_text", features=[[1, 0], [1, 0], [0, 3]]), prompt()
    )
    assert (score.numerator, score.denominator) == (1.0, 2.0)


@pytest.mark.parametrize(
    ("dimension", "features"),
    [
        ("subject_consistency", role("frame_features", features=[[1.0, 2.0]])),
        ("background_consistency", role("image_text", features=[[1.0, 2.0]])),
        ("temporal_flickering", role("pixels", frame_mae=[])),
        ("motion_smoothness", role("interpolation", mae=[])),
        ("aesthetic_quality", role("aesthetic", scores=[])),
        ("imaging_quality", role("image_quality", scores=[])),
        ("dynamic_degree", flow(static=[])),
        ("object_class", objects()),
        ("multiple_objects", objects()),
        ("spatial_relationship", objects()),
        ("color", captions()),
        ("scene", scenes()),
    ],
)
def test_too_few_frames_are_skipped_with_a_reason(
    dimension: str, features: dict[str, dict[str, object]]
) -> None:
    facts = {
        "object_class": {"object": "bird"},
        "multiple_objects": {"object": "bird and cat"},
        "scene": {"scene": "beach"},
        **COLOR,
        **spatial("bird", "cat", "on the left of"),
    }
    score = metric(dimension).score(features, prompt(auxiliary=facts))  # type: ignore[arg-type]
    assert (score.status, score.value, score.denominator) == ("skipped", None, None)
    assert "frame" in score.reason


def test_means_over_frames() -> None:
    flicker = metric("temporal_flickering").score(role("pixels", frame_mae=[0.0, 51.0]), prompt())
    assert flicker.value == pytest.approx(0.9)
    assert flicker.details["static"] is None
    smooth = metric("motion_smoothness").score(role("interpolation", mae=[51.0]), prompt())
    assert smooth.value == pytest.approx(0.8)
    beauty = metric("aesthetic_quality").score(role("aesthetic", scores=[4.0, 6.0]), prompt())
    assert beauty.value == pytest.approx(0.5)
    quality = metric("imaging_quality").score(role("image_quality", scores=[40.0]), prompt())
    assert quality.value == pytest.approx(0.4)


def test_dynamic_degree_counts_pairs_above_the_threshold() -> None:
    def value(moving: int, compat: Compat = "vbench") -> float | None:
        motion = [6.01] * moving + [6.0] * (15 - moving)
        return metric("dynamic_degree", compat=compat).score(flow(motion), prompt()).value

    assert [value(n) for n in (0, 3, 4, 15)] == [0.0, 0.0, 1.0, 1.0]
    assert [value(n, "fixed") for n in (0, 3, 4, 15)] == [0.0, 0.0, 1.0, 1.0]
    small = metric("dynamic_degree").score(flow([1.6] * 15, size=(64, 80)), prompt())
    assert (small.value, small.details["threshold"]) == (1.0, 1.5)


def test_dynamic_degree_takes_as_many_pairs_as_settle_it() -> None:
    moves, still = metric("dynamic_degree"), metric("dynamic_degree", compat="fixed")
    early = moves.score(flow([7.0] * 4, kept=16), prompt())
    assert (early.value, early.details["pairs"], early.details["moving"]) == (1.0, 4, 4)
    assert still.score(flow([0.0] * 12, kept=16), prompt()).value == 0.0
    for unsettled in ([7.0] * 3, [0.0] * 11, [7.0] * 17):
        assert moves.score(flow(unsettled, kept=16), prompt()).status == "failed"


def test_dynamic_degree_of_very_short_videos() -> None:
    official, right = metric("dynamic_degree"), metric("dynamic_degree", compat="fixed")
    still_pair = flow([0.0], static=[0.0, 0.0])
    assert official.score(still_pair, prompt()).value == 1.0
    assert right.score(still_pair, prompt()).value == 0.0
    one_kept = flow([], static=[0.0, 0.0])
    assert official.score(one_kept, prompt()).value == 0.0
    assert right.score(one_kept, prompt()).status == "skipped"


def test_static_filter_by_hand() -> None:
    # 16 frames of 256 pixels: threshold 3, at most 2 moving pairs, ends within 3 * 2 * 2.
    assert is_static(flow(static=[3.1, 3.1] + [3.0] * 13, wrap=(12.0, 12.0)))
    assert not is_static(flow(static=[3.1] * 3 + [0.0] * 12))
    assert not is_static(flow(static=[0.0] * 15, wrap=(0.0, 12.1)))
    # 12 frames: round(1.5) = 2. 4 frames: round(0.5) = 0, so no motion at all between the ends.
    assert is_static(flow(static=[3.1, 3.1] + [0.0] * 9, wrap=(12.0, 0.0)))
    assert is_static(flow(static=[3.0] * 3))
    assert not is_static(flow(static=[0.0] * 3, wrap=(0.01, 0.0)))


def test_flickering_tells_static_from_moving() -> None:
    pixels = role("pixels", frame_mae=[1.0] * 15)
    still = metric("temporal_flickering").score({**pixels, **flow(static=[0.0] * 15)}, prompt())
    moves = metric("temporal_flickering").score({**pixels, **flow(static=[9.0] * 15)}, prompt())
    assert (still.details["static"], moves.details["static"]) == (True, False)
    assert still.value == moves.value


def test_object_class_needs_the_exact_name() -> None:
    frames = objects([("bird", LEFT)], [("birds", LEFT)], [], [("cat", LEFT), ("bird", RIGHT)])
    facts = {"object_class": {"object": "bird"}}
    score = metric("object_class").score(frames, prompt(auxiliary=facts))
    assert (score.numerator, score.denominator) == (2.0, 4.0)


def test_multiple_objects_needs_both_in_one_frame() -> None:
    frames = objects(
        [("bird", LEFT), ("cat", RIGHT)], [("bird", LEFT)], [("cat", LEFT)], [("dog", LEFT)]
    )
    facts = {"multiple_objects": {"object": "bird and cat"}}
    assert metric("multiple_objects").score(frames, prompt(auxiliary=facts)).value == 0.25
    same = {"multiple_objects": {"object": "bird and bird"}}
    assert metric("multiple_objects").score(frames, prompt(auxiliary=same)).value == 0.5


@pytest.mark.parametrize(
    ("text", "official", "right"),
    [
        ("A person is Riding a Bike", "riding a bike", "riding a bike"),
        ("A person is cross-country skiing.", "cross", "cross-country skiing"),
        ("a_b", "a", "a_b"),
        ("", "", ""),
    ],
)
def test_action_labels(text: str, official: str, right: str) -> None:
    assert action_label(prompt(text)) == official
    assert action_label(prompt(text), "fixed") == right
    named = prompt(text, {"human_action": {"action": "Spinning"}})
    assert action_label(named) == action_label(named, "fixed") == "spinning"


def test_human_action_rule() -> None:
    def value(scores: list[float], names: list[str]) -> float | None:
        features = action(names, scores)
        return metric("human_action").score(features, prompt("A person is clapping")).value

    assert value([0.85], ["Clapping"]) == 1.0
    # 0.84995 rounds to 0.85 (4 digits), 0.8499 does not.
    assert value([0.84996], ["clapping"]) == 1.0
    assert value([0.8499], ["clapping"]) == 0.0
    assert value([0.99] * 6, ["a", "b", "c", "d", "e", "clapping"]) == 0.0
    assert value([0.99], ["clapping hands"]) == 0.0
    assert value([], []) == 0.0


def _color(text: str, compat: Compat, *frames: list[tuple[str, str]]) -> Score:
    return metric("color", compat=compat).score(captions(*frames), prompt(text, COLOR))


def test_color_ratio_leaves_out_frames_without_the_object() -> None:
    frames: tuple[list[tuple[str, str]], ...] = (
        [("bird", "a red bird")],
        [("bird", "a blue bird")],
        [("bird", "a bird")],
        [("cat", "a red cat")],
        [],
    )
    for compat in ("vbench", "fixed"):
        score = _color("a red bird", compat, *frames)
        assert (score.value, score.denominator) == (0.5, 1.0)
    nothing = _color("a red bird", "vbench", [("cat", "a red cat")])
    assert (nothing.status, nothing.value) == ("skipped", None)


def test_color_quirks_and_their_correction() -> None:
    first_class = [("cat", "a white cat"), ("bird", "a red bird")]
    assert _color("a red bird", "vbench", first_class).status == "skipped"
    assert _color("a red bird", "fixed", first_class).value == 1.0
    borrowed = [("bird", "a white bird"), ("cat", "a red cat")]
    assert _color("a red bird", "vbench", borrowed).value == 1.0
    assert _color("a red bird", "fixed", borrowed).value == 0.0
    inside = [("bird", "a colored white bird")]
    assert _color("a red bird", "vbench", inside).value == 1.0
    assert _color("a red bird", "fixed", inside).value == 0.0


def test_color_noun() -> None:
    assert color_object(prompt("an orange umbrella"), "orange") == "umbrella"
    assert color_object(prompt("x", {"color": {"color": "red", "object": "star"}}), "red") == "star"


def test_color_outside_the_list_stays_a_ratio() -> None:
    teal = prompt("a teal bird", {"color": {"color": "teal"}})
    frames = captions([("bird", "a teal bird")], [("bird", "a red bird")])
    assert metric("color").score(frames, teal).value == 0.5


def _place(relation: str, compat: Compat, *frame: tuple[str, tuple[float, ...]]) -> float | None:
    facts = spatial("bird", "cat", relation)
    scorer = metric("spatial_relationship", compat=compat)
    return scorer.score(objects(list(frame)), prompt(auxiliary=facts)).value


@pytest.mark.parametrize(
    ("relation", "place", "wrong_side"),
    [
        ("on the left of", (LEFT, RIGHT), "on the right of"),
        ("on the top of", (LEFT, BELOW), "on the bottom of"),
    ],
)
def test_spatial_side_is_only_checked_when_fixed(
    relation: str, place: tuple[tuple[float, ...], tuple[float, ...]], wrong_side: str
) -> None:
    frame = [("bird", place[0]), ("cat", place[1])]
    assert _place(relation, "vbench", *frame) == _place(relation, "fixed", *frame) == 1.0
    assert _place(wrong_side, "vbench", *frame) == 1.0
    assert _place(wrong_side, "fixed", *frame) == 0.0
    birds = [("bird", place[0]), ("bird", place[1])]
    assert (_place(relation, "vbench", *birds), _place(relation, "fixed", *birds)) == (1.0, 0.0)


def test_spatial_overlap_axis_and_absence() -> None:
    near = (6.0, 0.0, 16.0, 10.0)  # overlaps LEFT by 4 x 10 of 160: 0.25
    assert _place("on the left of", "vbench", ("bird", LEFT), ("cat", near)) == pytest.approx(0.4)
    assert _place("on the top of", "vbench", ("bird", LEFT), ("cat", near)) == 0.0
    assert _place("on the left of", "vbench", ("bird", LEFT)) == 0.0
    # Boxes without area: the official program divides by zero, the pair counts in full here.
    dots = [("bird", (1.0, 1.0, 1.0, 1.0)), ("cat", (9.0, 1.0, 9.0, 1.0))]
    assert _place("on the left of", "vbench", *dots) == 1.0


def test_spatial_same_class_twice_when_fixed() -> None:
    facts = spatial("bird", "bird", "on the left of")
    frame = objects([("bird", RIGHT), ("bird", LEFT)])
    scorer = metric("spatial_relationship", compat="fixed")
    assert scorer.score(frame, prompt(auxiliary=facts)).value == 1.0


def test_spatial_unknown_relation_is_a_failed_score() -> None:
    facts = spatial("bird", "cat", "on the lef of")
    score = metric("spatial_relationship").score(objects([]), prompt(auxiliary=facts))
    assert score.status == "failed"
    assert "on the left of" in score.reason


def test_scene_words() -> None:
    facts = {"scene": {"scene": {"scene": "snow bar"}}}
    said = scenes("a bar in the snow", "a snowy barn", "Snow at a Bar", "snow")
    official = metric("scene").score(said, prompt(auxiliary=facts))
    right = metric("scene", compat="fixed").score(said, prompt(auxiliary=facts))
    assert (official.numerator, right.numerator) == (2.0, 2.0)
    substring = scenes("a snowy barn")
    assert metric("scene").score(substring, prompt(auxiliary=facts)).value == 1.0
    assert metric("scene", compat="fixed").score(substring, prompt(auxiliary=facts)).value == 0.0


def test_appearance_style_pools_frames() -> None:
    features = role(
        "image_text",
        style_features=[[2.0, 0.0], [0.0, 1.0]],
        style_text=[5.0, 0.0],
        logit_scale=50.0,
    )
    score = metric("appearance_style").score(features, prompt(auxiliary=STYLE))
    assert (score.numerator, score.denominator) == (0.5, 2.0)


def test_video_text_similarity_may_be_negative() -> None:
    features = role("video_text", video=[1.0, 0.0], text=[-3.0, 0.0])
    for dimension in ("temporal_style", "overall_consistency"):
        assert metric(dimension).score(features, prompt()).value == -1.0


def test_details_are_plain_json() -> None:
    score = metric("dynamic_degree").score(flow([7.0] * 15), prompt())
    assert json.loads(json.dumps(dict(score.details)))["moving"] == 15

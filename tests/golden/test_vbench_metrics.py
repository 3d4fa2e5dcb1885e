"""Our 16 score functions against the official VBench program, on what it recorded on the way.

The official package (0.1.5, random weights, real clips) wrote its intermediate tensors and its
results. The tensors go into our functions; our per-video values and aggregates must equal its own
to 1e-4. A condensed copy lies in data/ (see `condense`), the full one in the shared fixtures.

Recorded data suffice for every dimension except for these parts:
- human_action: the logits carry no class names, and the network's own order of the 400 classes is
  not recorded. So the test puts the prompted label on each of the five best classes in turn, and
  checks the rule around it (five best, rounded, 0.85) rather than which class it was.
- color: the official program found no frame with the object and a colour word and divided by
  zero. The test checks that ours leaves both videos out and has no aggregate.
- the static filter in front of temporal_flickering: no flow over all pairs was recorded. Its
  formula is tested in tests/metrics/test_static_filter.py with numbers worked out by hand.
"""

import numpy as np
import pytest

from tests.golden.recorded import (
    SHARED,
    Recording,
    action_arrays,
    make_prompt,
    read_shared,
    recordings,
)
from turbo_eval.metrics.base import aggregate
from turbo_eval.metrics.normalise import DIMENSIONS
from turbo_eval.metrics.vbench import metric
from turbo_eval.metrics.vbench.color import color_object
from turbo_eval.metrics.vbench.human_action import action_label

TOLERANCE = 1e-4

# Frame pairs need 7 digits of each coordinate; the condensed numbers are rounded to that.
VIDEOS = {
    "subject_consistency": 10,
    "background_consistency": 10,
    "temporal_flickering": 10,
    "motion_smoothness": 9,
    "dynamic_degree": 4,
    "aesthetic_quality": 10,
    "imaging_quality": 10,
    "object_class": 2,
    "multiple_objects": 2,
    "human_action": 4,
    "color": 2,
    "spatial_relationship": 2,
    "scene": 3,
    "appearance_style": 6,
    "temporal_style": 7,
    "overall_consistency": 10,
}


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_per_video_values_equal_the_official_ones(dimension: str) -> None:
    score = metric(dimension).score
    for recording in recordings(dimension):
        assert len(recording.cases) == VIDEOS[dimension]
        for case in recording.cases:
            ours = score(case.features, case.prompt)
            if case.value is None:
                assert (ours.status, ours.value) == ("skipped", None), case.video
            else:
                assert ours.value == pytest.approx(case.value, abs=TOLERANCE), case.video


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_aggregates_equal_the_official_ones(dimension: str) -> None:
    score = metric(dimension).score
    for recording in recordings(dimension):
        ours = aggregate(score(case.features, case.prompt) for case in recording.cases)
        if recording.aggregate is None:
            assert ours is None
        else:
            assert ours == pytest.approx(recording.aggregate, abs=TOLERANCE)


def test_only_color_has_no_official_aggregate() -> None:
    for dimension in DIMENSIONS:
        missing = [r.source for r in recordings(dimension) if r.aggregate is None]
        assert bool(missing) == (dimension == "color")


def test_own_copy_covers_the_shared_recordings() -> None:
    if not SHARED.exists():
        return
    for dimension in DIMENSIONS:
        own, shared = recordings(dimension)
        assert own.aggregate == shared.aggregate
        assert [(c.video, c.value) for c in own.cases] == [(c.video, c.value) for c in shared.cases]


def test_dynamic_degree_threshold_and_need_equal_the_recorded_ones() -> None:
    # (threshold, pairs needed) as the official program printed them, per clip in order.
    official = [(7.5, 4), (7.5, 4), (6.0, 2), (5.625, 1)]
    for recording in recordings("dynamic_degree"):
        scores = [metric("dynamic_degree").score(c.features, c.prompt) for c in recording.cases]
        ours = [(s.details["threshold"], s.details["needed"]) for s in scores]
        assert ours == official


def _spatial(recording: Recording) -> list[float]:
    case = recording.cases[0]
    values = metric("spatial_relationship").score(case.features, case.prompt).details["frames"]
    return [float(value) for value in values]


def test_spatial_frame_values_equal_the_recorded_ones() -> None:
    for recording in recordings("spatial_relationship"):
        values = _spatial(recording)
        assert values[0] == pytest.approx(0.2397180003662333, abs=1e-12)
        assert values[1:] == [1.0] * 15


def test_action_counts_at_each_of_the_five_ranks_and_never_without() -> None:
    prompt = make_prompt("A person is wrestling", "human_action", {})
    logits = np.linspace(-3, 3, 400)
    for rank in range(5):
        value = metric("human_action").score(action_arrays(logits, "wrestling", rank), prompt)
        assert value.value == 1.0
    absent = metric("human_action").score(action_arrays(logits, "wrestling", None), prompt)
    assert absent.value == 0.0


def test_labels_and_nouns_read_from_recorded_prompts() -> None:
    labels = [action_label(case.prompt) for case in recordings("human_action")[0].cases]
    assert labels == ["shaking head", "wrestling", "robot dancing", "shaking hands"]
    for case in recordings("color")[0].cases:
        assert color_object(case.prompt, case.prompt.text.split()[1]) == "bird"


def test_shared_recordings_are_read_by_the_same_names() -> None:
    if SHARED.exists():
        assert read_shared("scene").cases[0].prompt.text == "ocean"

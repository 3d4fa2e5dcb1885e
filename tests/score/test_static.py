"""Which videos VBench's static filter looks at, and which of them count."""

from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from turbo_eval.core.records import VideoRow
from turbo_eval.score.static import KEPT, first_static, official_order, to_look_at


def video(index: int, prompt: str = "p", model: str = "m") -> VideoRow:
    return VideoRow(
        video_id=f"{prompt}{index}", prompt_id=prompt, model=model, fingerprint="f", seed=index,
        seed_index=index, sampler="file", steps=0, guidance=0.0, width=1, height=1, frames=2,
        fps=8.0, path="x", content_hash="h", seconds=0.0, status="ok",
    )  # fmt: skip


def test_the_order_is_that_of_file_names() -> None:
    order = sorted(range(25), key=official_order)
    names = sorted(f"a prompt-{index}.mp4" for index in range(25))
    assert [f"a prompt-{index}.mp4" for index in order] == names
    assert order[:4] == [0, 1, 10, 11]


def test_five_are_looked_at_first_and_more_for_those_that_move() -> None:
    videos = [video(i) for i in range(25)]
    first = to_look_at(videos, lambda _: None)
    assert first == {("m", f"p{i}") for i in (0, 1, 10, 11, 12)}
    known = {0: False, 1: True, 10: False, 11: True, 12: True}
    second = to_look_at(videos, lambda v: known.get(v.seed_index))
    assert second == first | {("m", "p13"), ("m", "p14")}


@given(st.lists(st.booleans(), min_size=1, max_size=25))
def test_looking_round_by_round_finds_what_looking_at_all_would(still: list[bool]) -> None:
    videos = [video(i) for i in range(len(still))]
    known: dict[int, bool] = {}

    def looked(video: VideoRow) -> bool | None:
        return known.get(video.seed_index)

    for _ in range(len(still) + 1):
        asked = to_look_at(videos, looked)
        known |= {v.seed_index: still[v.seed_index] for v in videos if ("m", v.video_id) in asked}
    order = sorted(range(len(still)), key=official_order)
    expected = [i for i in order if still[i]][:KEPT]
    found = [i for i in order if known.get(i)][:KEPT]
    assert found == expected
    # Nothing beyond the fifth static video was looked at.
    if len(expected) == KEPT:
        assert set(known) == set(order[: order.index(expected[-1]) + 1])


def row(index: int, metric: str, status: str = "ok") -> dict[str, Any]:
    return {"model": "m", "video_id": f"p{index}", "metric": metric, "status": status}


def test_only_the_first_five_of_a_prompt_count_for_flickering() -> None:
    flicker, other = "vbench.temporal_flickering", "vbench.imaging_quality"
    rows = [row(i, flicker) for i in (2, 24, 1, 10, 3, 11)]
    rows += [row(0, flicker, "skipped"), *(row(i, other) for i in range(8))]
    slots: Mapping[tuple[str, str], tuple[str, int]] = {("m", f"p{i}"): ("p", i) for i in range(25)}
    kept = list(first_static(rows, slots))
    counted = [r["video_id"] for r in kept if r["metric"] == flicker and r["status"] == "ok"]
    assert counted == ["p1", "p10", "p11", "p2", "p24"]
    assert len([r for r in kept if r["metric"] == other]) == 8
    assert row(0, flicker, "skipped") in kept

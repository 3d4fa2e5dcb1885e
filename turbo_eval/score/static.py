"""Which videos VBench's static filter looks at, and which of them count.

For temporal flickering VBench makes 25 videos of a prompt, looks at them in the order of their file
names and keeps the first five that stand still (reference note, section 4). Networks need not look
at the others.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from turbo_eval.backbones.judges import Judges, require
from turbo_eval.core.records import VideoRow, feature_key
from turbo_eval.core.runs import RunFolder
from turbo_eval.features.cache import load_features, read_header
from turbo_eval.generate.plan import FLICKER
from turbo_eval.metrics.base import Metric
from turbo_eval.metrics.vbench.static_filter import is_static

KEPT: Final = 5

Key = tuple[str, str]
"""Label of the model and video id."""


def official_order(index: int) -> str:
    """Sort key of a video's index: file names are sorted as text, so 10 comes before 2."""
    return f"{index}."


def to_look_at(
    videos: Iterable[VideoRow], is_static: Callable[[VideoRow], bool | None]
) -> set[Key]:
    """Say which videos the filter has looked at, or has to look at next.

    Args:
        videos: Finished videos of prompts that temporal flickering is measured on.
        is_static: Whether a video stands still; None when nobody has looked yet.

    Returns:
        The videos that are known, and as many of the next ones as it takes to find five.
    """
    found: set[Key] = set()
    for group in _by_prompt(videos).values():
        kept = 0
        for video in sorted(group, key=lambda v: official_order(v.seed_index)):
            static = is_static(video)
            if static is None and kept >= KEPT:
                continue
            found.add((video.model, video.video_id))
            # One that nobody has looked at may be static, so it takes a place for now.
            kept += static is not False
    return found


def filtered_metrics(
    videos: Iterable[VideoRow],
    by_prompt: Mapping[str, tuple[Metric, ...]],
    seeds: int,
    judges: Judges,
    run: RunFolder,
    given_up: Collection[Key] = (),
) -> Callable[[VideoRow], tuple[Metric, ...]]:
    """Say which metrics a video gets in a run with the static filter.

    Videos from `seeds` on are candidates of the filter and serve nothing else; the filter in turn
    spares videos that come after the fifth static one.

    Args:
        videos: Finished videos.
        by_prompt: Prompt id -> its metrics.
        seeds: Videos per prompt for the other dimensions.
        judges: Their flow network is the filter's.
        run: The run folder; only read.
        given_up: Videos that the filter goes on without, because looking at them failed.

    Raises:
        UsageError: The judges have no flow network.
    """
    info = require(judges, "flow").info

    def static(video: VideoRow) -> bool | None:
        key = feature_key(video.content_hash, info.id, info.version, info.weights)
        path = run.feature_path(info.id, video.video_id)
        header = read_header(path)
        if header is None or header.get("key") != key:
            return False if (video.model, video.video_id) in given_up else None
        arrays = load_features(path)
        # A video of one frame has no pair to look at.
        return "static" in arrays and bool(arrays["static"].size) and is_static({"flow": arrays})

    candidates = [v for v in videos if any(_flickers(m) for m in by_prompt[v.prompt_id])]
    looked = to_look_at(candidates, static)

    def metrics(video: VideoRow) -> tuple[Metric, ...]:
        wanted = (video.model, video.video_id) in looked
        extra = video.seed_index >= seeds
        return tuple(
            m for m in by_prompt[video.prompt_id] if (wanted if _flickers(m) else not extra)
        )

    return metrics


def _flickers(metric: Metric) -> bool:
    return metric.info.dimension == FLICKER


def first_static(
    rows: Iterable[dict[str, Any]], slots: Mapping[Key, tuple[str, int]]
) -> Iterator[dict[str, Any]]:
    """Leave out the flicker scores of a prompt beyond its first five static videos.

    Args:
        rows: Score rows of any metrics.
        slots: (model, video id) -> (prompt id, index).

    Yields:
        Rows of other metrics and rows without a value as they are.
    """
    static: dict[tuple[str, str], list[tuple[str, dict[str, Any]]]] = {}
    for row in rows:
        slot = slots.get((row["model"], row["video_id"]))
        if slot is None or row["status"] != "ok" or not row["metric"].endswith(f".{FLICKER}"):
            yield row
            continue
        place = (official_order(slot[1]), row)
        static.setdefault((row["model"], slot[0]), []).append(place)
    for places in static.values():
        yield from (row for _, row in sorted(places, key=lambda place: place[0])[:KEPT])


def _by_prompt(videos: Iterable[VideoRow]) -> dict[tuple[str, str], list[VideoRow]]:
    groups: dict[tuple[str, str], list[VideoRow]] = {}
    for video in videos:
        groups.setdefault((video.model, video.prompt_id), []).append(video)
    return groups

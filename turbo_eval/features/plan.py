"""Which backbones still have to look at which videos."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from turbo_eval.backbones.judges import Judges, require
from turbo_eval.core.records import FeatureRow, Prompt, VideoRow, feature_key
from turbo_eval.core.runs import RunFolder
from turbo_eval.features.cache import read_header

HELD: Final = 2500.0
"""Megabytes of weight files that are held on a CPU at once; networks take up to twice as much."""


@dataclass(frozen=True, slots=True)
class FeatureItem:
    """A video with the parts that have not looked at it yet.

    Attributes:
        video: The video's row.
        prompt: Its prompt.
        missing: Role -> feature key, in the order in which they look.
    """

    video: VideoRow
    prompt: Prompt
    missing: Mapping[str, str]

    def __str__(self) -> str:
        """The item in a user's words."""
        text = self.prompt.text if len(self.prompt.text) <= 60 else self.prompt.text[:57] + "..."
        return f"{self.video.model}, {text!r}, video {self.video.seed_index}"


@dataclass(frozen=True, slots=True)
class FeaturePlan:
    """What the stage will do.

    Attributes:
        items: Videos to look at, those of the same parts together; a video with more parts than
            memory should hold at once (`in_passes`) stands there several times.
        total: Pairs of video and part there are, finished ones included.
        adopted: Rows of files that are whole but whose row was never written (a killed process).
    """

    items: tuple[FeatureItem, ...]
    total: int
    adopted: tuple[FeatureRow, ...]

    @property
    def count(self) -> int:
        """Pairs of video and part that are missing."""
        return sum(len(item.missing) for item in self.items)


Needs = Mapping[str, Sequence[str]]
"""Prompt id -> the roles whose features some metric of the prompt reads."""


def plan_features(
    videos: Iterable[VideoRow],
    prompts: Mapping[str, Prompt],
    needs: Needs | Callable[[VideoRow], Collection[str]],
    judges: Judges,
    run: RunFolder,
) -> FeaturePlan:
    """Compare what the metrics need with rows and files.

    Features are finished when their file is whole and carries the wanted key.

    Args:
        videos: Finished videos of the run.
        prompts: Prompt id -> prompt.
        needs: Which parts have to look at a prompt's videos, and no others do; or a function that
            says it for each video.
        judges: Who plays the parts.
        run: The run folder; only read.

    Raises:
        UsageError: The judges do not fill a needed part.
    """
    rows = {(row["video_id"], row["feature_key"]): row for row in run.features.read()}
    items: list[FeatureItem] = []
    adopted: list[FeatureRow] = []
    total = 0
    planned: set[tuple[str, str]] = set()
    for video in videos:
        wanted = set(needs(video) if callable(needs) else needs.get(video.prompt_id, ()))
        for role in wanted:
            require(judges, role)
        missing: dict[str, str] = {}
        for role in (role for role in judges.infos if role in wanted):
            info = judges.infos[role]
            key = feature_key(video.content_hash, info.id, info.version, info.weights)
            if (video.video_id, key) in planned:
                continue
            planned.add((video.video_id, key))
            total += 1
            header = read_header(run.feature_path(info.id, video.video_id))
            if header is None or header.get("key") != key:
                missing[role] = key
            elif rows.get((video.video_id, key), {}).get("status") != "ok":
                seconds = float(header.get("seconds", 0))
                adopted.append(feature_row(video, judges, role, key, run, seconds))
        if missing:
            items.append(FeatureItem(video, prompts[video.prompt_id], missing))
    items = [some for item in items for some in in_passes(item, judges)]
    # Videos that the same parts look at stand together, so that few networks are held at once.
    order = {role: place for place, role in enumerate(judges.infos)}
    items.sort(key=lambda item: [order[role] for role in item.missing])
    return FeaturePlan(tuple(items), total, tuple(adopted))


def in_passes(item: FeatureItem, judges: Judges, megabytes: float = HELD) -> Iterator[FeatureItem]:
    """Split an item whose parts have more weights on the CPU than should be held at once.

    The video is decoded once for each pass, which costs little beside such networks. On other
    devices memory is asked for what there is, and every video is decoded once.

    Args:
        item: A video and its missing parts.
        judges: Who plays the parts.
        megabytes: Most of one pass; a part that has more makes a pass alone.

    Yields:
        Items that together have the same parts, in the same order.
    """
    some: dict[str, str] = {}
    held = 0.0
    for role, key in item.missing.items():
        part = require(judges, role)
        size = judges.infos[role].megabytes if getattr(part, "device", "cpu") == "cpu" else 0.0
        if some and held + size > megabytes:
            yield replace(item, missing=some)
            some, held = {}, 0.0
        some[role] = key
        held += size
    if some:
        yield replace(item, missing=some)


def feature_row(
    video: VideoRow,
    judges: Judges,
    role: str,
    key: str,
    run: RunFolder,
    seconds: float,
    reason: str = "",
) -> FeatureRow:
    """Make the row of one part and one video; a reason makes it a failed one."""
    info = judges.infos[role]
    return FeatureRow(
        feature_key=key,
        video_id=video.video_id,
        content_hash=video.content_hash,
        backbone=info.id,
        version=info.version,
        path=run.relative(run.feature_path(info.id, video.video_id)),
        seconds=seconds,
        status="failed" if reason else "ok",
        reason=reason,
    )


def seconds_of(counts: Mapping[str, int], rows: Iterable[Mapping[str, Any]]) -> float | None:
    """Estimate how long backbones will take, from finished rows.

    Args:
        counts: Backbone id -> videos it has to look at.
        rows: Feature rows of this run.

    Returns:
        Seconds; None when a backbone that has work has no history.
    """
    history: dict[str, list[float]] = {}
    for row in rows:
        if row["status"] == "ok":
            history.setdefault(row["backbone"], []).append(row["seconds"])
    if any(backbone not in history for backbone, count in counts.items() if count):
        return None
    return sum(
        count * sum(history[backbone]) / len(history[backbone])
        for backbone, count in counts.items()
        if count
    )

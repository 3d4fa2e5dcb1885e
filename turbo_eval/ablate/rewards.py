"""Reward models as measures: the score of every clip, kept in a table, with intervals."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from turbo_eval.analyze.cells import EMPTY, Cells
from turbo_eval.analyze.estimate import difference, metric_summary
from turbo_eval.analyze.summary import Difference, MetricSummary
from turbo_eval.core.errors import InputError, PrerequisiteError
from turbo_eval.core.hashing import content_key
from turbo_eval.core.progress import Progress
from turbo_eval.core.records import Prompt, Status, VideoRow, schema
from turbo_eval.core.runs import RunFolder
from turbo_eval.core.store import Table
from turbo_eval.launch import graceful_stop
from turbo_eval.metrics.rewards import Reward, load, score_clips
from turbo_eval.video.read import decode

PREFIX = "reward."
_SECONDS_PER_SHARD = 5.0


@dataclass(frozen=True, slots=True)
class RewardRow:
    """One reward of one video.

    Attributes:
        content_hash: Key of the file that was scored.
        weights: Key of the reward's weights.
        value: The score, the mean over frames for an image reward; None when it failed.
    """

    model: str
    video_id: str
    content_hash: str
    reward: str
    weights: str
    value: float | None
    status: Status
    reason: str = ""


def open_rewards(names: Sequence[str], device: str = "cpu") -> tuple[list[Reward], list[str]]:
    """The reward models that are here, and a line for each that is not.

    Raises:
        UsageError: No such reward; the nearest names are suggested.
    """
    found: list[Reward] = []
    absent: list[str] = []
    for name in names:
        try:
            reward = load(name, device=device)
        except PrerequisiteError as error:
            absent.append(f"no reward {name}: {error.what}")
        else:
            found.append(reward)
    return found, absent


def table_of(run: RunFolder) -> Table:
    """The table of rewards in a run folder."""
    key = ("model", "video_id", "content_hash", "reward", "weights")
    return Table(run.path / "rewards.parquet", schema(RewardRow), key)


def score(
    rewards: Sequence[Reward],
    videos: Iterable[VideoRow],
    prompts: Mapping[str, Prompt],
    run: RunFolder,
    *,
    device: str = "cpu",
) -> list[dict[str, Any]]:
    """Score the videos that have no score yet.

    Args:
        rewards: The models.
        videos: Finished videos.
        prompts: Prompt id -> prompt.
        run: The run folder.
        device: Where the models are.

    Returns:
        The rows of these videos, finished and failed ones.

    Raises:
        Interrupted: A signal came; what is scored is kept.
    """
    table, wanted = table_of(run), list(videos)
    rows = {_key(row): row for row in table.read()}
    missing = [(v, r) for v in wanted for r in rewards if not _done(rows.get(_slot(v, r)))]
    total = len(wanted) * len(rewards)
    if missing:
        waiting: list[RewardRow] = []
        last = time.monotonic()
        with graceful_stop() as stop, Progress("rewards", total) as progress:
            progress.advance(total - len(missing), cached=total - len(missing))
            try:
                for video, reward in missing:
                    text = prompts[video.prompt_id].text
                    waiting.append(_scored(reward, video, text, run, device))
                    progress.advance(1, failed=int(waiting[-1].status == "failed"))
                    if time.monotonic() - last > _SECONDS_PER_SHARD:
                        full, waiting, last = waiting, [], time.monotonic()
                        table.append(full)
                    stop.check(progress.done, progress.total)
            finally:
                table.append(waiting)
        rows = {_key(row): row for row in table.read()}
    slots = {_slot(video, reward) for video in wanted for reward in rewards}
    return [row for key, row in rows.items() if key in slots]


def _scored(reward: Reward, video: VideoRow, text: str, run: RunFolder, device: str) -> RewardRow:
    import torch

    value, reason = None, ""
    try:
        frames = decode(run.resolve(video.path)).frames
        clip = torch.from_numpy(frames).permute(0, 3, 1, 2)[None].float() / 255
        with torch.inference_mode():
            value = float(score_clips(reward, clip.to(device), [text])[0])
    except InputError as error:
        reason = str(error)
    status: Status = "failed" if reason else "ok"
    *key, name, weights = _slot(video, reward)
    model, video_id, content = key
    return RewardRow(model, video_id, content, name, weights, value, status, reason)


def _slot(video: VideoRow, reward: Reward) -> tuple[str, ...]:
    weights = content_key("reward", dict(reward.info.weights))
    return video.model, video.video_id, video.content_hash, reward.info.id, weights


def _key(row: Mapping[str, Any]) -> tuple[str, ...]:
    names = ("model", "video_id", "content_hash", "reward", "weights")
    return tuple(str(row[name]) for name in names)


def _done(row: Mapping[str, Any] | None) -> bool:
    return row is not None and row["status"] == "ok"


@dataclass(frozen=True, slots=True)
class RewardSummary:
    """Rewards of every model with intervals over prompts, and differences to chosen models.

    Attributes:
        models: Label -> measure (`reward.NAME`) -> value with interval and counts.
        differences: Label of the model compared with -> label -> measure -> paired difference.
    """

    models: Mapping[str, Mapping[str, MetricSummary]]
    differences: Mapping[str, Mapping[str, Mapping[str, Difference]]]


def summarize(
    rows: Iterable[Mapping[str, Any]],
    videos: Iterable[VideoRow],
    labels: Sequence[str],
    against: Sequence[str],
    prompts: Sequence[str],
    *,
    seeds: int,
) -> RewardSummary:
    """Means with the intervals of `turbo_eval.analyze`, which draws prompts.

    Args:
        rows: From `score`.
        videos: The same videos.
        labels: All models.
        against: Those that the others are compared with.
        prompts: Ids of all prompts.
        seeds: Videos of a prompt.
    """
    slots = {(v.model, v.video_id): (v.prompt_id, v.seed_index) for v in videos}
    values: dict[tuple[str, str], dict[tuple[str, int], tuple[float, float]]] = {}
    measures: dict[str, None] = {}
    for row in rows:
        measure = PREFIX + row["reward"]
        measures.setdefault(measure)
        if row["status"] == "ok":
            cells = values.setdefault((row["model"], measure), {})
            cells[slots[row["model"], row["video_id"]]] = (row["value"], 1.0)
    cells_of = {key: Cells(by_slot) for key, by_slot in values.items()}
    of = len(prompts) * seeds
    models = {
        label: {
            m: metric_summary(cells_of.get((label, m), EMPTY), prompts, m, of=of, version=1)[0]
            for m in measures
        }
        for label in labels
    }
    differences = {
        base: {
            label: {
                m: difference(
                    cells_of.get((label, m), EMPTY), cells_of.get((base, m), EMPTY), prompts, m
                )
                for m in measures
            }
            for label in labels
            if label != base
        }
        for base in against
    }
    return RewardSummary(models, differences)

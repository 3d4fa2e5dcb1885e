"""Which metrics serve which prompts, and which scores are missing."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from turbo_eval.backbones.judges import Judges
from turbo_eval.core.records import FeatureRow, Prompt, VideoRow, feature_key, from_dict
from turbo_eval.core.runs import RunFolder
from turbo_eval.generate.plan import FLICKER
from turbo_eval.metrics.base import Metric
from turbo_eval.metrics.compat import Compat
from turbo_eval.metrics.registry import metric
from turbo_eval.metrics.rewards.base import PREFIX


@dataclass(frozen=True, slots=True)
class ScoreItem:
    """A video with the metrics that have not scored it yet.

    Attributes:
        video: The video's row.
        prompt: Its prompt.
        metrics: The metrics to compute.
        features: Role -> row of the features, for every role that has a row.
    """

    video: VideoRow
    prompt: Prompt
    metrics: tuple[Metric, ...]
    features: Mapping[str, FeatureRow]


@dataclass(frozen=True, slots=True)
class ScorePlan:
    """What the stage will do.

    Attributes:
        items: Videos to score.
        total: Pairs of video and metric there are, finished ones included.
    """

    items: tuple[ScoreItem, ...]
    total: int

    @property
    def count(self) -> int:
        """Pairs of video and metric that are missing."""
        return sum(len(item.metrics) for item in self.items)


def metrics_for(
    prompt: Prompt,
    dimensions: Sequence[str] | None,
    *,
    compat: Compat = "vbench",
    static_filter: bool = False,
    rewards: Sequence[str] = (),
) -> tuple[Metric, ...]:
    """Return the metrics of a prompt: the dimensions that it serves and the run asks for.

    Args:
        prompt: The prompt.
        dimensions: The run's dimensions; all when None.
        compat: The reading of VBench where the official program has a quirk.
        static_filter: Whether temporal flickering counts static videos only.
        rewards: Rewards that score every prompt's videos beside the dimensions.
    """
    wanted = tuple(d for d in prompt.dimensions if dimensions is None or d in dimensions)
    return _metrics((*wanted, *(f"{PREFIX}{name}" for name in rewards)), compat, static_filter)


@cache
def _metrics(
    dimensions: tuple[str, ...], compat: Compat, static_filter: bool
) -> tuple[Metric, ...]:
    return tuple(
        filtered_flickering()
        if static_filter and dimension == FLICKER
        else metric(dimension, compat=compat)
        for dimension in dimensions
    )


def filtered_flickering() -> Metric:
    """Temporal flickering behind the static filter."""
    from turbo_eval.metrics.vbench.temporal_flickering import FILTERED

    return FILTERED


def needs(
    prompts: Iterable[Prompt], dimensions: Sequence[str] | None
) -> dict[str, tuple[str, ...]]:
    """Say which parts of the judges each prompt's videos need, and no others.

    Args:
        prompts: The prompts of the run.
        dimensions: The run's dimensions; all when None.

    Returns:
        Prompt id -> roles, sorted.
    """
    return {
        prompt.id: tuple(
            sorted({role for m in metrics_for(prompt, dimensions) for role in m.info.roles})
        )
        for prompt in prompts
    }


def current_videos(
    run: RunFolder, prompts: Iterable[Prompt], seeds: int | Mapping[str, int]
) -> list[VideoRow]:
    """Return the videos that stand for the run now: one per model, prompt and index.

    When weights changed between two starts, rows of both are in the table; the later one counts.

    Args:
        run: The run folder.
        prompts: Only videos of these prompts.
        seeds: Only indices below this; or prompt id -> that number.

    Returns:
        Rows with any status, in the order of models' first rows, prompts and indices.
    """
    order = {prompt.id: position for position, prompt in enumerate(prompts)}
    latest: dict[tuple[str, str, int], VideoRow] = {}
    for values in run.videos.read():
        row: VideoRow = from_dict(VideoRow, values)
        most = seeds if isinstance(seeds, int) else seeds.get(row.prompt_id, 0)
        if row.prompt_id in order and row.seed_index < most:
            slot = (row.model, row.prompt_id, row.seed_index)
            before = latest.get(slot)
            if before is None or row.status == "ok" or before.status != "ok":
                latest[slot] = row
    models = {model: position for position, (model, _, _) in enumerate(latest)}
    return sorted(
        latest.values(), key=lambda row: (models[row.model], order[row.prompt_id], row.seed_index)
    )


def plan_scores(
    videos: Iterable[VideoRow],
    prompts: Mapping[str, Prompt],
    dimensions: Sequence[str] | None,
    judges: Judges,
    run: RunFolder,
    *,
    metrics: Callable[[VideoRow], tuple[Metric, ...]] | None = None,
) -> ScorePlan:
    """Compare what the prompts are served by with the rows.

    A score is finished when a row with its metric's version and these very judges is ok or
    skipped; a failed one is tried again.

    Args:
        videos: Finished videos of the run.
        prompts: Prompt id -> prompt.
        dimensions: The run's dimensions; all when None.
        judges: Whose features are scored.
        run: The run folder; only read.
        metrics: The metrics of a video, where they are not those of its prompt.
    """
    keys = judges.keys
    done = {
        (row["video_id"], row["model"], row["metric"], row["metric_version"])
        for row in run.scores.read()
        if row["judges"] in keys and row["status"] != "failed"
    }
    items: list[tuple[VideoRow, Prompt, tuple[Metric, ...]]] = []
    total = 0
    for video in videos:
        prompt = prompts[video.prompt_id]
        wanted = metrics_for(prompt, dimensions) if metrics is None else metrics(video)
        total += len(wanted)
        missing = tuple(
            m
            for m in wanted
            if (video.video_id, video.model, m.info.id, m.info.version) not in done
        )
        if missing:
            items.append((video, prompt, missing))
    if not items:
        return ScorePlan((), total)
    rows = {(row["video_id"], row["feature_key"]): row for row in run.features.read()}
    planned = []
    for video, prompt, missing in items:
        features: dict[str, FeatureRow] = {}
        for role in {role for m in missing for role in m.info.roles} & set(judges.infos):
            info = judges.infos[role]
            key = feature_key(video.content_hash, info.id, info.version, info.weights)
            row = rows.get((video.video_id, key))
            if row is not None:
                features[role] = from_dict(FeatureRow, row)
        planned.append(ScoreItem(video, prompt, missing, features))
    return ScorePlan(tuple(planned), total)

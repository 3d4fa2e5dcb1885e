"""The items of a run that have no result, each once, at the stage where it went wrong."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from turbo_eval.analyze.summary import Failure
from turbo_eval.backbones.judges import Judges
from turbo_eval.core.records import Prompt, VideoRow, feature_key


def collect_failures(
    videos: Sequence[VideoRow],
    features: Iterable[Mapping[str, Any]],
    scores: Iterable[Mapping[str, Any]],
    prompts: Iterable[Prompt],
    judges: Judges,
) -> list[Failure]:
    """List failed videos, then failed features of the present judges, then failed scores.

    A score that failed because its features did is left out: the features are listed.

    Args:
        videos: The videos that stand for the run.
        features: All feature rows.
        scores: Score rows of the present judges.
        prompts: The prompts of the run.
        judges: The present judges.
    """
    texts = {prompt.id: prompt.text for prompt in prompts}
    place = {(video.model, video.video_id): p for p, video in enumerate(videos)}
    found = [
        _failure("generate", video, texts, "video", video.reason)
        for video in videos
        if video.status == "failed"
    ]
    failed = {
        (row["video_id"], row["feature_key"]): row for row in features if row["status"] == "failed"
    }
    blocked: set[str] = set()
    for video in videos:
        for role, info in judges.infos.items() if failed else ():
            key = feature_key(video.content_hash, info.id, info.version, info.weights)
            if (row := failed.get((video.video_id, key))) is not None:
                found.append(_failure("features", video, texts, role, row["reason"]))
                blocked.add(video.video_id)
    bad = [
        row
        for row in scores
        if row["status"] == "failed"
        and row["video_id"] not in blocked
        and (row["model"], row["video_id"]) in place
    ]
    for row in sorted(bad, key=lambda r: (place[r["model"], r["video_id"]], r["metric"])):
        video = videos[place[row["model"], row["video_id"]]]
        found.append(_failure("score", video, texts, row["metric"], row["reason"]))
    return found


def _failure(
    stage: str, video: VideoRow, texts: Mapping[str, str], part: str, reason: str
) -> Failure:
    return Failure(
        stage=stage,
        model=video.model,
        prompt=texts.get(video.prompt_id, video.prompt_id),
        item=f"{part}, video {video.seed_index}",
        reason=reason,
    )

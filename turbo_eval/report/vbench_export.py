"""The scores of a run as the result files that VBench's own program writes.

For every dimension `{dimension}_eval_results.json` holds `{dimension: [aggregate, [one object per
video]]}` and `{dimension}_full_info.json` the prompts with the videos that were scored. Videos
without a value are left out, as the official program leaves them out; a dimension without any value
has the aggregate null, where the official program stops with an error. `turbo-eval.json` beside
them says what the files cannot: which judges, which weights, how complete.

Source: VBench (arXiv 2311.17982), the files of `vbench` 0.1.5.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from turbo_eval.core.records import Prompt, VideoRow
from turbo_eval.core.store import write_json_atomic
from turbo_eval.metrics.base import Score, aggregate
from turbo_eval.prompts.rewritten import FACT

RESULTS: Final = "_eval_results.json"
INFO: Final = "_full_info.json"
FACTS: Final = "turbo-eval.json"
"""Name of the file with the facts of the run."""


@dataclass(frozen=True, slots=True)
class Scored:
    """One video in one dimension.

    Attributes:
        prompt: Its prompt.
        video: Its row.
        path: What stands for the file: its path, or the name that VBench would have given it.
        score: Its score.
    """

    prompt: Prompt
    video: VideoRow
    path: str
    score: Score


def score_of(row: Mapping[str, Any]) -> Score:
    """The score that a row of the run's table holds."""
    details = json.loads(row["details"])
    return Score(
        row["value"], row["numerator"], row["denominator"], row["status"], row["reason"], details
    )


def official_name(prompt: Prompt, index: int) -> str:
    """The name that VBench gives a prompt's video; it may hold what file systems refuse."""
    return f"{prompt.text}-{index}.mp4"


def _frames(score: Score) -> dict[str, Any]:
    frames = score.details.get("frames")
    # Scores of older versions lack them.
    return {"frame_results": list(frames)} if frames else {}


def _count(value: float | None) -> int:
    return round(value or 0.0)


def _styled(score: Score) -> dict[str, Any]:
    frames = _frames(score)
    # The official program keeps the last frame's value under this name.
    return frames | ({"cur_sim": frames["frame_results"][-1]} if frames else {})


def _pairs(score: Score) -> dict[str, Any]:
    return {"video_sim": score.numerator, "cnt_per_video": _count(score.denominator)}


def _hits(score: Score) -> dict[str, Any]:
    return {
        "success_frame_count": _count(score.numerator),
        "frame_count": _count(score.denominator),
    }


_MORE: Final[Mapping[str, Callable[[Score], dict[str, Any]]]] = {
    "background_consistency": _pairs,
    "human_action": lambda score: {"cor_num_per_video": _count(score.numerator)},
    "object_class": _hits,
    "multiple_objects": _hits,
    "scene": _hits,
    "color": lambda score: {"cur_success_frame_rate": score.value},
    "spatial_relationship": _frames,
    "appearance_style": _styled,
}
_TRUTHS: Final = frozenset({"dynamic_degree", "human_action"})
_PERCENT: Final = frozenset({"imaging_quality"})


def video_result(dimension: str, scored: Scored) -> dict[str, Any]:
    """One video's object in a result file.

    Args:
        dimension: Decides the extra keys, and whether the value is a truth or on 0..100.
        scored: A video with a value.
    """
    value: Any = scored.score.value
    if dimension in _TRUTHS:
        value = bool(value)
    elif dimension in _PERCENT:
        value = 100.0 * value
    more = _MORE[dimension](scored.score) if dimension in _MORE else {}
    return {"video_path": scored.path, "video_results": value, **more}


def results(dimension: str, videos: Sequence[Scored]) -> dict[str, Any]:
    """The object of a result file.

    Args:
        dimension: Its key.
        videos: In the order of the prompts, then of the index; those without a value are left out.
    """
    counted = [video for video in videos if video.score.status == "ok"]
    pooled = aggregate(video.score for video in counted)
    return {dimension: [pooled, [video_result(dimension, video) for video in counted]]}


def full_info(videos: Iterable[Scored]) -> list[dict[str, Any]]:
    """The object of a prompt file: every prompt in VBench's schema, with its videos."""
    entries: dict[str, dict[str, Any]] = {}
    for video in videos:
        prompt = video.prompt
        if prompt.id not in entries:
            facts = {key: value for key, value in prompt.auxiliary.items() if key != FACT}
            entries[prompt.id] = {
                "prompt_en": prompt.text,
                "dimension": list(prompt.dimensions),
                **({"auxiliary_info": facts} if facts else {}),
                "video_list": [],
            }
        entries[prompt.id]["video_list"].append(video.path)
    return list(entries.values())


def write_export(
    out: Path, dimensions: Mapping[str, Sequence[Scored]], facts: Mapping[str, Any]
) -> list[Path]:
    """Write the files of one model.

    Args:
        out: The folder; made when missing. Files of the same dimensions are replaced.
        dimensions: Dimension -> its videos, in order, also those without a value.
        facts: What `turbo-eval.json` says besides the counts.

    Returns:
        The result files.

    Raises:
        PrerequisiteError: The folder cannot be written.
    """
    written, counts = [], {}
    rows = {id(v.video): v.video for videos in dimensions.values() for v in videos}.values()
    longest = max((row.frames / row.fps for row in rows if row.fps > 0), default=0.0)
    for dimension, videos in dimensions.items():
        left_out = [v for v in videos if v.score.status != "ok"]
        counts[dimension] = {
            "videos": len(videos) - len(left_out),
            "left_out": [
                {"video_path": v.path, "status": v.score.status, "reason": v.score.reason}
                for v in left_out
            ],
        }
        write_json_atomic(out / f"{dimension}{INFO}", full_info(videos))
        path = out / f"{dimension}{RESULTS}"
        write_json_atomic(path, results(dimension, videos))
        written.append(path)
    # A leaderboard's rule on length cannot be checked from VBench's own files.
    more = {"longest_seconds": round(longest, 3), "dimensions": counts}
    write_json_atomic(out / FACTS, {**facts, **more})
    return written

"""From a run folder to what VBench's own files and its leaderboard need."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from turbo_eval.analyze.summarize import SUITE_FILE, read_json
from turbo_eval.backbones.judges import Judges
from turbo_eval.config import RunConfig
from turbo_eval.core.records import Prompt, VideoRow
from turbo_eval.core.runs import RunFolder
from turbo_eval.generate.plan import FILE_SAMPLER, FLICKER, videos_of
from turbo_eval.metrics.normalise import DIMENSIONS
from turbo_eval.report.text import random_note
from turbo_eval.report.vbench_export import Scored, official_name, score_of, write_export
from turbo_eval.score import current_videos
from turbo_eval.score.plan import metrics_for
from turbo_eval.score.static import first_static

Export = Mapping[str, Sequence[Scored]]
"""Dimension -> videos in official order."""


def collect_run(
    config: RunConfig, prompts: Sequence[Prompt], judges: Judges, run: RunFolder
) -> dict[str, dict[str, list[Scored]]]:
    """Arrange the scores of a run by model and dimension.

    Args:
        config: Its settings.
        prompts: Its prompts.
        judges: Whose scores count.
        run: The run folder; only read.

    Returns:
        Label -> dimension -> videos that have a score row, in the order of the prompts and indices.
        Dimensions stand in VBench's order; metrics that are not VBench's are left out.
    """
    wanted = {prompt.id: videos_of(prompt, config) for prompt in prompts}
    videos = [v for v in current_videos(run, prompts, wanted) if v.status == "ok"]
    slots = {(v.model, v.video_id): (v.prompt_id, v.seed_index) for v in videos}
    rows = [row for row in run.scores.read() if row["judges"] == judges.key]
    if config.static_filter:
        # Moving videos and those beyond the fifth are no part of what the official program sees.
        rows = [
            row
            for row in first_static(rows, slots)
            if row["status"] == "ok" or not row["metric"].endswith(f".{FLICKER}")
        ]
    by_key = {(r["model"], r["video_id"], r["metric"], r["metric_version"]): r for r in rows}
    by_id = {prompt.id: prompt for prompt in prompts}
    found: dict[str, dict[str, list[Scored]]] = {}
    for video in videos:
        prompt = by_id[video.prompt_id]
        for metric in metrics_for(
            prompt, config.dimensions, compat=config.compat, static_filter=config.static_filter
        ):
            info = metric.info
            row = by_key.get((video.model, video.video_id, info.id, info.version))
            if row is None or not info.id.startswith("vbench."):
                continue
            scored = Scored(prompt, video, _path(video, prompt, run), score_of(row))
            found.setdefault(video.model, {}).setdefault(info.dimension, []).append(scored)
    return {
        model: {name: table[name] for name in DIMENSIONS if name in table}
        for model, table in found.items()
    }


def facts_of(
    config: RunConfig, judges: Judges, run: RunFolder, partial: Sequence[str]
) -> dict[str, Any]:
    """What the official files cannot say about a run.

    Args:
        config: Its settings.
        judges: Who scored.
        run: The run folder.
        partial: Why the set is not complete, from the summary.
    """
    suite = read_json(run.path / SUITE_FILE)
    return {
        "judges": judges.name,
        **({"warning": note} if (note := random_note(judges.name)) else {}),
        "judges_key": judges.key,
        "weights": {role: judges.infos[role].weights for role in judges.parts},
        "compat": config.compat,
        "suite": suite.get("name", config.suite),
        "standard": bool(suite.get("standard", False)),
        "rewritten": str(config.rewritten) if config.rewritten else None,
        "static_filter": config.static_filter,
        "seeds": config.seeds,
        "partial": list(partial),
    }


def export_folders(models: Sequence[str], out: Path) -> dict[str, Path]:
    """Where each model's files go: one model's straight into the folder, else a folder each."""
    return {model: out if len(models) == 1 else out / model for model in models}


def export_models(
    tables: Mapping[str, Export], models: Sequence[str], facts: Mapping[str, Any], out: Path
) -> list[Path]:
    """Write the files of every model.

    Args:
        tables: From `collect_run`.
        models: Labels of all models of the run.
        facts: From `facts_of`.
        out: The folder.

    Returns:
        The result files.

    Raises:
        PrerequisiteError: The folder cannot be written.
    """
    written = []
    for model, folder in export_folders(models, out).items():
        if model in tables:
            written += write_export(folder, tables[model], {"model": model, **facts})
    return written


def _path(video: VideoRow, prompt: Prompt, run: RunFolder) -> str:
    if video.sampler == FILE_SAMPLER:
        return str(run.resolve(video.path))
    # The run names its own files by content; people and programs look for the prompt.
    return official_name(prompt, video.seed_index)

"""From the rows of a run to its summary; reads tables only, so any stage may still be missing."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from turbo_eval.analyze.bootstrap import LEVEL, RESAMPLES, SEED, Floats, draw_counts
from turbo_eval.analyze.cells import EMPTY, Cells, collect
from turbo_eval.analyze.estimate import (
    difference,
    joint_replicates,
    metric_summary,
    total_estimates,
    with_interval,
)
from turbo_eval.analyze.failures import collect_failures
from turbo_eval.analyze.summary import Difference, Estimate, MetricSummary, Summary
from turbo_eval.backbones.judges import Judges, load_judges
from turbo_eval.config import RunConfig, restore
from turbo_eval.core.errors import InputError, unknown
from turbo_eval.core.records import Prompt, PromptRow, VideoRow, from_dict
from turbo_eval.core.runs import RunFolder
from turbo_eval.generate.plan import FLICKER, videos_of
from turbo_eval.metrics.base import FIXED_SUFFIX
from turbo_eval.metrics.normalise import DIMENSIONS, VBENCH, NormalisationTable
from turbo_eval.metrics.rewards.base import PREFIX
from turbo_eval.models.labels import labels
from turbo_eval.score.plan import current_videos, metrics_for
from turbo_eval.score.rewards import rewards_of, with_rewards
from turbo_eval.score.static import KEPT, first_static

SUITE_FILE = "suite.json"


def summarize(
    run: RunFolder, *, weights_dir: Path | None = None, baseline: str | None = None
) -> Summary:
    """Summarise a run: value, interval and counts of every model in every metric, and totals.

    A value is the sum of numerators over the sum of denominators of the videos that have a score.
    Intervals come from 1000 resamples of the prompts with a fixed seed. A total exists only when
    all of its dimensions do.

    Args:
        run: A run folder in any state.
        weights_dir: The folder of the judges' weights, if the user named one.
        baseline: Label of the model that the others are compared with; the first when None.

    Returns:
        The summary; the same rows always give the same numbers.

    Raises:
        UsageError: There is no model of this label.
        PrerequisiteError: There is no run in the folder.
        ConfigError: The frozen settings are damaged.
        InputError: A file of the run or the judges' normalisation table is damaged.
    """
    config = restore(run.config(), {}, source=run.path / "run.toml")
    prompts = read_prompts(run)
    config = config.model_copy(update={"rewards": rewards_of(config, run)})
    judges = with_rewards(
        load_judges(
            config.judges,
            weights_dir=weights_dir,
            compat=config.compat,
            dtype=config.judge_dtype,
        ),
        config.rewards,
        run,
        weights_dir=weights_dir,
    )
    table = normalisation_of(judges)
    wanted = {prompt.id: videos_of(prompt, config) for prompt in prompts}
    videos = current_videos(run, prompts, wanted)
    models = labels(config.models)
    if baseline is not None and baseline not in models:
        raise unknown("model of the run", baseline, models)
    base = models[0] if models and baseline is None else baseline
    metrics = _served(prompts, config)
    slots = {(v.model, v.video_id): (v.prompt_id, v.seed_index) for v in videos}
    keys = judges.keys
    rows = [row for row in run.scores.read() if row["judges"] in keys]
    if config.static_filter:
        rows = list(first_static(rows, slots))
    cells = collect(rows, slots, {name: version for name, (version, _) in metrics.items()})
    by_model, replicates = _models(models, metrics, cells, expected_videos(videos, config))
    totals, columns = _totals(models, prompts, metrics, cells, by_model, replicates, table)
    partial = _partial(run, prompts, metrics, by_model, config)
    return Summary(
        models=by_model,
        totals=totals,
        differences=_differences(models, base, metrics, cells, totals, columns),
        baseline=base,
        judges=judges.name,
        normalisation={
            name: (table or VBENCH).bounds[name]
            for name in DIMENSIONS
            if name in _dimensions(metrics).values()
        },
        settings=_settings(run, config, videos, models, judges, len(prompts)),
        provenance=read_json(run.path / "provenance.json"),
        partial=partial,
        failures=collect_failures(videos, run.features.read(), rows, prompts, judges),
    )


def read_prompts(run: RunFolder) -> list[Prompt]:
    """Return the prompts of a run in the order of the suite."""
    rows = (from_dict(PromptRow, row) for row in run.prompts.read())
    return sorted((row.prompt() for row in rows), key=lambda prompt: prompt.index)


def normalisation_of(judges: Judges) -> NormalisationTable | None:
    """Return the judges' own table, or None for VBench's.

    Raises:
        InputError: The table cannot be read.
    """
    path = judges.normalisation
    return None if path is None else NormalisationTable.from_json(path)


def read_json(path: Path) -> dict[str, Any]:
    """Read one of the run's own JSON files; a missing one is empty.

    Raises:
        InputError: It cannot be read.
    """
    try:
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read", why=str(error), fix="delete it and run the command again"
        ) from error
    return found


Served = Mapping[str, tuple[int, tuple[str, ...]]]
"""Metric id -> (version, ids of the prompts that it serves)."""


def _served(prompts: Iterable[Prompt], config: RunConfig) -> Served:
    found: dict[str, tuple[int, list[str]]] = {}
    for prompt in prompts:
        for metric in metrics_for(
            prompt,
            config.dimensions,
            compat=config.compat,
            static_filter=config.static_filter,
            rewards=config.rewards,
        ):
            found.setdefault(metric.info.id, (metric.info.version, []))[1].append(prompt.id)
    names = _dimensions(found)
    ordered = sorted(
        found, key=lambda name: (DIMENSIONS.index(names[name]) if name in names else 99, name)
    )
    return {name: (found[name][0], tuple(found[name][1])) for name in ordered}


def _dimensions(metrics: Iterable[str]) -> dict[str, str]:
    """Metric id -> dimension, for VBench's own in either reading."""
    plain = {name: name.removesuffix(FIXED_SUFFIX).removeprefix("vbench.") for name in metrics}
    return {
        name: dimension
        for name, dimension in plain.items()
        if dimension in DIMENSIONS and name.startswith("vbench.")
    }


def expected_videos(
    videos: Sequence[VideoRow], config: RunConfig
) -> Callable[[str, str, str], int]:
    """A function that says how many videos of a model, prompt and metric should have a score.

    Args:
        videos: The videos that stand for the run, with any status.
        config: Its settings.
    """
    there = Counter((v.model, v.prompt_id) for v in videos if v.seed_index < config.seeds)

    def expected(model: str, prompt: str, metric: str) -> int:
        if config.static_filter and metric.endswith(f".{FLICKER}"):
            return KEPT
        return max(1, there[model, prompt]) if config.allow_fewer else config.seeds

    return expected


CellTable = Mapping[tuple[str, str], Cells]


def _models(
    models: Sequence[str],
    metrics: Served,
    cells: CellTable,
    expected: Callable[[str, str, str], int],
) -> tuple[dict[str, dict[str, MetricSummary]], dict[str, dict[str, Floats]]]:
    summaries: dict[str, dict[str, MetricSummary]] = {}
    replicates: dict[str, dict[str, Floats]] = {}
    for model in models:
        summaries[model], replicates[model] = {}, {}
        for name, (version, served) in metrics.items():
            summaries[model][name], replicates[model][name] = metric_summary(
                cells.get((model, name), EMPTY),
                served,
                name,
                of=sum(expected(model, prompt, name) for prompt in served),
                version=version,
            )
    return summaries, replicates


def _totals(
    models: Sequence[str],
    prompts: Sequence[Prompt],
    metrics: Served,
    cells: CellTable,
    summaries: Mapping[str, Mapping[str, MetricSummary]],
    replicates: Mapping[str, Mapping[str, Floats]],
    table: NormalisationTable | None,
) -> tuple[dict[str, dict[str, Estimate | None]], dict[str, dict[str, Floats]]]:
    ids = [prompt.id for prompt in prompts]
    counts = draw_counts(len(ids), "totals")
    names = _dimensions(metrics)
    totals: dict[str, dict[str, Estimate | None]] = {}
    columns: dict[str, dict[str, Floats]] = {}
    for model in models:
        joint = joint_replicates(
            {d: cells.get((model, name), EMPTY).sums(ids) for name, d in names.items()},
            counts,
            {d: replicates[model][name] for name, d in names.items()},
        )
        values = {d: summaries[model][name].value for name, d in names.items()}
        totals[model], columns[model] = total_estimates(values, joint, table)
    return totals, columns


def _differences(
    models: Sequence[str],
    base: str | None,
    metrics: Served,
    cells: CellTable,
    totals: Mapping[str, Mapping[str, Estimate | None]],
    columns: Mapping[str, Mapping[str, Floats]],
) -> dict[str, dict[str, Difference]]:
    found: dict[str, dict[str, Difference]] = {}
    for model in models:
        if base is None or model == base:
            continue
        found[model] = {
            name: difference(
                cells.get((model, name), EMPTY), cells.get((base, name), EMPTY), served, name
            )
            for name, (_, served) in metrics.items()
        }
        shared = {
            slot
            for name in metrics
            for slot in cells.get((model, name), EMPTY).by_slot.keys()
            & cells.get((base, name), EMPTY).by_slot.keys()
        }
        for name in columns[model].keys() & columns[base].keys():
            mine, theirs = totals[model][name], totals[base][name]
            if mine is None or theirs is None or mine.value is None or theirs.value is None:
                continue
            estimate = with_interval(
                mine.value - theirs.value, columns[model][name] - columns[base][name], clusters=2
            )
            found[model][name] = Difference(
                value=estimate.value, low=estimate.low, high=estimate.high, pairs=len(shared)
            )
        found[model] = dict(sorted(found[model].items(), key=lambda kv: "." not in kv[0]))
    return found


def _partial(
    run: RunFolder,
    prompts: Sequence[Prompt],
    metrics: Served,
    summaries: Mapping[str, Mapping[str, MetricSummary]],
    config: RunConfig,
) -> list[str]:
    reasons = []
    whole = read_json(run.path / SUITE_FILE).get("of", len(prompts))
    if len(prompts) < whole:
        reasons.append(f"a subset: {len(prompts)} of {whole} prompts of suite {config.suite}")
    served = _dimensions(metrics)
    lacking = [name for name in DIMENSIONS if name not in served.values()]
    if lacking:
        reasons.append(
            f"{len(DIMENSIONS) - len(lacking)} of {len(DIMENSIONS)} dimensions; without "
            + ", ".join(lacking)
        )
    corrected = [served[name] for name in served if name.endswith(FIXED_SUFFIX)]
    if corrected:
        reasons.append(
            f"compat fixed: {', '.join(corrected)} without the official quirks, so totals are not "
            "VBench's"
        )
    for model, table in summaries.items():
        # Rewards are no part of a total, so what they lack makes none partial.
        counted = {name: cell for name, cell in table.items() if not name.startswith(PREFIX)}
        short = {name: cell for name, cell in counted.items() if cell.n < cell.of}
        if short:
            gaps = sum(cell.of - cell.n for cell in short.values())
            of = sum(cell.of for cell in counted.values())
            reasons.append(f"{model}: {gaps} of {of} scores are missing ({len(short)} dimensions)")
    return reasons


def _settings(
    run: RunFolder,
    config: RunConfig,
    videos: Sequence[VideoRow],
    models: Sequence[str],
    judges: Judges,
    prompts: int,
) -> dict[str, Any]:
    first = {v.model: v for v in reversed(videos) if v.status == "ok"}
    sampled = []
    for label, model in zip(models, config.models, strict=True):
        facts: dict[str, Any] = {"label": label, "name": model.name}
        if (row := first.get(label)) is not None:
            facts |= {
                "steps": row.steps or None,
                "guidance": row.guidance if row.steps else None,
                "width": row.width,
                "height": row.height,
                "frames": row.frames,
                "fps": row.fps,
            }
        sampled.append(facts)
    return {
        "suite": read_json(run.path / SUITE_FILE) or {"name": config.suite},
        "prompts": prompts,
        "models": sampled,
        "seeds": config.seeds,
        "seed_base": config.seed_base,
        "compat": config.compat,
        "static_filter": config.static_filter,
        "rewritten": str(config.rewritten) if config.rewritten else None,
        "dimensions": config.dimensions,
        "rewards": config.rewards,
        "selection": config.prompts,
        "limit": config.limit,
        "judges": {
            "name": judges.name,
            "key": judges.key,
            "parts": {role: info.id for role, info in judges.infos.items()},
        },
        "dtype": config.dtype,
        "bootstrap": {"resamples": RESAMPLES, "seed": SEED, "level": LEVEL, "over": "prompts"},
    }

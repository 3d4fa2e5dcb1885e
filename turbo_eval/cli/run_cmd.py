"""`turbo-eval run`, `plan` and `demo`: every missing stage, with one command."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from turbo_eval.cli import clip_options as c
from turbo_eval.cli import options as o
from turbo_eval.cli.official_checks import lacking_weights
from turbo_eval.cli.plans import stage_plans
from turbo_eval.cli.say import finish, say
from turbo_eval.cli.session import Session, start
from turbo_eval.cli.show import print_json
from turbo_eval.cli.stages import (
    do_stages,
    export_run,
    print_plan,
    print_summary,
    summarize_run,
    write_page,
)

DEMO_SUITE = "mini"
DEMO_MODELS = ("mini-teacher@steps=50", "mini-vcm@steps=4", "mini-turbo@steps=4")
"""The first one is the baseline."""
DEMO_LIMIT = 48
"""Prompts, spread over the dimensions: each of the 16 is served by at least 4."""
DEMO_SEEDS = 1


def run(
    suite: o.Suite = None,
    model: o.Model = None,
    steps: o.Steps = None,
    guidance: o.Guidance = None,
    size: c.Size = None,
    frames: c.Frames = None,
    fps: c.Fps = None,
    negative: c.Negative = None,
    seeds: o.Seeds = None,
    allow_fewer: o.AllowFewer = None,
    seed_base: o.SeedBase = None,
    dimensions: o.Dimensions = None,
    rewards: o.Rewards = None,
    prompts: o.Prompts = None,
    limit: o.Limit = None,
    rewritten: o.Rewritten = None,
    judges: o.JudgesName = None,
    judge_dtype: o.JudgeDtype = None,
    compat: o.CompatMode = None,
    static_filter: o.StaticFilter = None,
    device: o.Device = None,
    dtype: o.Dtype = None,
    batch_size: o.BatchSize = None,
    retries: o.Retries = None,
    fail_threshold: o.Threshold = None,
    weights_dir: o.WeightsDir = None,
    run_folder: o.Run = None,
    export: o.Export = None,
    config: o.Config = None,
    dry_run: o.DryRun = False,
    as_json: o.AsJson = False,
) -> None:
    """Generate, judge, score, summarise and report; only what is missing is done.

    Example: turbo-eval run mini --model mini-teacher --model mini-teacher@8 --limit 16
    """
    target = o.export_target(export)
    typed = o.flags(
        suite=suite,
        model=model,
        steps=steps,
        guidance=guidance,
        size=size,
        frames=frames,
        fps=fps,
        negative=negative,
        seeds=seeds,
        allow_fewer=allow_fewer,
        seed_base=seed_base,
        dimensions=dimensions,
        rewards=rewards,
        prompts=prompts,
        limit=limit,
        rewritten=rewritten,
        judges=judges,
        judge_dtype=judge_dtype,
        compat=compat,
        static_filter=static_filter,
        device=device,
        dtype=dtype,
        batch_size=batch_size,
        retries=retries,
        fail_threshold=fail_threshold,
        weights_dir=weights_dir,
        run=run_folder,
    )
    _run(typed, config, dry_run=dry_run, as_json=as_json, export=target)


def plan(
    suite: o.Suite = None,
    model: o.Model = None,
    steps: o.Steps = None,
    guidance: o.Guidance = None,
    size: c.Size = None,
    frames: c.Frames = None,
    fps: c.Fps = None,
    negative: c.Negative = None,
    seeds: o.Seeds = None,
    allow_fewer: o.AllowFewer = None,
    dimensions: o.Dimensions = None,
    rewards: o.Rewards = None,
    prompts: o.Prompts = None,
    limit: o.Limit = None,
    rewritten: o.Rewritten = None,
    judges: o.JudgesName = None,
    judge_dtype: o.JudgeDtype = None,
    compat: o.CompatMode = None,
    static_filter: o.StaticFilter = None,
    weights_dir: o.WeightsDir = None,
    run_folder: o.Run = None,
    sample: o.Sample = None,
    config: o.Config = None,
    as_json: o.AsJson = False,
) -> None:
    """Show what `run` with the same options would do; nothing is made.

    Estimates are means of what was measured: in this run so far, and in a --sample of it.

    Example: turbo-eval plan mini --model mini-teacher --seeds 5
    """
    typed = o.flags(
        suite=suite,
        model=model,
        steps=steps,
        guidance=guidance,
        size=size,
        frames=frames,
        fps=fps,
        negative=negative,
        seeds=seeds,
        allow_fewer=allow_fewer,
        dimensions=dimensions,
        rewards=rewards,
        prompts=prompts,
        limit=limit,
        rewritten=rewritten,
        judges=judges,
        judge_dtype=judge_dtype,
        compat=compat,
        static_filter=static_filter,
        weights_dir=weights_dir,
        run=run_folder,
    )
    _run(typed, config, dry_run=True, as_json=as_json, sample=sample)


def demo(
    run_folder: o.Run = None,
    device: o.Device = None,
    batch_size: o.BatchSize = None,
    dry_run: o.DryRun = False,
    as_json: o.AsJson = False,
) -> None:
    """Compare the shipped models on a subset of the mini suite that serves all 16 dimensions.

    Example: turbo-eval demo
    """
    say(
        f"This is a demonstration on a subset: {DEMO_LIMIT} prompts of suite {DEMO_SUITE}, which "
        f"serve all 16 dimensions, {DEMO_SEEDS} each. Intervals will be wide."
    )
    typed = o.flags(
        suite=DEMO_SUITE,
        model=DEMO_MODELS,
        seeds=DEMO_SEEDS,
        limit=DEMO_LIMIT,
        device=device,
        batch_size=batch_size,
        run=run_folder,
    )
    _run(typed, None, dry_run=dry_run, as_json=as_json)


def _run(
    typed: Mapping[str, Any],
    file: Path | None,
    *,
    dry_run: bool,
    as_json: bool,
    export: Path | None = None,
    sample: Path | None = None,
) -> None:
    session = start(typed, file, dry_run=dry_run)
    if dry_run:
        print_plan(session, stage_plans(session, sample), as_json=as_json)
        if error := lacking_weights(session):
            say(f"Note: {error}")
        return
    say(f"Run folder: {session.run.path}")
    outcomes = do_stages(session)
    # Before the page, which needs a value of at least one model.
    if export is not None:
        export_run(session, export)
    _show(session, as_json=as_json)
    finish(outcomes, session.config.fail_threshold)


def _show(session: Session, *, as_json: bool) -> None:
    summary = summarize_run(session)
    page = write_page(session, summary)
    if as_json:
        print_json(summary)
        say(f"Report: {page}")
        return
    print_summary(summary)
    print(page)

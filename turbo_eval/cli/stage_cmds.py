"""One command per stage: `generate`, `features`, `score`, `summarize`, `report` and `check`."""

from pathlib import Path

from turbo_eval.cli import clip_options as c
from turbo_eval.cli import options as o
from turbo_eval.cli.plans import stage_plans
from turbo_eval.cli.say import finish
from turbo_eval.cli.session import Session, reopen, start
from turbo_eval.cli.show import print_json
from turbo_eval.cli.stages import (
    do_stages,
    export_run,
    print_plan,
    print_summary,
    summarize_run,
)


def generate(
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
    config: o.Config = None,
    dry_run: o.DryRun = False,
    as_json: o.AsJson = False,
) -> None:
    """Make the missing videos of a run, new or begun.

    Example: turbo-eval generate mini --model mini-teacher --run runs/mine
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
    session = start(typed, config, dry_run=dry_run)
    _stage(session, "generate", dry_run=dry_run, as_json=as_json)


def features(
    run_folder: o.ExistingRun,
    rewards: o.Rewards = None,
    device: o.Device = None,
    dry_run: o.DryRun = False,
    as_json: o.AsJson = False,
) -> None:
    """Let the judges look at the videos of a run; each looks once at each video it is needed for.

    Example: turbo-eval features --run runs/mine
    """
    session = reopen(run_folder, device=device, rewards=o.listed(rewards or ()), dry_run=dry_run)
    _stage(session, "features", dry_run=dry_run, as_json=as_json)


def score(
    run_folder: o.ExistingRun,
    rewards: o.Rewards = None,
    export: o.Export = None,
    device: o.Device = None,
    dry_run: o.DryRun = False,
    as_json: o.AsJson = False,
) -> None:
    """Compute the missing scores of a run from its features; with --rewards, look for them first.

    Example: turbo-eval score --run runs/mine --rewards mini-image
    """
    target = o.export_target(export)
    named = o.listed(rewards or ())
    session = reopen(run_folder, device=device, rewards=named, dry_run=dry_run)
    stages = ["features", "score"] if named else ["score"]
    _stage(session, *stages, dry_run=dry_run, as_json=as_json, export=target)


def summarize(run_folder: o.ExistingRun, as_json: o.AsJson = False) -> None:
    """Compute values, intervals, totals and differences from the scores of a run.

    Example: turbo-eval summarize --run runs/mine --json
    """
    summary = summarize_run(reopen(run_folder))
    if as_json:
        print_json(summary)
    else:
        print_summary(summary)


def _stage(
    session: Session, *stages: str, dry_run: bool, as_json: bool, export: Path | None = None
) -> None:
    if dry_run:
        plans = [plan for plan in stage_plans(session) if plan.stage in stages]
        print_plan(session, plans, as_json=as_json)
        return
    outcomes = do_stages(session, stages)
    if export is not None:
        export_run(session, export)
    if as_json:
        # The stage that the command is named after; what others did before it is told on stderr.
        print_json(outcomes[-1])
    else:
        print(session.run.path)
    finish(outcomes, session.config.fail_threshold)

"""One command per stage: `generate`, `features`, `score`, `summarize`, `report` and `check`."""

from collections import Counter
from pathlib import Path

from turbo_eval.cli import options as o
from turbo_eval.cli.session import (
    Session,
    finish,
    reopen,
    say,
    stage_plans,
    start,
)
from turbo_eval.cli.show import print_json, print_table
from turbo_eval.cli.stages import (
    do_stages,
    export_run,
    print_plan,
    print_summary,
    summarize_run,
)
from turbo_eval.core.errors import InputError


def generate(
    suite: o.Suite = None,
    model: o.Model = None,
    steps: o.Steps = None,
    guidance: o.Guidance = None,
    seeds: o.Seeds = None,
    allow_fewer: o.AllowFewer = None,
    seed_base: o.SeedBase = None,
    dimensions: o.Dimensions = None,
    prompts: o.Prompts = None,
    limit: o.Limit = None,
    rewritten: o.Rewritten = None,
    judges: o.JudgesName = None,
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
        seeds=seeds,
        allow_fewer=allow_fewer,
        seed_base=seed_base,
        dimensions=dimensions,
        prompts=prompts,
        limit=limit,
        rewritten=rewritten,
        judges=judges,
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
    device: o.Device = None,
    dry_run: o.DryRun = False,
    as_json: o.AsJson = False,
) -> None:
    """Let the judges look at the videos of a run; each looks once at each video it is needed for.

    Example: turbo-eval features --run runs/mine
    """
    _stage(reopen(run_folder, device=device), "features", dry_run=dry_run, as_json=as_json)


def score(
    run_folder: o.ExistingRun,
    export: o.Export = None,
    dry_run: o.DryRun = False,
    as_json: o.AsJson = False,
) -> None:
    """Compute the missing scores of a run from its features.

    Example: turbo-eval score --run runs/mine --export vbench:results
    """
    target = o.export_target(export)
    _stage(reopen(run_folder), "score", dry_run=dry_run, as_json=as_json, export=target)


def summarize(run_folder: o.ExistingRun, as_json: o.AsJson = False) -> None:
    """Compute values, intervals, totals and differences from the scores of a run.

    Example: turbo-eval summarize --run runs/mine --json
    """
    summary = summarize_run(reopen(run_folder))
    if as_json:
        print_json(summary)
    else:
        print_summary(summary)


def check(run_folder: o.ExistingRun, as_json: o.AsJson = False) -> None:
    """Check that every video of a run is there and whole, by decoding it; exit code 5 if not.

    Example: turbo-eval check --run runs/mine
    """
    from turbo_eval.video.read import decode

    session = reopen(run_folder)
    plan = session.plan_videos()
    problems: list[dict[str, str]] = [
        {"model": item.label, "prompt": item.prompt.text, "problem": "missing or changed"}
        for items in plan.missing.values()
        for item in items
    ]
    missing = {(i.label, i.video_id) for items in plan.missing.values() for i in items}
    sizes: Counter[tuple[str, int, int, int]] = Counter()
    texts = session.by_id
    for video in session.videos():
        if (video.model, video.video_id) in missing:
            continue
        try:
            clip = decode(session.run.resolve(video.path))
        except InputError as error:
            text = texts[video.prompt_id].text
            problems.append({"model": video.model, "prompt": text, "problem": str(error)})
        else:
            frames, height, width, _ = clip.frames.shape
            sizes[video.model, frames, width, height] += 1
    shapes = [
        {"model": model, "frames": frames, "width": width, "height": height, "videos": count}
        for (model, frames, width, height), count in sorted(sizes.items())
    ]
    if as_json:
        found = {"run": run_folder, "notes": plan.notes, "videos": shapes, "problems": problems}
        print_json(found)
    else:
        print_table(
            ["model", "frames", "width", "height", "videos"], [[*s.values()] for s in shapes]
        )
        for problem in problems[:20]:
            say("{model}, {prompt!r}: {problem}".format(**problem))
        for note in plan.notes:
            say(f"Note: {note}")
    if problems:
        raise InputError(
            f"{len(problems)} of {plan.total} videos of {run_folder} are not whole",
            why=problems[0]["problem"].partition(". Fix: ")[0],
            fix="run `turbo-eval generate` with the same settings, or replace the files",
        )


def _stage(
    session: Session, stage: str, *, dry_run: bool, as_json: bool, export: Path | None = None
) -> None:
    if dry_run:
        plans = [plan for plan in stage_plans(session) if plan.stage == stage]
        print_plan(session, plans, as_json=as_json)
        return
    outcomes = do_stages(session, [stage])
    if export is not None:
        export_run(session, export)
    if as_json:
        print_json(outcomes[0])
    else:
        print(session.run.path)
    finish(session, outcomes)

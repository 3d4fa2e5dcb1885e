"""`turbo-eval ablate`: train a grid of students, sample and score them alike, tabulate."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from turbo_eval.ablate import claims, cost, grid, rewards, spec, trainer
from turbo_eval.ablate.conclusion import sentences
from turbo_eval.ablate.grid import Row
from turbo_eval.ablate.pooled import pool
from turbo_eval.ablate.results import assemble
from turbo_eval.ablate.spec import Ablation
from turbo_eval.ablate.trainer import Training
from turbo_eval.ablate.write import write
from turbo_eval.cli import options as o
from turbo_eval.cli.device import pick_device
from turbo_eval.cli.session import Session, finish, say, start
from turbo_eval.cli.show import print_json, print_table
from turbo_eval.cli.stages import do_stages, summarize_run, write_page
from turbo_eval.core.hashing import content_key
from turbo_eval.core.progress import clock
from turbo_eval.core.runs import safe_name

Name = Annotated[
    str | None, typer.Argument(metavar="NAME|FILE", help="A packaged ablation, or a TOML file.")
]
PresetName = Annotated[str, typer.Option("--preset", help="full or quick.")]
RunOption = Annotated[
    Path | None, typer.Option("--run", help="Run folder; runs/ablate-NAME-KEY when not given.")
]
Change = Annotated[
    list[str] | None,
    typer.Option("--set", help="Training setting key=value of every student; repeatable."),
]
Threads = Annotated[int | None, typer.Option(help="CPU threads of training.", min=1)]
Measure = Annotated[
    bool, typer.Option(help="Measure a few steps for the estimate, if none are known.")
]


def ablate(
    name: Name = None,
    preset: PresetName = "full",
    run_folder: RunOption = None,
    change: Change = None,
    threads: Threads = None,
    device: o.Device = None,
    measure: Measure = True,
    dry_run: o.DryRun = False,
    as_json: o.AsJson = False,
) -> None:
    """Train variants, sample and score them alike, and tabulate their differences.

    Without a name the packaged ablations are listed. Everything finished is kept: the same
    command goes on where it was stopped.

    Example: turbo-eval ablate reward-mix --preset quick
    """
    if name is None:
        _list(as_json=as_json)
        return
    ablation = spec.load(name).preset(preset)
    students = grid.variants(ablation, change or ())
    table = grid.rows(ablation, students)
    bases = grid.references(ablation, table)
    more = tuple(name for name in claims.compared(ablation, table) if name not in bases)
    where = pick_device(device or "auto")
    folder = run_folder or _folder(ablation, preset, students)
    trainings = trainer.resolve(students, folder)
    models = _models(table, bases, trainings)
    _check_evaluation(ablation, models, folder)
    finished = {t.variant.name: trainer.is_finished(t) for t in trainings}
    plan = _plan(
        ablation, table, trainings, finished, threads=threads, device=where, measure=measure
    )
    plan = {"name": ablation.name, "preset": preset, "run": str(folder), **plan}
    if dry_run:
        _show_plan(plan, as_json=as_json)
        return
    _tell_plan(plan)
    trainer.train_all(trainings, threads=threads, device=_family(where), say=say)
    session = start({**_flags(ablation, folder), "models": models, "device": where}, None)
    outcomes = do_stages(session)
    found, path = _results(ablation, table, bases, more, trainings, session, where, sys.argv)
    if as_json:
        print_json(found)
        say(f"Table: {path}")
    else:
        for line in (*found["conclusion"], *claims.lines(found["claims"])):
            say(line)
        print(path)
    finish(session, outcomes)


def _list(*, as_json: bool) -> None:
    found = [spec.load(name) for name in spec.names()]
    if as_json:
        print_json([{"name": a.name, "description": a.description} for a in found])
        return
    print_table(["ablation", "about"], [[a.name, a.description] for a in found])


def _folder(ablation: Ablation, preset: str, students: Sequence[grid.Variant]) -> Path:
    """A folder for exactly this ablation, so that other settings get another one."""
    asked = [[v.name, v.config, dict(v.settings)] for v in students]
    # A claim changes no number.
    key = content_key("ablate", ablation.model_dump(mode="json", exclude={"claim"}), asked)[:8]
    quick = "-quick" if preset == "quick" else ""
    return Path("runs") / f"ablate-{safe_name(ablation.name)}{quick}-{key}"


def _family(device: str) -> str:
    """The trainer's word for a device; it spreads over several by `accelerate launch`."""
    return device.partition(":")[0]


def _flags(ablation: Ablation, folder: Path) -> dict[str, Any]:
    """The settings of the run that evaluates, beside its models and device."""
    return o.flags(
        suite=ablation.suite,
        prompts=ablation.prompts,
        limit=ablation.limit,
        dimensions=ablation.dimensions,
        seeds=ablation.seeds,
        seed_base=ablation.seed_base,
        judges=ablation.judges,
        run=folder,
    )


def _check_evaluation(
    ablation: Ablation, models: Sequence[Mapping[str, Any]], folder: Path
) -> None:
    """Refuse now what would be refused after hours of training.

    Raises:
        UsageError: Unknown suite, prompt, dimension, judges, reward or system.
        ConfigError: A setting is refused, or the folder holds a run of other settings.
    """
    from turbo_eval.backbones import load_judges
    from turbo_eval.config import ModelConfig, resolve
    from turbo_eval.core.runs import RunFolder
    from turbo_eval.generate import open_sources
    from turbo_eval.prompts.dimensions import dimension

    config = resolve({**_flags(ablation, folder), "models": list(models)}).config
    if config.dimensions is not None:
        named = [dimension(name) for name in config.dimensions]
        config = config.model_copy(update={"dimensions": named})
    for name in ablation.show:
        dimension(name)
    _prompts(ablation)
    load_judges(config.judges)
    rewards.open_rewards(ablation.rewards)
    systems = [ModelConfig(name=name) for name in {s.model: None for s in ablation.system}]
    open_sources(systems, weights_dir=config.weights_dir, device="cpu", dtype=config.dtype)
    run = RunFolder(folder)
    if run.exists():
        run.check(config.identity())


def _prompts(ablation: Ablation) -> int:
    """How many prompts the evaluation has."""
    from turbo_eval.prompts import load

    suite = load(ablation.suite).select(
        dimensions=ablation.dimensions, ids=ablation.prompts, limit=ablation.limit
    )
    return len(suite)


def _plan(
    ablation: Ablation,
    table: Sequence[Row],
    trainings: Sequence[Training],
    finished: Mapping[str, bool],
    *,
    threads: int | None,
    device: str,
    measure: bool,
) -> dict[str, Any]:
    """What is going to be trained, sampled and scored, and what that will cost."""
    facts = trainer.plans(trainings)
    missing = [t for t in trainings if not finished[t.variant.name]]

    def probe(training: Training) -> trainer.Speed:
        say(f"measuring two steps of {training.variant.name} (--no-measure leaves them out)")
        return trainer.probe(training, threads=threads, device=_family(device))

    training = cost.training_costs(trainings, finished, measure=probe if measure else None)
    calls = _calls(table, trainings)
    prompts = _prompts(ablation)
    second = None
    if measure and missing:
        model = next((row.model for row in table if not row.variant), None)
        teacher = str(trainings[0].settings["teacher"])
        second = cost.second_of_a_call(model or teacher, device)
    drawing = cost.drawing_costs(table, calls, prompts * ablation.seeds, second)
    return {
        "training": [
            {
                **asdict(each),
                "config": told.variant.config,
                "settings": dict(told.variant.settings),
                "rewards": told.rewards,
                "clips": told.clips,
                "trained_parameters": fact["trained_parameters"],
                "memory_gib": round(
                    sum(fact[k] for k in ("weights_gib", "optimizer_gib", "activations_gib")), 2
                ),
            }
            for each, told, fact in zip(training, trainings, facts, strict=True)
        ],
        "sampling": [asdict(each) for each in drawing],
        "scoring": {
            "suite": ablation.suite,
            "prompts": prompts,
            "seeds": ablation.seeds,
            "judges": ablation.judges,
            "dimensions": ablation.dimensions,
            "rewards": ablation.rewards,
        },
        "training_seconds": cost.total(training),
        "sampling_seconds": cost.total(drawing),
        "not_counted": cost.NOT_COUNTED,
    }


def _calls(table: Sequence[Row], trainings: Sequence[Training]) -> dict[str, int]:
    settings = {t.variant.name: t.settings for t in trainings}
    return {
        row.name: cost.network_calls(
            row, settings[row.variant.name] if row.variant else None, row.guidance
        )
        for row in table
    }


def _show_plan(plan: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(plan)
        return
    print_table(
        ["student", "configuration", "steps", "left", "clips", "rewards", "GiB", "estimate"],
        [
            [
                each["name"],
                each["config"],
                each["steps"],
                each["left"],
                each["clips"],
                ", ".join(f"{k} x {v:g}" for k, v in each["rewards"].items()),
                each["memory_gib"],
                "" if each["seconds"] is None else clock(each["seconds"]),
            ]
            for each in plan["training"]
        ],
    )
    print_table(
        ["row", "videos", "network calls each", "estimate"],
        [
            [
                each["name"],
                each["videos"],
                each["calls"],
                "" if each["seconds"] is None else clock(each["seconds"]),
            ]
            for each in plan["sampling"]
        ],
    )
    for line in _plan_lines(plan):
        say(line)


def _tell_plan(plan: Mapping[str, Any]) -> None:
    """The plan as lines on stderr, before anything runs."""
    for each in plan["training"]:
        state = "finished" if not each["left"] else f"{each['left']} of {each['steps']} steps left"
        names = ", ".join(f"{k} x {v:g}" for k, v in each["rewards"].items()) or "no reward"
        say(f"train  {each['name']}: {each['config']}, {names}, {state}{_about(each)}")
    for each in plan["sampling"]:
        say(
            f"sample {each['name']}: {each['videos']} videos of {each['calls']} calls{_about(each)}"
        )
    for line in _plan_lines(plan):
        say(line)


def _about(each: Mapping[str, Any]) -> str:
    return f", about {clock(each['seconds'])}" if each["seconds"] else ""


def _plan_lines(plan: Mapping[str, Any]) -> list[str]:
    told = plan["scoring"]
    models = ", ".join(told["rewards"]) or "none"
    lines = [
        f"score  suite {told['suite']}, {told['prompts']} prompts, {told['seeds']} videos each, "
        f"judges {told['judges']}, reward models {models}",
        f"Run folder: {plan['run']}",
    ]
    bases = dict.fromkeys(each["basis"] for each in plan["training"] if each["left"])
    lines += [f"Estimate of training from: {basis}" for basis in bases]
    seconds = [plan["training_seconds"], plan["sampling_seconds"]]
    shown = ["not known" if s is None else clock(s) for s in seconds]
    lines.append(
        f"Estimate: training {shown[0]}, drawing at most {shown[1]}; not counted: "
        f"{plan['not_counted']}"
    )
    return lines


def _models(
    table: Sequence[Row], bases: Sequence[str], trainings: Sequence[Training]
) -> list[dict[str, Any]]:
    """The models of the run that samples and scores every row; the baseline comes first."""
    paths = {t.variant.name: str(t.student) for t in trainings}
    models = []
    for row in _ordered(table, bases):
        entry: dict[str, Any] = {"name": paths[row.variant.name] if row.variant else row.model}
        if row.steps is not None:
            entry["steps"] = row.steps
        if row.guidance is not None:
            entry["guidance"] = float(row.guidance)
        models.append(entry)
    return models


def _ordered(table: Sequence[Row], bases: Sequence[str]) -> list[Row]:
    return sorted(table, key=lambda row: row.name != bases[0])


def _results(
    ablation: Ablation,
    table: Sequence[Row],
    bases: Sequence[str],
    more: Sequence[str],
    trainings: Sequence[Training],
    session: Session,
    device: str,
    command: Sequence[str],
) -> tuple[dict[str, Any], Path]:
    """Summaries, rewards, report and the folder `ablation/`."""
    from turbo_eval.analyze import summarize
    from turbo_eval.report import tables
    from turbo_eval.report.data import read

    summary = summarize_run(session)
    write_page(session, summary)
    ordered = _ordered(table, bases)
    labels = {r.name: s.label for r, s in zip(ordered, session.sources, strict=True)}
    summaries = {bases[0]: summary}
    for base in (*bases[1:], *more):
        summaries[base] = summarize(
            session.run, weights_dir=session.config.weights_dir, baseline=labels[base]
        ).to_json()
    models, absent = rewards.open_rewards(ablation.rewards, device)
    videos = session.videos()
    scored = rewards.score(models, videos, session.by_id, session.run, device=device)
    measured = rewards.summarize(
        scored,
        videos,
        list(labels.values()),
        [labels[base] for base in (*bases, *more)],
        [prompt.id for prompt in session.prompts],
        seeds=session.config.seeds,
    )
    calls = _calls(table, trainings)
    found = assemble(ablation, table, labels, summaries, measured, trainings, calls, absent)
    found["references"] = list(bases)
    found["trainings"] = pool(found)
    found["claims"] = claims.judge(ablation.claim, found)
    found["conclusion"] = sentences(found)
    words = ["turbo-eval", *command[1:]]
    return found, write(found, tables.markdown(read(summary)), session.run.path, words)

"""`turbo-eval ablate`: train a grid of students, sample and score them alike, tabulate."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from turbo_eval.ablate import claims, grid, rewards, spec, trainer
from turbo_eval.ablate.conclusion import sentences
from turbo_eval.ablate.grid import Row
from turbo_eval.ablate.pooled import pool
from turbo_eval.ablate.results import assemble
from turbo_eval.ablate.spec import Ablation
from turbo_eval.ablate.trainer import Training
from turbo_eval.ablate.write import write
from turbo_eval.cli import options as o
from turbo_eval.cli.ablate_plan import (
    count_prompts,
    family,
    make_plan,
    network_calls_of,
    show_plan,
    tell_plan,
)
from turbo_eval.cli.device import pick_device
from turbo_eval.cli.say import finish, say
from turbo_eval.cli.session import Session, start
from turbo_eval.cli.show import print_json, print_table
from turbo_eval.cli.stages import do_stages, summarize_run, write_page
from turbo_eval.config import GROWING, ModelConfig, resolve
from turbo_eval.core.hashing import content_key
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
    here, absent = rewards.present(ablation.rewards, resolve().config.weights_dir)
    _check_evaluation(ablation, models, folder)
    finished = {t.variant.name: trainer.is_finished(t) for t in trainings}
    plan = make_plan(
        ablation, table, trainings, finished, threads=threads, device=where, measure=measure
    )
    plan = {"name": ablation.name, "preset": preset, "run": str(folder), **plan}
    if dry_run:
        show_plan(plan, as_json=as_json)
        return
    tell_plan(plan)
    trainer.train_all(trainings, threads=threads, device=family(where), say=say)
    typed = {**_flags(ablation, folder), "models": models, "device": where, "rewards": here}
    session = start(typed, None)
    outcomes = do_stages(session)
    found, path = _results(ablation, table, bases, more, trainings, session, absent, sys.argv)
    if as_json:
        print_json(found)
        say(f"Table: {path}")
    else:
        for line in (*found["conclusion"], *claims.lines(found["claims"])):
            say(line)
        print(path)
    finish(outcomes, session.config.fail_threshold)


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
        UsageError: Unknown suite, prompt, dimension, judges or system.
        ConfigError: A setting is refused, or the folder holds a run of other settings.
    """
    from turbo_eval.backbones import load_judges
    from turbo_eval.core.runs import RunFolder
    from turbo_eval.generate import open_sources
    from turbo_eval.prompts.dimensions import dimension

    config = resolve({**_flags(ablation, folder), "models": list(models)}).config
    if config.dimensions is not None:
        named = [dimension(name) for name in config.dimensions]
        config = config.model_copy(update={"dimensions": named})
    for name in ablation.show:
        dimension(name)
    count_prompts(ablation)
    load_judges(config.judges)
    systems = [ModelConfig(name=name) for name in {s.model: None for s in ablation.system}]
    open_sources(systems, weights_dir=config.weights_dir, device="cpu", dtype=config.dtype)
    run = RunFolder(folder)
    if run.exists():
        run.check(config.identity(), growing=GROWING)


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
    absent: Sequence[str],
    command: Sequence[str],
) -> tuple[dict[str, Any], Path]:
    """Summaries, report and the folder `ablation/`."""
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
    calls = network_calls_of(table, trainings)
    found = assemble(ablation, table, labels, summaries, trainings, calls, absent)
    found["references"] = list(bases)
    found["trainings"] = pool(found)
    found["claims"] = claims.judge(ablation.claim, found)
    found["conclusion"] = sentences(found)
    words = ["turbo-eval", *command[1:]]
    return found, write(found, tables.markdown(read(summary)), session.run.path, words)

"""`turbo-train list|show|cp|run|resume|export`: training runs of students."""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from turbo_eval.core.errors import InputError, UsageError

Run = Annotated[
    Path | None,
    typer.Option(help="Folder of the run; runs/train/NAME by default.", file_okay=False),
]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Threads = Annotated[int | None, typer.Option(help="CPU threads; all by default.", min=1)]
Weights = Annotated[
    Path | None, typer.Option("--weights-dir", help="Folder of teachers' and rewards' weights.")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="key=value in place of a setting; repeatable."),
]
Processes = Annotated[
    int, typer.Option(min=1, help="Processes on this machine; with GPUs, one each.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def list_configs(as_json: AsJson = False) -> None:
    """List the packaged training configurations."""
    from turbo_train import config

    found = [(name, config.load(name)) for name in config.names()]
    if as_json:
        rows = [
            {"name": name, "recipe": c.recipe, "teacher": c.teacher, "steps": c.steps,
             "description": c.description}
            for name, c in found
        ]  # fmt: skip
        print(json.dumps(rows, indent=1))
        return
    for name, settings in found:
        print(f"{name:20} {settings.recipe:14} {settings.teacher:14} {settings.description}")


def show(name: str, change: Set = None, as_json: AsJson = False) -> None:
    """Show a configuration with every default filled in."""
    from turbo_train import config

    values = config.load(name, change or []).model_dump(mode="json", exclude_none=True)
    if as_json:
        print(json.dumps(values, indent=1))
        return
    import tomli_w

    print(tomli_w.dumps(values), end="")


def cp(name: str, to: Path) -> None:
    """Copy a packaged configuration, to be edited and run by its path."""
    from turbo_train import config

    source = config.path_of(name)
    target = to / source.name if to.is_dir() else to
    if target.suffix != ".toml":
        raise UsageError(f"{target} is no .toml file", fix="give a name that ends in .toml")
    if target.exists():
        raise InputError(f"{target} exists", fix="choose another name, or delete it")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    _say(f"written: {target}")


def run(
    name: str,
    run: Run = None,
    change: Set = None,
    device: Device = "auto",
    threads: Threads = None,
    weights_dir: Weights = None,
    processes: Processes = 1,
    dry_run: Annotated[bool, typer.Option(help="Print the plan and stop.")] = False,
    as_json: AsJson = False,
) -> int:
    """Train a student (resumes; run the same command again after a stop).

    Example: turbo-train run mini-turbo --set steps=200 --processes 2
    """
    from turbo_train import config

    settings = config.load(name, change or [])
    if dry_run:
        _plan(settings, as_json)
        return 0
    if processes > 1 and "RANK" not in os.environ:
        from turbo_train.launch import launch

        return launch(sys.argv[1:], processes)
    folder = run or Path("runs/train") / settings.name
    _train(settings, folder, device, threads, weights_dir, as_json)
    return 0


def resume(
    run: Annotated[Path, typer.Argument(help="Folder of the run.")],
    steps: Annotated[int | None, typer.Option(min=1, help="Train up to this step.")] = None,
    device: Device = "auto",
    threads: Threads = None,
    weights_dir: Weights = None,
    processes: Processes = 1,
    as_json: AsJson = False,
) -> int:
    """Go on with a run by its folder alone."""
    from turbo_train.export import read_run

    settings = read_run(run)
    if steps is not None:
        settings = settings.model_copy(update={"steps": steps})
    if processes > 1 and "RANK" not in os.environ:
        from turbo_train.launch import launch

        return launch(sys.argv[1:], processes)
    _train(settings, run, device, threads, weights_dir, as_json)
    return 0


def export(
    run: Annotated[Path, typer.Argument(help="Folder of the run.")],
    out: Annotated[Path | None, typer.Option(help="RUN/student by default.")] = None,
    format: Annotated[  # noqa: A002 - the option's name
        str, typer.Option(help="student (for turbo-eval) or diffusers (a plain pipeline).")
    ] = "student",
    name: Annotated[str, typer.Option(help="What reports call it.")] = "",
    step: Annotated[int | None, typer.Option(help="Which checkpoint; the newest.")] = None,
    guidance: Annotated[float | None, typer.Option(min=0, help="Guidance scale.")] = None,
    half: Annotated[bool, typer.Option(help="Store the LoRA in float16.")] = False,
    weights_dir: Weights = None,
) -> None:
    """Write a run's student where `turbo-eval --model PATH` finds it, or a diffusers pipeline."""
    from turbo_train import export as exports

    if format not in ("student", "diffusers"):
        raise UsageError(f"format {format!r}", fix="choose student or diffusers")
    target = out or run / format
    student = target if format == "student" else run / "student"
    exports.export_student(
        run, student, name=name, step=step, guidance=guidance, half=half, weights_dir=weights_dir
    )
    if format == "diffusers":
        exports.export_pipeline(student, target, guidance=guidance, weights_dir=weights_dir)
    _say(f"written: {target}")
    print(target)


def _plan(settings: Any, as_json: bool) -> None:
    from turbo_train.plan import lines, plan

    facts = plan(settings)
    if as_json:
        print(json.dumps(facts, indent=1))
    else:
        print("\n".join(lines(facts)))


def _train(
    settings: Any,
    folder: Path,
    device: str,
    threads: int | None,
    weights_dir: Path | None,
    as_json: bool,
) -> None:
    from turbo_train.setup import start

    progress = start(
        settings, folder, device=device, threads=threads, weights_dir=weights_dir, say=_say
    )
    if int(os.environ.get("RANK", "0")):
        return
    last = progress.history[-1] if progress.history else {}
    if as_json:
        print(json.dumps({"run": str(folder), "steps": progress.step, **last}, indent=1))
    else:
        _say(f"{progress.step} steps in {progress.seconds:.0f} s")
        _say(f"to use it: turbo-train export {folder}")
        print(folder)

"""`turbo-eval models`: try a text-to-video system, get a pipeline, list pipeline classes."""

import contextlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from turbo_eval.cli.show import print_json, print_table
from turbo_eval.config import resolve
from turbo_eval.core.errors import InputError

app = typer.Typer(
    add_completion=False,
    help="Text-to-video systems: check one, pull a pipeline, list pipeline classes.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

WeightsDir = Annotated[Path | None, typer.Option("--weights-dir", help="Folder with weights.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]


@app.command("check", epilog="Example: turbo-eval models check mini-teacher --steps 2")
def check_command(
    name: Annotated[str, typer.Argument(help="NAME, diffusers:FOLDER, command:PROGRAM, ...")],
    steps: Annotated[
        int | None, typer.Option(help="Sampling steps; at most 2 of its own by default.", min=1)
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32, float16 or bfloat16.")] = None,
    weights_dir: WeightsDir = None,
    as_json: AsJson = False,
) -> None:
    """Draw four small clips with a system and check what the protocol promises.

    Facts, licence, key, shape, frames, range, repetition by seed, independence of the batch. Leaves
    with 0 when all is well (warnings included), 2 for an unknown name or setting, 4 when weights
    are missing, 5 when a check failed.
    """
    from turbo_eval.cli.device import pick_device
    from turbo_eval.models import TextToVideo, load
    from turbo_eval.models.check import Trial, check_model

    settings = resolve({"device": device, "dtype": dtype, "weights_dir": weights_dir}).config
    place = pick_device(settings.device)

    def opened() -> TextToVideo:
        return load(name, weights_dir=settings.weights_dir, device=place, dtype=settings.dtype)

    trials: list[Trial] = []
    # An unknown name or missing weights have exit codes of their own.
    opened()
    # Whatever the system prints is no data of ours.
    with contextlib.redirect_stdout(sys.stderr):
        for trial in check_model(opened, steps=steps):
            print(f"{trial.state:8}{trial.name}: {trial.found}", file=sys.stderr, flush=True)
            trials.append(trial)
    if as_json:
        print_json({"model": name, "trials": trials})
    else:
        print_table(["check", "result", "found"], [[t.name, t.state, t.found] for t in trials])
    wrong = [trial for trial in trials if trial.state == "wrong"]
    if wrong:
        raise InputError(
            f"model {name} failed {len(wrong)} of {len(trials)} checks",
            why="; ".join(f"{trial.name}: {trial.found}" for trial in wrong[:3]),
            fix="see the protocol in docs/models.md",
        )


@app.command("pull", epilog="Example: turbo-eval models pull THUDM/CogVideoX-2b --dry-run")
def pull_command(
    repository: Annotated[str, typer.Argument(help="OWNER/NAME on the hub.")],
    weights_dir: WeightsDir = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the files and stop.")] = False,
    as_json: AsJson = False,
) -> None:
    """Get a diffusers pipeline for diffusers:OWNER/NAME: safetensors and settings, no code.

    What will be loaded is shown first. Leaves with 4 when the hub cannot be reached, and names the
    files and the folder they belong in.
    """
    from turbo_eval.models.diffusers_hub import download, plan_download

    plan = plan_download(repository, weights_dir or resolve().config.weights_dir)
    if as_json:
        print_json(
            {
                "repository": plan.repository,
                "revision": plan.revision,
                "class": plan.name,
                "folder": plan.folder,
                "bytes": plan.total,
                "files": plan.files,
            }
        )
    else:
        print_table(
            ["file", "mb"], [[file, f"{size / 1e6:.1f}"] for file, size in plan.files.items()]
        )
    print(
        f"{plan.name}, {len(plan.files)} files, {plan.total / 1e9:.2f} GB, into {plan.folder}",
        file=sys.stderr,
    )
    if not dry_run:
        print(download(plan), file=sys.stderr)


@app.command("classes", epilog="Example: turbo-eval models classes")
def classes_command(as_json: AsJson = False) -> None:
    """List the diffusers classes that diffusers:FOLDER can draw with, and their defaults."""
    from turbo_eval.models.diffusers_families import FAMILIES

    if as_json:
        print_json(FAMILIES)
        return
    print_table(
        ["class", "frames", "rule", "size", "fps", "steps", "guidance", "needs"],
        [
            [
                name,
                family.returned(family.frames),
                f"{family.every}k + {family.plus}" if family.plus else f"{family.every}k",
                f"{family.width}x{family.height}",
                f"{family.fps:g}",
                family.steps,
                f"{family.guidance:g}",
                family.needs,
            ]
            for name, family in FAMILIES.items()
        ],
    )

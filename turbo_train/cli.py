"""The `turbo-train` command: students of any teacher, and the mini world from nothing."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from turbo_eval.core import entry
from turbo_train import commands
from turbo_train.data import command as data_command

app = typer.Typer(no_args_is_help=True, help="Train text-to-video students and the mini world.")
world = typer.Typer(no_args_is_help=True, help="Train the mini world's networks from nothing.")
app.add_typer(world, name="world")
app.add_typer(data_command.app, name="data")
app.command("list")(commands.list_configs)
app.command()(commands.show)
app.command()(commands.cp)
app.command()(commands.run)
app.command()(commands.resume)
app.command()(commands.export)

Folder = Annotated[
    Path, typer.Option(help="Working folder: checkpoints and finished parts.", file_okay=False)
]
Device = Annotated[str, typer.Option(help="cpu or cuda.")]
Threads = Annotated[int | None, typer.Option(help="CPU threads; all by default.", min=1)]
Out = Annotated[Path | None, typer.Option(help="Where to write; the package's own by default.")]
DEFAULT = Path("runs/world")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@app.callback()
def root() -> None:
    """Train text-to-video students and the mini world."""


@world.command()
def vae(
    folder: Folder = DEFAULT,
    steps: Annotated[int, typer.Option(min=1)] = 6000,
    seed: int = 1,
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Train the autoencoder (resumes; run the same command again after a stop)."""
    from turbo_train.world import recipes

    recipes.thread_count(threads)
    recipes.run_vae(folder, steps=steps, seed=seed, device=device, say=_say)


@world.command()
def decoder(
    folder: Folder = DEFAULT,
    steps: Annotated[int, typer.Option(min=1)] = 5000,
    seed: int = 4,
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Train the autoencoder's decoder further; may run beside the teacher."""
    from turbo_train.world import recipes

    recipes.thread_count(threads)
    recipes.run_decoder(folder, steps=steps, seed=seed, device=device, say=_say)


@world.command()
def text(
    folder: Folder = DEFAULT,
    steps: Annotated[int, typer.Option(min=1)] = 700,
    seed: int = 2,
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Train the tokenizer and the text encoder."""
    from turbo_train.world import recipes

    recipes.thread_count(threads)
    recipes.run_text(folder, steps=steps, seed=seed, device=device, say=_say)


@world.command()
def teacher(
    folder: Folder = DEFAULT,
    image_steps: Annotated[int | None, typer.Option(min=0)] = None,
    mixed_steps: Annotated[int | None, typer.Option(min=0)] = None,
    video_steps: Annotated[int | None, typer.Option(min=0)] = None,
    pool: Annotated[int | None, typer.Option(min=16)] = None,
    seed: int | None = None,
    device: Device = "cpu",
    threads: Threads = None,
    processes: commands.Processes = 1,
) -> int:
    """Train the teacher: single frames first, then both, then clips."""
    if processes > 1 and "RANK" not in os.environ:
        from turbo_train.launch import launch

        return launch(sys.argv[1:], processes)
    from dataclasses import replace

    from turbo_train.world import recipes

    recipes.thread_count(threads)
    given = {
        "image_steps": image_steps,
        "mixed_steps": mixed_steps,
        "video_steps": video_steps,
        "pool": pool,
        "seed": seed,
    }
    changed = {key: value for key, value in given.items() if value is not None}
    settings = replace(recipes.TEACHER, **changed)
    recipes.run_teacher(folder, settings=settings, device=device, say=_say)
    return 0


@world.command()
def judges(
    folder: Folder = DEFAULT,
    only: Annotated[list[str] | None, typer.Option(help="A part; repeatable.")] = None,
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Train the mini judges into the package, with their cards."""
    from turbo_train.world import recipes
    from turbo_train.world.judges import train_all

    recipes.thread_count(threads)
    train_all(folder / "judges", only or None, device=device, say=_say)


@world.command()
def rewards(
    folder: Folder = DEFAULT,
    only: Annotated[list[str] | None, typer.Option(help="A reward; repeatable.")] = None,
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Train the mini rewards into the package, with their cards."""
    from turbo_train.world import recipes
    from turbo_train.world.rewards import train_all

    recipes.thread_count(threads)
    train_all(folder / "rewards", only or None, device=device, say=_say)


@world.command()
def suite(out: Path = Path("prompts/mini")) -> None:
    """Write the mini prompt suite and its manifest."""
    from turbo_train.world.suite import write

    _say(f"{out}: {write(out)} prompts")


@world.command()
def export(folder: Folder = DEFAULT, out: Out = None) -> None:
    """Write the finished teacher as a packaged system, then measure it (see `measure`)."""
    from turbo_eval.models.mini import PACKAGED
    from turbo_train.world import recipes

    recipes.run_export(folder, out or PACKAGED)
    _say(f"written to {out or PACKAGED}")


@world.command()
def measure(
    prompts: Annotated[int, typer.Option(min=1, help="Held-out prompts.")] = 200,
    steps: Annotated[int, typer.Option(min=1)] = 50,
    guidance: Annotated[float | None, typer.Option(min=0)] = None,
    seed: int = 800,
    out: Out = None,
    save: Annotated[bool, typer.Option(help="Write the result into the system's card.")] = False,
) -> None:
    """Read the teacher's clips of held-out prompts with the judges; prints JSON."""
    import json

    from turbo_eval.models.mini import PACKAGED
    from turbo_train.world.measure import measure as run

    result = run(
        out or PACKAGED,
        prompts=prompts,
        steps=steps,
        guidance=guidance,
        seed=seed,
        save=save,
        say=_say,
    )
    print(json.dumps(result, indent=1))


def main(argv: Sequence[str] | None = None) -> None:
    """Run `turbo-train` and leave the process with the documented exit code.

    Args:
        argv: arguments without the program's name; those of the process when None.
    """
    entry.main(app, "turbo-train", argv)

"""The options that `run`, `plan`, `generate` and `demo` share, and how they become settings."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from turbo_eval.core.errors import UsageError

Suite = Annotated[
    str | None,
    typer.Argument(metavar="SUITE", help="mini, vbench, evalcrafter, custom:FILE, ..."),
]
Model = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        "-m",
        help="NAME, NAME@8, NAME@steps=8,guidance=4, or folder:PATH. Repeat it to compare; the "
        "first one is the baseline.",
    ),
]
Steps = Annotated[int | None, typer.Option(help="Sampling steps of every model.", min=1, max=1000)]
Guidance = Annotated[float | None, typer.Option(help="Guidance of every model.", min=0, max=100)]
Seeds = Annotated[int | None, typer.Option(help="Videos per prompt (VBench: 5).", min=1)]
AllowFewer = Annotated[
    bool | None,
    typer.Option(
        "--allow-fewer/--no-allow-fewer",
        help="Whether a prompt may have fewer existing videos than --seeds.",
        show_default=False,
    ),
]
Rewritten = Annotated[
    Path | None, typer.Option(help="File of rewritten prompts that models are given instead.")
]
CompatMode = Annotated[
    str | None, typer.Option("--compat", help="vbench (quirks included) or fixed.")
]
StaticFilter = Annotated[
    bool | None,
    typer.Option(
        "--static-filter/--no-static-filter",
        help="Temporal flickering on the first 5 of 25 videos that stand still.",
        show_default=False,
    ),
]
Export = Annotated[
    str | None,
    typer.Option(metavar="vbench:FOLDER", help="Write the scores as VBench's own result files."),
]
SeedBase = Annotated[int | None, typer.Option(help="First seed.", min=0)]
Dimensions = Annotated[
    list[str] | None,
    typer.Option(help="Only these dimensions, or reward.NAME; commas or repeated."),
]
Rewards = Annotated[
    list[str] | None,
    typer.Option(help="Reward models that score beside the judges; commas or repeated."),
]
Prompts = Annotated[
    list[str] | None, typer.Option(help="Only these prompts: ids, or patterns on the text (*, ?).")
]
Limit = Annotated[
    int | None, typer.Option(help="At most this many prompts, spread over the dimensions.", min=1)
]
JudgesName = Annotated[str | None, typer.Option("--judges", help="Set of judges.")]
JudgeDtype = Annotated[
    str | None, typer.Option("--judge-dtype", help="Judges compute in float32 or bf16.")
]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
Dtype = Annotated[str | None, typer.Option(help="float32, float16 or bfloat16.")]
BatchSize = Annotated[
    str | None, typer.Option(help="Videos drawn at once; auto halves when memory runs out.")
]
Threshold = Annotated[
    float | None,
    typer.Option(
        "--fail-threshold", help="Share of items that may fail; more is exit code 7.", min=0, max=1
    ),
]
Retries = Annotated[
    int | None, typer.Option(help="How often a failed item is tried again.", min=0, max=10)
]
WeightsDir = Annotated[Path | None, typer.Option(help="Folder with weights.")]
Run = Annotated[
    Path | None, typer.Option("--run", help="Run folder; runs/SUITE-KEY when not given.")
]
ExistingRun = Annotated[Path, typer.Option("--run", help="Run folder.", envvar="TURBO_EVAL_RUN")]
Sample = Annotated[
    Path | None,
    typer.Option(
        help="Run folder of a small sample (run with --limit) whose measured times the estimate "
        "counts, too."
    ),
]
Config = Annotated[Path | None, typer.Option("--config", help="TOML file with settings.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan and do nothing.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, and nothing else.")]

_PAIR = re.compile(r"(steps|guidance)=(.*)")


def flags(
    *,
    model: Sequence[str] | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    dimensions: Sequence[str] | None = None,
    rewards: Sequence[str] | None = None,
    batch_size: str | None = None,
    **others: Any,
) -> dict[str, Any]:
    """Turn typed options into the flags that `turbo_eval.config.resolve` merges.

    Args:
        model: Models as typed.
        steps: Steps of every model that names none itself.
        guidance: Guidance of every model that names none itself.
        dimensions: Dimensions, each with or without commas.
        rewards: Rewards, each with or without commas.
        batch_size: A number or `auto`.
        **others: Settings that need no translation; None means not typed.

    Raises:
        UsageError: A model or batch size cannot be read.
    """
    found: dict[str, Any] = {key: value for key, value in others.items() if value is not None}
    if model:
        found["models"] = [parse_model(text) for text in model]
    if dimensions:
        found["dimensions"] = listed(dimensions)
    if rewards:
        found["rewards"] = listed(rewards)
    if batch_size is not None:
        found["batch_size"] = _batch(batch_size)
    if steps is not None:
        found["steps"] = steps
    if guidance is not None:
        found["guidance"] = guidance
    return found


def listed(texts: Sequence[str]) -> list[str]:
    """The names in options that may be repeated and may hold commas."""
    parts = [part.strip() for text in texts for part in text.split(",")]
    return [part for part in parts if part]


def with_defaults(
    models: Sequence[Mapping[str, Any]], steps: int | None, guidance: float | None
) -> list[dict[str, Any]]:
    """Give steps and guidance to every model that has none; existing videos have neither."""
    filled = []
    for model in models:
        entry = {key: value for key, value in model.items() if value is not None}
        if not str(entry["name"]).startswith("folder:"):
            if steps is not None:
                entry.setdefault("steps", steps)
            if guidance is not None:
                entry.setdefault("guidance", float(guidance))
        filled.append(entry)
    return filled


def parse_model(text: str) -> dict[str, Any]:
    """Read `NAME`, `NAME@8`, `NAME@steps=8,guidance=4` or `folder:PATH`.

    Args:
        text: As typed. An @ that no setting follows belongs to the name.

    Returns:
        name, and steps and guidance where they are given.

    Raises:
        UsageError: A setting is unknown or no number.
    """
    name, at, rest = text.rpartition("@")
    if not at or "/" in rest:
        return {"name": text}
    if rest.isdecimal():
        return {"name": name, "steps": int(rest)}
    if "=" not in rest:
        return {"name": text}
    entry: dict[str, Any] = {"name": name}
    for part in rest.split(","):
        pair = _PAIR.fullmatch(part.strip())
        try:
            if pair is None:
                raise ValueError("a model has the settings steps and guidance")
            entry[pair[1]] = int(pair[2]) if pair[1] == "steps" else float(pair[2])
        except ValueError as error:
            raise UsageError(
                f"model {text!r} has the setting {part!r}",
                why=str(error),
                fix=f"write it like {name}@steps=8,guidance=4",
            ) from error
    return entry


def export_target(text: str | None) -> Path | None:
    """Read `vbench:FOLDER`.

    Raises:
        UsageError: It is another form, or the folder is a file.
    """
    if text is None:
        return None
    form, colon, folder = text.partition(":")
    if form != "vbench" or not colon or not folder:
        raise UsageError(
            f"--export {text!r}",
            why="results are written in one form, VBench's",
            fix="write --export vbench:FOLDER",
        )
    path = Path(folder).expanduser()
    if path.exists() and not path.is_dir():
        raise UsageError(f"--export {text!r}", why=f"{path} is a file", fix="name a folder")
    return path


def _batch(text: str) -> int | str:
    if text == "auto" or text.isdecimal():
        return int(text) if text.isdecimal() else text
    raise UsageError(f"--batch-size {text!r}", fix="give a number, or auto")

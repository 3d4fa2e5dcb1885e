"""`turbo-train data`: look at training data before training."""

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from turbo_eval.core.errors import PartialFailure, UsageError

if TYPE_CHECKING:
    from turbo_train.data.check import Report
    from turbo_train.data.settings import DataSettings

app = typer.Typer(no_args_is_help=True, help="Look at training data before training.")

_SHOWN = 20


@app.callback()
def root() -> None:
    """Look at training data before training."""


@app.command()
def check(
    path: Annotated[
        list[str],
        typer.Argument(help="Folders, shards, brace patterns, lists of shards, or addresses."),
    ],
    kind: Annotated[
        str | None, typer.Option(help="folder, webdataset or latents; guessed when absent.")
    ] = None,
    captions: Annotated[
        str | None, typer.Option(help="The csv or jsonl file of a folder's captions.")
    ] = None,
    frames: Annotated[
        int | None,
        typer.Option(min=1, help="Frames of a clip; 16, or what the latents have, when absent."),
    ] = None,
    fps: Annotated[float, typer.Option(help="Frames a second asked of a clip.")] = 16.0,
    choice: Annotated[str, typer.Option(help="stride or fractional.")] = "stride",
    limit: Annotated[int | None, typer.Option(min=1, help="Read only the first so many.")] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Where downloads are kept; thrown away when absent.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Read every clip and caption as training would, and count what cannot be used.

    Exit code 0 when all can be used, 6 when some cannot, 5 when none can.
    """
    from turbo_train.data.check import check as run

    settings = _settings(path, kind, captions, fps, choice)
    with tempfile.TemporaryDirectory(prefix="turbo-train-") as scratch:
        report = run(
            settings,
            frames=frames,
            fps=fps,
            folder=cache or Path(scratch),
            limit=limit,
            quiet=False,
        )
    if as_json:
        typer.echo(json.dumps(asdict(report), indent=2, ensure_ascii=False))
    typer.echo(summary(report), err=True)
    broken = report.checked - report.readable
    if report.readable == 0:
        raise report.nothing()
    if broken:
        raise PartialFailure(
            f"{broken} of {report.checked} samples cannot be used",
            why="training passes over them and counts them",
            fix="repair or remove them, or go on as they are",
        )


def summary(report: "Report") -> str:
    """The report as lines for people: numbers, reasons, and the first broken samples."""
    lines = [
        f"{report.kind}: {report.readable} of {report.checked} samples can be used"
        + (f" ({report.samples} in all)" if report.checked < report.samples else "")
    ]
    lines += [f"  {count:6d}  {reason}" for reason, count in report.broken.items()]
    for fault in report.faults[:_SHOWN]:
        lines.append(f"  {fault.key}: {fault.reason}" + (f" ({fault.detail})" * bool(fault.detail)))
    if len(report.faults) > _SHOWN:
        lines.append(f"  and {len(report.faults) - _SHOWN} more (--json lists all)")
    return "\n".join(lines)


def _settings(
    path: list[str], kind: str | None, captions: str | None, fps: float, choice: str
) -> "DataSettings":
    from pydantic import ValidationError

    from turbo_train.data.check import guess_kind
    from turbo_train.data.settings import DataSettings

    given = {"kind": kind or guess_kind(path), "path": path, "captions": captions}
    try:
        return DataSettings.model_validate({**given, "fps": fps, "choice": choice})
    except ValidationError as error:
        first = error.errors()[0]
        what = " ".join(f"--{part}" for part in first["loc"]) or "the options"
        message = first["msg"].removeprefix("Value error, ")
        # A choice of words and a combination are typed wrongly, as any option would be.
        raise UsageError(f"{what} cannot be used", why=message) from None

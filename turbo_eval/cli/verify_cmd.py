"""`turbo-eval verify vbench`: our numbers beside the official program's, on this machine."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from turbo_eval.cli import options as o
from turbo_eval.cli.say import finish, say
from turbo_eval.cli.session import Session, start
from turbo_eval.cli.show import print_json, print_table
from turbo_eval.cli.stages import do_stages, export_run
from turbo_eval.core.errors import PartialFailure, PrerequisiteError, ThresholdError, UsageError

app = typer.Typer(
    add_completion=False,
    help="Compare our numbers with the official programs'.",
    epilog="Example: turbo-eval verify vbench --python ~/vbench-env/bin/python",
    no_args_is_help=True,
)


@app.callback()
def _group() -> None:
    """Compare our numbers with the official programs'."""


@app.command()
def vbench(
    python: Annotated[
        Path, typer.Option(help="Interpreter of the environment that has the official package.")
    ],
    videos: Annotated[
        Path | None, typer.Option(help="Folder of clips in VBench's naming; drawn when not given.")
    ] = None,
    info: Annotated[
        Path | None, typer.Option(help="Their prompts, in the form of VBench_full_info.json.")
    ] = None,
    dimensions: o.Dimensions = None,
    weights_dir: o.WeightsDir = None,
    device: o.Device = None,
    tolerance: Annotated[
        float | None, typer.Option(help="Largest difference that counts as equal.", min=0)
    ] = None,
    work: Annotated[
        Path | None, typer.Option(help="Folder to keep everything in; temporary when not given.")
    ] = None,
    as_json: o.AsJson = False,
) -> None:
    """Score the same clips with the same weights here and there, and print the differences.

    Exit code 7 when a number differs, 6 when one side could not score a dimension.

    Example: turbo-eval verify vbench --python ~/vbench-env/bin/python --weights-dir weights
    """
    from turbo_eval.report import verify

    if (videos is None) != (info is None):
        raise UsageError(
            "only one of --videos and --info", fix="name both, or neither to use drawn clips"
        )
    limit = verify.TOLERANCE if tolerance is None else tolerance
    _check_python(python)
    with tempfile.TemporaryDirectory(prefix="turbo-eval-verify-") as temporary:
        folder = (work or Path(temporary)).resolve()
        if info is None or videos is None:
            info = verify.write_samples(folder / "sample")
            videos = folder / "sample" / "videos"
        typed = o.flags(
            suite=f"vbench:{info}",
            model=[f"folder:{videos}"],
            judges="official",
            dimensions=dimensions,
            weights_dir=weights_dir,
            device=device,
            run=folder / "run",
        )
        session = start(typed, None)
        outcomes = do_stages(session)
        export_run(session, folder / "ours", quiet=True)
        wanted = _dimensions(session)
        _run_official(session, wanted, python, info, folder)
        rows = [
            verify.compare(name, folder / "ours", folder / "official", limit) for name in wanted
        ]
    if as_json:
        print_json({"tolerance": limit, "dimensions": rows})
    else:
        print_table(
            ["dimension", "videos", "largest difference", "official", "ours", "state", "reason"],
            [
                [r.dimension, r.videos, _short(r.largest), r.official, r.ours, r.state, r.reason]
                for r in rows
            ],
        )
    differing = [row.dimension for row in rows if row.state == "differs"]
    if differing:
        raise ThresholdError(
            f"{len(differing)} of {len(rows)} dimensions differ by more than {limit:g}",
            why=", ".join(differing),
            fix="compare weights, library versions and devices (docs/vbench.md)",
        )
    failed = [row for row in rows if row.state == "failed"]
    if failed:
        raise PartialFailure(
            f"{len(failed)} of {len(rows)} dimensions could not be compared",
            why=f"{failed[0].dimension}: {failed[0].reason}",
            fix="repair the official environment, or choose --dimensions",
        )
    finish(outcomes, session.config.fail_threshold)


def _check_python(python: Path) -> None:
    """Ask the interpreter for the package first: our own scores may take hours."""
    from turbo_eval.launch.command import run_command

    ask = "import importlib.util as u; raise SystemExit(u.find_spec('vbench') is None)"
    if run_command([str(python), "-c", ask]):
        raise PrerequisiteError(
            f"{python} has no package vbench",
            why="it does not find it, or is no Python",
            fix="name the interpreter of the environment in which the official program runs",
        )


def _dimensions(session: Session) -> list[str]:
    served = {m.info.dimension for p in session.prompts for m in session.metrics_for(p)}
    from turbo_eval.metrics.normalise import DIMENSIONS

    return [name for name in DIMENSIONS if name in served]


def _run_official(
    session: Session, dimensions: list[str], python: Path, info: Path, folder: Path
) -> None:
    from turbo_eval.backbones.official.files import VOCABULARY
    from turbo_eval.backbones.official.weights import locate
    from turbo_eval.launch.command import run_command
    from turbo_eval.models.folder import FolderVideos
    from turbo_eval.report import verify

    source = session.sources[0].system
    assert isinstance(source, FolderVideos)
    match = source.match(session.prompts, session.config.seeds, fewer=session.config.allow_fewer)
    left_out = verify.link_videos(match.found, folder / "videos")
    if left_out:
        say(f"Note: the official program cannot be given {', '.join(left_out[:5])}")
    weights_dir = session.config.weights_dir
    verify.link_weights(folder / "cache", weights_dir)
    words = locate(VOCABULARY, weights_dir)
    official = folder / "official"
    for name in dimensions:
        for old in (f"{name}_eval_results.json", f"{name}_error.txt"):
            (official / old).unlink(missing_ok=True)
        say(f"official {name} ...")
        # A process each, so that one that dies takes no other result along.
        command = [str(python), str(verify.DRIVER), "--dimension", name]
        command += ["--videos", str(folder / "videos"), "--info", str(info.resolve())]
        command += ["--cache", str(folder / "cache"), "--out", str(official)]
        command += ["--vocabulary", str(words.resolve())] if words else []
        command += ["--device", _device(session)]
        code = run_command(command)
        if code:
            say(f"Note: the official program left {name} with exit code {code}")


def _device(session: Session) -> str:
    from turbo_eval.cli.device import pick_device

    return pick_device(session.config.device)


def _short(value: float | None) -> str | None:
    return None if value is None else f"{value:.1e}"

"""`turbo-eval report`: the page of a run, and `report submit`, a zip for a leaderboard."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from turbo_eval.cli import options as o
from turbo_eval.cli.say import say
from turbo_eval.cli.session import reopen
from turbo_eval.cli.show import print_json, print_table
from turbo_eval.cli.stages import export_run, summarize_run, write_page
from turbo_eval.core.errors import UsageError

app = typer.Typer(
    add_completion=False,
    help="Write the page and the tables of a run, or pack its results for a leaderboard.",
    epilog="Example: turbo-eval report --run runs/mine",
)
Out = Annotated[
    Path | None, typer.Option("--out", help="Folder of the report; RUN/report when not given.")
]
MaybeRun = Annotated[
    Path | None, typer.Option("--run", help="Run folder.", envvar="TURBO_EVAL_RUN")
]


@app.callback(invoke_without_command=True)
def report(
    context: typer.Context,
    run_folder: MaybeRun = None,
    out: Out = None,
    export: o.Export = None,
    as_json: o.AsJson = False,
) -> None:
    """Write the page and the tables of a run and print the page's path.

    Example: turbo-eval report --run runs/mine
    """
    if context.invoked_subcommand is not None:
        context.obj = run_folder
        return
    if run_folder is None:
        raise UsageError("no run named", fix="turbo-eval report --run FOLDER")
    target = o.export_target(export)
    session = reopen(run_folder)
    if target is not None:
        export_run(session, target)
    # With a folder of its own the report needs only to read the run.
    summary = summarize_run(session, keep=out is None)
    page = write_page(session, summary, out)
    if as_json:
        print_json(summary)
        say(f"Report: {page}")
    else:
        print(page)


@app.command()
def submit(
    context: typer.Context,
    vbench: Annotated[bool, typer.Option("--vbench", help="For VBench's leaderboard.")] = False,
    run_folder: MaybeRun = None,
    source: Annotated[
        Path | None,
        typer.Option("--from", help="Folder of result files, ours or the official program's."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Which model of the run.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="The zip; MODEL-vbench.zip when not given.")
    ] = None,
    as_json: o.AsJson = False,
) -> None:
    """Check that results are complete and VBench's own, and pack them as a leaderboard zip.

    Example: turbo-eval report submit --vbench --run runs/mine --out mine.zip
    """
    from turbo_eval.report.submit import submit as pack

    if not vbench:
        raise UsageError("no leaderboard named", fix="add --vbench")
    run_folder = run_folder or context.obj
    if (run_folder is None) == (source is None):
        raise UsageError(
            "name what to submit",
            why="a run, or a folder of result files",
            fix="--run FOLDER or --from FOLDER",
        )
    if source is not None:
        done = pack(source, out or Path(f"{source.resolve().name}-vbench.zip"))
    else:
        assert run_folder is not None
        session = reopen(run_folder)
        labels = [each.label for each in session.sources]
        if model is None and len(labels) == 1:
            model = labels[0]
        if model not in labels:
            raise UsageError(
                f"{'no model named' if model is None else f'unknown model {model!r}'}",
                fix=f"--model with one of {', '.join(labels)}",
            )
        with tempfile.TemporaryDirectory() as folder:
            export_run(session, Path(folder), quiet=True)
            where = Path(folder) if len(labels) == 1 else Path(folder) / model
            done = pack(
                where,
                out or Path(f"{model}-vbench.zip"),
                name=f"run {run_folder}" + (f", model {model}" if len(labels) > 1 else ""),
            )
    for line in done.warnings:
        say(f"Note: {line}")
    if as_json:
        print_json(done)
        return
    print_table(
        ["score", "value"],
        [
            *([name, f"{value:.4f}"] for name, value in done.scores.items()),
            *([n, f"{getattr(done.totals, n):.4f}"] for n in ("quality", "semantic", "total")),
        ],
    )
    print(done.path)

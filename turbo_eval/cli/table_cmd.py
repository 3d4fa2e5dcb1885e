"""`turbo-eval table`: a run beside the figures that the papers and the leaderboard published."""

from pathlib import Path
from typing import Annotated

import typer

from turbo_eval.cli import options as o
from turbo_eval.cli.show import print_json, print_table
from turbo_eval.core.errors import InputError, UsageError, unknown

TITLES = {
    "1": "VBench, as in table 1 of T2V-Turbo",
    "4": "VBench, as in table 4 of T2V-Turbo",
    "v2": "VBench, T2V-Turbo and its second version",
    "top": "VBench, the top of the leaderboard",
    "leaderboard": "VBench, newer rows of the leaderboard",
}
FORMS = ("text", "markdown", "csv", "latex")

Paper = Annotated[
    str | None,
    typer.Option(
        "--paper",
        help="1 and 4 (tables of T2V-Turbo), v2, top, leaderboard; 1 when no --beside is given.",
    ),
]
Keys = Annotated[
    list[str] | None,
    typer.Option("--beside", metavar="ROW", help="A published row, such as t2v-turbo-vc2; repeat."),
]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model", "-m", help="Only these models of the run; differences are the first's."
    ),
]
Form = Annotated[str, typer.Option("--format", help="text, markdown, csv or latex.")]
Run = Annotated[
    Path | None, typer.Option("--run", help="Run folder, or a report's folder with summary.json.")
]


def table(
    run_folder: Run = None,
    paper: Paper = None,
    beside: Keys = None,
    model: Models = None,
    form: Form = "text",
    as_json: o.AsJson = False,
) -> None:
    """Show a run's VBench scores beside published ones, with the differences.

    Without --run it lists the published rows. Only runs with the official judges are shown.

    Example: turbo-eval table --run runs/t2v-turbo-vc2 --paper 4
    """
    from turbo_eval.report import published as figures
    from turbo_eval.report.beside import FORMATS, cells, notes, to_json
    from turbo_eval.report.data import read

    if form not in FORMS:
        raise unknown("format", form, FORMS)
    if run_folder is None:
        if model or form != "text":
            raise UsageError("there is no run to show", fix="add --run FOLDER")
        _list(paper, beside, as_json=as_json)
        return
    if paper is None and not beside:
        paper = "1"
    rows = figures.choose(paper, beside or ())
    title = TITLES[paper] if paper else "VBench, beside published figures"
    data = read(_summary(run_folder))
    made = figures.beside(data, rows, title=title, models=model or ())
    if as_json:
        print_json(to_json(made))
    elif form != "text":
        print(FORMATS[form](made), end="")
    else:
        header, lines = cells(made)
        print_table(header, lines)
        from turbo_eval.cli.say import say

        for note in notes(made):
            say(note)


def _summary(folder: Path) -> dict[str, object]:
    """The summary of a run or of a report.

    Raises:
        InputError: There is none, or it cannot be read.
    """
    from turbo_eval.analyze.summarize import read_json

    found = read_json(folder / "summary.json")
    if not found:
        raise InputError(
            f"{folder} holds no summary",
            why="summary.json is missing or cannot be read",
            fix=f"turbo-eval summarize --run {folder}",
        )
    return dict(found)


def _list(paper: str | None, keys: list[str] | None, *, as_json: bool) -> None:
    """Show what rows there are: key, name, totals, source."""
    from dataclasses import asdict

    from turbo_eval.report import published as figures

    rows = (
        figures.choose(paper, keys or ()) if paper or keys else tuple(figures.published().values())
    )
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    print_table(
        ["row", "name", "steps", "total", "quality", "semantic", "comparable", "source"],
        [
            [
                row.key,
                row.name,
                row.steps,
                *(row.scores.get(name) for name in figures.TOTALS),
                "no" if row.not_comparable else "yes",
                row.source,
            ]
            for row in rows
        ],
    )

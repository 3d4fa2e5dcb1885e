"""`turbo-eval list` and `turbo-eval describe`: what can be named, and what is known of it."""

import sys
from typing import Annotated, Any

import typer

from turbo_eval.cli import catalog
from turbo_eval.cli.show import print_json, print_table

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]


def _complete_kind(incomplete: str) -> list[str]:
    return [name for name in catalog.KINDS if name.startswith(incomplete)]


def _complete_name(incomplete: str) -> list[str]:
    names = [name for kind in catalog.KINDS.values() for name in kind.names()]
    return [name for name in names if name.startswith(incomplete)]


def list_names(
    kind: Annotated[
        str | None,
        typer.Argument(
            help="models, suites, metrics or judges; all four when not given.",
            autocompletion=_complete_kind,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """List models, suites, metrics or judges.

    Example: turbo-eval list metrics
    """
    kinds = list(catalog.KINDS.values()) if kind is None else [catalog.kind(kind)]
    rows = {each.name: each.rows() for each in kinds}
    if json:
        print_json(rows if kind is None else rows[kinds[0].name])
        return
    for position, each in enumerate(kinds):
        if len(kinds) > 1:
            print(("" if position == 0 else "\n") + each.name)
        print_table(each.columns, [_cells(row, each.columns) for row in rows[each.name]])


def _cells(row: catalog.Facts, columns: tuple[str, ...]) -> list[Any]:
    cells = [_cell(row.get(column)) for column in columns]
    if "error" in row:
        cells[-1] = f"cannot be read: {row['error']}"
    return cells


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value


def describe(
    name: Annotated[
        str,
        typer.Argument(
            help="A model, suite, metric or set of judges.", autocompletion=_complete_name
        ),
    ],
    json: Json = False,
) -> None:
    """Everything known about one model, suite, metric or set of judges.

    Example: turbo-eval describe vbench.color
    """
    kind, facts = catalog.describe(name)
    for other in catalog.namesakes(name, kind):
        print(f"{name} also names {other}: turbo-eval describe {other}:{name}", file=sys.stderr)
    if json:
        print_json({"kind": kind, **facts})
        return
    print_table(["fact", "value"], [("kind", kind), *_flatten(facts)])


def _flatten(facts: catalog.Facts, prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in facts.items():
        if isinstance(value, dict):
            rows += _flatten(value, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", _cell(value)))
    return rows

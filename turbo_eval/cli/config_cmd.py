"""`turbo-eval config`: the settings of a run and where each comes from."""

from pathlib import Path
from typing import Annotated

import typer

from turbo_eval.cli.show import print_json, print_table
from turbo_eval.config import ModelConfig, Resolved, resolve

app = typer.Typer(add_completion=False, help="Show the settings of a run and where they come from.")

FileOption = Annotated[
    Path | None, typer.Option("--config", help="TOML file; ./turbo-eval.toml when not given.")
]


@app.callback()
def _group() -> None:
    # Without a callback, Typer would fold a single command into the group.
    pass


@app.command(epilog="Example: turbo-eval config show --origin --config study.toml")
def show(
    config: FileOption = None,
    origin: Annotated[
        bool, typer.Option("--origin", help="Also tell where each value comes from.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Show the merged settings: environment over file over default (flags win over all)."""
    resolved = resolve(file=config)
    if json:
        values = resolved.config.model_dump(mode="json")
        print_json({"config": values, "origins": resolved.origins} if origin else values)
        return
    rows = _rows(resolved)
    if origin:
        print_table(["setting", "value", "origin"], rows)
    else:
        print_table(["setting", "value"], [row[:2] for row in rows])


def _rows(resolved: Resolved) -> list[tuple[str, str, str]]:
    rows = []
    for key, came_from in resolved.origins.items():
        value = getattr(resolved.config, key)
        if isinstance(value, list):
            parts = [each.label if isinstance(each, ModelConfig) else str(each) for each in value]
            value = ", ".join(parts)
        rows.append((key, "" if value is None else str(value), came_from))
    return rows

"""The names of Kinetics' 400 actions in the order in which UMT's outputs stand.

The names are those that torchvision lists for its own Kinetics networks; the order is a property
of the checkpoint, which VBench ships as a table of "name, tab, number". `build` turned that table
into the list beside this file, and a test repeats it where the `vbench` package is installed.
"""

import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

from turbo_eval.core.errors import InputError
from turbo_eval.core.store import write_json_atomic

FILE: Final = "umt_labels.json"
COUNT: Final = 400


@cache
def class_names() -> tuple[str, ...]:
    """The 400 names in lower case, the k-th for the k-th output of the network."""
    text = files("turbo_eval.backbones.official").joinpath(FILE).read_text(encoding="utf-8")
    return tuple(json.loads(text)["names"])


def build(table: Path, into: Path) -> None:
    """Write the list of names from a table of numbered names.

    Args:
        table: One class a line: name, tab, number of the output.
        into: The JSON file to write.

    Raises:
        InputError: The table does not number 400 different names from 0 to 399.
    """
    rows = [line.split("\t") for line in table.read_text(encoding="utf-8").splitlines() if line]
    try:
        names = {int(number): name.strip().lower() for name, number in rows}
    except ValueError as error:
        raise InputError(f"{table} is no table of numbered names", why=str(error)) from error
    if sorted(names) != list(range(COUNT)) or len(set(names.values())) != COUNT:
        raise InputError(f"{table} does not number {COUNT} different names from 0 on")
    write_json_atomic(into, {"format": 1, "names": [names[k] for k in range(COUNT)]})

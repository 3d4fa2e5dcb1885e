"""The options that say what clips are drawn, and how they become settings in the models' names.

`--size 384x256` is `:size=384x256` after the name of every model. So a video's key, a table's row
and the command that repeats a run know of it without a second way.
"""

import re
import shlex
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Annotated, Any, Final

import typer

from turbo_eval.core.errors import UsageError
from turbo_eval.models.folder import PREFIX
from turbo_eval.models.load import known_settings
from turbo_eval.models.settings import Settings, split_settings

Size = Annotated[
    str | None,
    typer.Option(metavar="WIDTHxHEIGHT", help="Pixels of the clips of every model."),
]
Frames = Annotated[
    int | None, typer.Option(help="Frames of the clips of every model.", min=1, max=100_000)
]
Fps = Annotated[
    float | None, typer.Option(help="Frames a second of the clips of every model.", min=0.1)
]
Negative = Annotated[str | None, typer.Option(help="Negative prompt of every model.")]

KEYS: Final = ("size", "frames", "fps", "negative")
"""The options, which are settings of the same names."""
_SIZE = re.compile(r"[1-9]\d*x[1-9]\d*")


def take_settings(typed: MutableMapping[str, Any]) -> dict[str, str]:
    """Take the options of this module out of all that were typed.

    Args:
        typed: Option -> value; these options are removed from it.

    Returns:
        Setting -> text as it stands in a model's name.

    Raises:
        UsageError: A size of another form, or an empty negative prompt.
    """
    found = {}
    for key in KEYS:
        value = typed.pop(key, None)
        if value is None:
            continue
        text = f"{value:g}" if isinstance(value, float) else str(value).strip()
        if key == "size" and not _SIZE.fullmatch(text):
            raise UsageError(
                f"--size {text!r}",
                why="it is the width and the height in pixels",
                fix="write it like --size 512x320",
            )
        if not text:
            raise UsageError(f"--{key} has no value", fix=f"give one, or leave --{key} away")
        found[key] = text
    return found


def with_settings(
    models: Sequence[Mapping[str, Any]], settings: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Give settings to every model that has none of the same name itself.

    Existing videos are as they are, so folders of them keep their names.

    Args:
        models: Entries with a `name`.
        settings: From `take_settings`.

    Raises:
        UsageError: A model that draws clips knows no such setting, or no such model.
    """
    return [{**model, "name": _told(str(model["name"]), settings)} for model in models]


def _told(name: str, settings: Mapping[str, str]) -> str:
    if not settings or name.startswith(PREFIX):
        return name
    bare, own = split_settings(name)
    known = known_settings(name)
    for key in settings:
        if key not in own and known is not None and key not in known:
            others = ", ".join(known)
            raise UsageError(
                f"model {bare} takes no --{key}",
                why=f"its settings are {others}" if others else "it has no settings",
                fix=f"leave --{key} away and write it to the models that take it, like "
                f"--model {shlex.quote(f'NAME:{key}={settings[key]}')}",
            )
    values = {**own, **{key: text for key, text in settings.items() if key not in own}}
    spelled = Settings(bare, values).spelled
    if split_settings(spelled) != (bare, values):
        raise UsageError(
            f"the settings of model {bare} cannot be told apart",
            why="a value holds a comma that a word and = follow at once",
            fix="put a space behind the comma",
        )
    return spelled

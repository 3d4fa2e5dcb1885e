"""Short names that tell the models of one run apart and are safe as folder names."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from turbo_eval.config import ModelConfig
from turbo_eval.core.errors import UsageError
from turbo_eval.core.hashing import content_key
from turbo_eval.models.folder import PREFIX
from turbo_eval.models.load import FAMILIES, student_folder
from turbo_eval.models.settings import split_settings
from turbo_eval.models.student import read_manifest

_LONGEST: Final = 100
"""Characters of a model's label."""


def _student_label(path: str) -> str:
    """The name in a student's manifest, so that a table shows what was trained, not where."""
    folder = student_folder(path)
    assert folder is not None
    said = [f":{key}={value}" for key, value in split_settings(path)[1].items()]
    return "".join([str(read_manifest(folder)["name"]), *said])


def _family_label(name: str) -> str:
    """The last part of what is named, and the settings without the folders in them."""
    bare, values = split_settings(name)
    what = bare.partition(":")[2].split()
    # Of a program with arguments, the last word that is a path tells most.
    paths = [word for word in what if "/" in word or "." in word] or what or ["model"]
    said = [f"{key}-{Path(value).stem}" for key, value in values.items()]
    return "-".join([paths[-1].rstrip("/").rpartition("/")[2], *said])


def labels(configs: Iterable[ModelConfig]) -> list[str]:
    """Short names that tell the models of one run apart and are safe as folder names.

    `mini-teacher`, `mini-teacher@8`, `mini-teacher@8-g4`; `folder:clips/mine` becomes `mine`, and
    `diffusers:weights/wan:frames=17` becomes `wan-frames-17`.

    Raises:
        UsageError: The same model is asked for twice with the same settings.
    """
    found: list[str] = []
    seen: set[str] = set()
    for config in configs:
        if config.label in seen:
            raise UsageError(
                f"model {config.label!r} is named twice",
                why="both would be the same row of the table",
                fix="leave one out, or give it other --steps or --guidance",
            )
        seen.add(config.label)
        text = config.label
        if config.name.startswith(PREFIX):
            path = Path(config.name.removeprefix(PREFIX))
            text = path.stem if path.suffix.lower() == ".csv" else path.resolve().name
        elif student_folder(config.name) is not None:
            text = config.label.replace(config.name, _student_label(config.name))
        elif config.name.partition(":")[0] in FAMILIES:
            text = config.label.replace(config.name, _family_label(config.name))
        safe = re.sub(r"[^\w.@+-]+", "_", text).strip("._") or "model"
        if len(safe) > _LONGEST:
            # A negative prompt can be longer than the name of a folder may be.
            safe = f"{safe[: _LONGEST - 9].rstrip('._-')}-{content_key('label', text)[:8]}"
        candidate, number = safe, 2
        while candidate in found:
            candidate, number = f"{safe}-{number}", number + 1
        found.append(candidate)
    return found

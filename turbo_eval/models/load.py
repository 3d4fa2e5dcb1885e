"""From the name a user types to a text-to-video system.

Names: a registered system (`mini-teacher`), a student's folder, `diffusers:REPOSITORY_OR_FOLDER`,
`command:PROGRAM`, or `folder:PATH` for videos that exist already. A name may carry settings:
`diffusers:weights/wan:frames=17` (turbo_eval.models.settings). Third parties
add systems by the entry-point group `turbo_eval.models` or by `TURBO_EVAL_PLUGINS`
(turbo_eval.core.plugins); what they register is a function with the signature of `Factory`.
"""

import inspect
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Protocol, cast

from turbo_eval.config import ModelConfig
from turbo_eval.core.errors import UsageError
from turbo_eval.core.plugins import load_plugins
from turbo_eval.core.registry import Registry
from turbo_eval.models.folder import PREFIX, FolderVideos
from turbo_eval.models.protocol import ModelInfo, Sampler, TextToVideo
from turbo_eval.models.real_systems import real_names
from turbo_eval.models.settings import Settings, split_settings
from turbo_eval.models.student import (
    MANIFEST,
    WEIGHTS,
    StudentTextToVideo,
    read_manifest,
    settings_of,
)


class Factory(Protocol):
    """Makes a system; cheap, reads no weights (see `TextToVideo`).

    A factory whose systems take settings has the signature of `Opener` instead.
    """

    def __call__(
        self, name: str, *, weights_dir: Path | None, device: str, dtype: str
    ) -> TextToVideo:
        """Make the system `name`.

        Args:
            name: The registered name, so that one factory can serve several.
            weights_dir: Folder with its weights; the packaged ones when None.
            device: `cpu`, `cuda`, `cuda:N` or `mps`.
            dtype: `float32`, `float16` or `bfloat16`.
        """
        ...


class Opener(Protocol):
    """Makes a system that may have settings; cheap, reads no weights.

    A function `known_settings(name) -> tuple[str, ...]` in the same module may tell which.
    """

    def __call__(
        self,
        name: str,
        values: dict[str, str],
        *,
        weights_dir: Path | None,
        device: str,
        dtype: str,
    ) -> TextToVideo:
        """Make the system `name` (with its prefix, if it has one) with its settings `values`."""
        ...


FAMILIES: Registry[Opener] = Registry("family of models")
FAMILIES.add("diffusers", "turbo_eval.models.diffusers_system:open_diffusers")
FAMILIES.add("command", "turbo_eval.models.command:open_command")

REGISTRY: Registry[Factory] = Registry("model", entry_points="turbo_eval.models")
REGISTRY.add("mini-teacher", "turbo_eval.models.mini:load")
for _name in real_names():
    REGISTRY.add(_name, "turbo_eval.models.real_systems:open_real")
for _student in ("mini-vcm", "mini-turbo"):
    if (WEIGHTS / _student / MANIFEST).is_file():
        REGISTRY.add(_student, "turbo_eval.models.student:load_packaged")


def model_names() -> list[str]:
    """Names of every registered system, sorted."""
    load_plugins()
    return REGISTRY.names()


def load(
    name_or_path: str,
    *,
    weights_dir: Path | None = None,
    device: str = "cpu",
    dtype: str = "float32",
) -> TextToVideo:
    """Return the system behind a name; its weights are read when it first draws a clip.

    Args:
        name_or_path: A registered name, a student's folder (see `turbo-train export`),
            `diffusers:REPOSITORY_OR_FOLDER` or `command:PROGRAM`; settings may follow
            after a colon.
        weights_dir: Folder with its weights; the packaged ones when None.
        device: `cpu`, `cuda`, `cuda:N` or `mps`.
        dtype: `float32`, `float16` or `bfloat16`.

    Raises:
        UsageError: No such name (the nearest ones are suggested), a setting that the system does
            not know, or a folder of existing videos, which draws nothing.
        PrerequisiteError: The name is known, but a file that it needs is not here.
    """
    load_plugins()
    if name_or_path.startswith(PREFIX):
        raise UsageError(
            f"{name_or_path} draws no clips",
            why="it holds videos that exist already",
            fix="score it with `turbo-eval run SUITE --model folder:PATH`",
        )
    bare, values = split_settings(name_or_path)
    student = student_folder(name_or_path)
    if student is not None:
        return StudentTextToVideo(
            student,
            settings=Settings(bare, values),
            weights_dir=weights_dir,
            device=device,
            dtype=dtype,
        )
    family = bare.partition(":")[0]
    if ":" in bare and family in FAMILIES:
        opener = FAMILIES.get(family)
        return opener(bare, values, weights_dir=weights_dir, device=device, dtype=dtype)
    factory = _factory(bare)
    name = REGISTRY.resolve(bare)
    if "values" in inspect.signature(factory).parameters:
        opener = cast("Opener", factory)
        return opener(name, values, weights_dir=weights_dir, device=device, dtype=dtype)
    if values:
        raise UsageError(
            f"model {name} takes no settings",
            why=f"{name_or_path!r} has {', '.join(values)}",
            fix="leave the part after the name's colon away",
        )
    return factory(name, weights_dir=weights_dir, device=device, dtype=dtype)


def known_settings(name_or_path: str) -> tuple[str, ...] | None:
    """The settings that may follow a name; none for videos that exist already.

    Args:
        name_or_path: As in `load`; its own settings do not matter.

    Returns:
        None when only the system itself can tell.

    Raises:
        UsageError: No such name.
    """
    load_plugins()
    if name_or_path.startswith(PREFIX):
        return ()
    student = student_folder(name_or_path)
    if student is not None:
        return settings_of(read_manifest(student))
    bare, _ = split_settings(name_or_path)
    family = bare.partition(":")[0]
    opener: object
    if ":" in bare and family in FAMILIES:
        opener = FAMILIES.get(family)
    else:
        factory = _factory(bare)
        if "values" not in inspect.signature(factory).parameters:
            return ()
        opener, bare = factory, REGISTRY.resolve(bare)
    tell = getattr(sys.modules.get(getattr(opener, "__module__", "")), "known_settings", None)
    return tuple(tell(bare)) if tell else None


def _factory(name: str) -> Factory:
    """What makes the system of a registered name.

    Raises:
        UsageError: No such name; of a path, what its folder lacks is said.
    """
    if name not in REGISTRY and os.sep in name:
        raise UsageError(
            f"no model in {name}",
            why=f"it is no folder with {MANIFEST}",
            fix="name the folder that `turbo-train export` wrote; a diffusers pipeline is "
            "diffusers:FOLDER, existing videos are folder:PATH",
        )
    return REGISTRY.get(name)


def student_folder(name_or_path: str) -> Path | None:
    """The folder of a student, when a path (of the folder or of its manifest) is given.

    Settings may follow the path, as any name.
    """
    path = Path(split_settings(name_or_path)[0])
    folder = path.parent if path.name == MANIFEST else path
    # A name with a long setting can be no path at all.
    with suppress(OSError, ValueError):
        if (folder / MANIFEST).is_file():
            return folder
    return None


def open_source(
    name: str,
    *,
    weights_dir: Path | None = None,
    device: str = "cpu",
    dtype: str = "float32",
) -> TextToVideo | FolderVideos:
    """Return what a run gets its videos from: a system, or a folder of existing videos.

    Args:
        name: A registered name or `folder:PATH`.
        weights_dir: As in `load`.
        device: As in `load`.
        dtype: As in `load`.

    Raises:
        UsageError: No such name.
        InputError: The folder or list does not exist or cannot be read.
    """
    if name.startswith(PREFIX):
        return FolderVideos.open(name)
    return load(name, weights_dir=weights_dir, device=device, dtype=dtype)


def sampler_of(config: ModelConfig, info: ModelInfo) -> Sampler:
    """Fill in the model's own steps and guidance where the configuration names none."""
    return Sampler(
        steps=info.steps if config.steps is None else config.steps,
        guidance=info.guidance if config.guidance is None else config.guidance,
    )

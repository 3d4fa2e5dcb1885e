"""A folder in diffusers' layout: where it lies, what its index says, and whether it is whole.

What the index names is looked up in diffusers and transformers only: code that comes with weights
is never run. `diffusers_files` looks at what lies there.
"""

import ast
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from turbo_eval.core.errors import PrerequisiteError, UsageError, unknown
from turbo_eval.models.diffusers_families import BASES, FAMILIES
from turbo_eval.models.diffusers_files import WEIGHTLESS, check_component, wanted_weights
from turbo_eval.models.published import INDEX


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A folder whose index has been read.

    Attributes:
        folder: Where it lies.
        name: The pipeline's class.
        components: Component to its class, without those that are null.
        absent: Components that are null.
    """

    folder: Path
    name: str
    components: Mapping[str, str]
    absent: tuple[str, ...] = ()


def find_folder(name: str, weights_dir: Path | None) -> Path:
    """Where a repository or a path lies on this machine; nothing is downloaded.

    Looked at in this order: the path itself, the weights folder, and the cache that diffusers
    shares with other programs.

    Args:
        name: `OWNER/REPOSITORY` or a path.
        weights_dir: The weights folder; `weights` when None.

    Raises:
        PrerequisiteError: It is nowhere; the file, the folder and the command are named.
    """
    places = candidates(name, weights_dir)
    for place in places:
        if (place / INDEX).is_file():
            return place
    cached = _cached(name)
    if cached is not None:
        return cached
    path = Path(name).expanduser()
    if path.is_dir():
        raise PrerequisiteError(
            f"{path} is no diffusers pipeline",
            why=f"it holds no {INDEX}",
            fix="name the folder that save_pretrained wrote, or that holds the whole repository",
        )
    target = places[-1]
    if is_repository(name):
        fix = f"turbo-eval models pull {name}, or put the repository's files into {target}"
    else:
        fix = "check the path, or name a repository as OWNER/NAME"
    raise PrerequisiteError(
        f"diffusers:{name} is not on this machine: no {target / INDEX}", fix=fix
    )


def candidates(name: str, weights_dir: Path | None) -> list[Path]:
    """The folders a name may stand for; the last is where a download goes."""
    path = Path(name).expanduser()
    weights = weights_dir or Path("weights")
    places = [path]
    if not path.is_absolute():
        places += [weights / path, weights / path.name]
    return places


def is_repository(name: str) -> bool:
    """Whether a name has the form OWNER/NAME and is no path on this machine."""
    owner, slash, rest = name.partition("/")
    return bool(slash and owner.strip(".~") and rest and "/" not in rest)


def _cached(name: str) -> Path | None:
    """The newest complete-looking copy in the hub's cache on this disk."""
    if not is_repository(name):
        return None
    home = os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface"
    cache_dir = Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub")
    copies = cache_dir / f"models--{name.replace('/', '--')}" / "snapshots"
    found = [path for path in copies.glob("*") if (path / INDEX).is_file()]
    return max(found, key=lambda path: path.stat().st_mtime) if found else None


def read_index(folder: Path) -> dict[str, Any]:
    """The object in `model_index.json`.

    Raises:
        PrerequisiteError: It cannot be read, or is no index.
    """
    path = folder / INDEX
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PrerequisiteError(
            f"{path} cannot be read", why=str(error), fix="copy the repository's file again"
        ) from None
    if not isinstance(index, dict) or "_class_name" not in index:
        raise PrerequisiteError(
            f"{path} is no index of a diffusers pipeline",
            why="it names no _class_name",
            fix="name the folder that save_pretrained wrote",
        )
    return index


def open_pipeline(folder: Path, *, adapter: bool = False) -> Pipeline:
    """Read a folder's index and check that everything it names is there and whole.

    Args:
        folder: In diffusers' layout.
        adapter: A motion adapter is added, so an image pipeline will do.

    Raises:
        UsageError: The class draws no video from a prompt, or does not exist.
        PrerequisiteError: A component is missing, cut, pickled, or asks for code of its own; the
            class needs a library that is not installed.
    """
    index = read_index(folder)
    name = _class_of(index, folder, adapter=adapter)
    needs = FAMILIES[name].needs
    check_library(name, needs)
    components: dict[str, str] = {}
    absent = []
    for component, value in index.items():
        if component.startswith("_") or not isinstance(value, list):
            continue
        # The needed library brings its component itself; a folder's copy of it is not trusted.
        if None in value or (needs and value[:1] == [needs]):
            absent.append(component)
        else:
            components[component] = _library_class(component, value, folder)
    for component in components:
        check_component(folder, component)
    return Pipeline(folder, name, components, tuple(absent))


def check_library(name: str, needs: str) -> None:
    """Check that a library is there that a pipeline class cannot do without.

    Args:
        name: The class.
        needs: The library, which looks at prompts and clips; empty when there is none.

    Raises:
        PrerequisiteError: It is not installed.
    """
    if needs and find_spec(needs) is None:
        raise PrerequisiteError(
            f"{name} needs the library {needs}",
            why="it looks for unsafe prompts and clips, and nothing is drawn without it",
            fix=f"pip install {needs}",
        )


def _class_of(index: Mapping[str, Any], folder: Path, *, adapter: bool) -> str:
    name = index["_class_name"]
    if not isinstance(name, str):
        raise UsageError(
            f"{folder} asks for code of its own ({name})",
            why="code that comes with weights is not run",
            fix="run its program with a command: model",
        )
    if adapter:
        if name in BASES:
            return BASES[name]
        if name not in FAMILIES or not name.startswith("AnimateDiff"):
            raise UsageError(
                f"{name} in {folder} takes no motion adapter",
                why=f"{' and '.join(BASES)} do",
                fix="leave motion_adapter away, or name a Stable Diffusion folder",
            )
        return name
    if name in FAMILIES:
        return name
    if name in BASES:
        raise UsageError(
            f"{name} in {folder} draws images, not videos",
            fix="add a motion adapter (motion_adapter=FOLDER), or name a video pipeline",
        )
    if name in pipeline_classes():
        raise UsageError(
            f"{name} in {folder} draws no video from a prompt alone",
            why="it draws images or sound, or starts from an image or a video",
            fix=f"name a folder with one of {', '.join(sorted(FAMILIES)[:4])}, ... "
            "(docs/models.md)",
        )
    raise unknown("pipeline class", name, FAMILIES)


@cache
def pipeline_classes() -> frozenset[str]:
    """Every pipeline class of the installed diffusers, read from its source without importing."""
    spec = find_spec("diffusers")
    if spec is None or spec.origin is None:
        return frozenset()
    tree = ast.parse((Path(spec.origin).parent / "pipelines" / "__init__.py").read_text("utf-8"))
    words = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return frozenset(w for w in words if isinstance(w, str) and w.endswith("Pipeline"))


def _library_class(component: str, value: list[Any], folder: Path) -> str:
    if len(value) != 2 or not all(isinstance(part, str) for part in value):
        raise PrerequisiteError(
            f"{folder / INDEX} has an entry that cannot be read",
            why=f"{component} is {value}",
            fix="copy the repository's file again",
        )
    library, name = value
    if library in {"diffusers", "transformers"}:
        return str(name)
    # The old spelling: a pipeline's own package inside diffusers.
    spec = find_spec("diffusers")
    home = Path(spec.origin).parent / "pipelines" if spec and spec.origin else None
    if home is not None and library.isidentifier() and (home / library).is_dir():
        return str(name)
    raise UsageError(
        f"{component} of {folder} asks for code outside diffusers and transformers ({library})",
        why="code that comes with weights is not run",
        fix="run its program with a command: model",
    )


def weight_files(pipeline: Pipeline) -> Iterator[Path]:
    """Every weights file that the pipeline reads, in a fixed order."""
    for component in sorted(pipeline.components):
        if not component.startswith(WEIGHTLESS):
            place = pipeline.folder / component
            names = {path.name for path in place.iterdir() if path.is_file()}
            yield from (place / name for name in wanted_weights(place, names))


def setting_files(pipeline: Pipeline) -> Iterator[Path]:
    """Every small file that decides what is drawn: configurations, vocabularies, the index."""
    yield pipeline.folder / INDEX
    for component in sorted(pipeline.components):
        place = pipeline.folder / component
        small = (".json", ".txt", ".model", ".jinja")
        yield from sorted(p for p in place.rglob("*") if p.suffix in small and p.is_file())

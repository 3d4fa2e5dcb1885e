"""Where the files of the published text-to-video systems lie; `published_systems` lists them.

Nothing here downloads, and no tensor library is imported.
"""

from contextlib import suppress
from pathlib import Path
from typing import Final

from turbo_eval.backbones.official.weights import folders
from turbo_eval.core.errors import PrerequisiteError
from turbo_eval.models.published_systems import (
    MODELSCOPE,
    SYSTEMS,
    TRAINED_HERE,
    VIDEOCRAFTER2,
    Family,
    Kind,
    Published,
    Source,
)

__all__ = [
    "CONVERTED",
    "INDEX",
    "MODELSCOPE",
    "SYSTEMS",
    "TRAINED_HERE",
    "VIDEOCRAFTER2",
    "Family",
    "Kind",
    "Published",
    "Source",
    "checksums",
    "find",
    "find_trained",
    "locate",
    "search_folders",
    "weight_files",
]

INDEX: Final = "model_index.json"
CONVERTED: Final = "-diffusers"


def search_folders(weights_dir: Path | None) -> list[Path]:
    """The folders that are searched, in order; the first is where new files belong."""
    named = folders(weights_dir)
    return [*named[:-1], Path("weights"), named[-1]]


def locate(source: Source, weights_dir: Path | None = None) -> Path | None:
    """The path of a published file or folder, or None if it is nowhere.

    A checkpoint that was converted and then removed counts as being where it was.
    """
    for folder in search_folders(weights_dir):
        for name in source.names:
            path = folder / name
            # A name that cannot be, or a folder that may not be entered, holds no weights.
            with suppress(OSError, ValueError):
                marks = [path, path.with_name(path.name + CONVERTED) / INDEX]
                if any(p.is_file() for p in (marks if source.file else [path / INDEX])):
                    return path
    if not source.cached:
        return None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(source.hub, source.file or INDEX)
    if isinstance(found, str):
        return Path(found) if source.file else Path(found).parent
    return None


def find(system: Published, weights_dir: Path | None = None) -> tuple[Path, Path | None]:
    """The paths of a system's base and of its student's file (None for a teacher).

    Raises:
        PrerequisiteError: One is nowhere; says which, how large it is, where to get it and where
            to put it.
    """
    wanted = [system.base] + ([system.student] if system.student else [])
    found = [locate(source, weights_dir) for source in wanted]
    missing = [s for s, path in zip(wanted, found, strict=True) if path is None]
    if missing:
        searched = search_folders(weights_dir)
        pulled: dict[str, str] = {system.base.file: system.family}
        if system.student:
            pulled[system.student.file] = system.name
        names = " ".join(pulled[s.file] for s in missing if s.file)
        commands = [f"turbo-eval models pull {s.hub}" for s in missing if not s.file]
        commands += [f"turbo-eval weights pull {names}"] if names else []
        raise PrerequisiteError(
            f"model {system.name} needs {' and '.join(_called(s) for s in missing)}",
            why=f"searched {', '.join(map(str, searched))} and the hub's cache",
            fix=f"{' and '.join(commands)}; or "
            + "; ".join(
                f"get {_called(s)} ({s.gigabytes:g} GB) from {s.page} and put it at "
                f"{searched[0] / s.names[0]}"
                for s in missing
            )
            + "; or give --weights-dir",
        )
    base = found[0]
    assert base is not None
    return base, found[1] if system.student else None


def _called(source: Source) -> str:
    return source.file or f"the folder {source.names[0]}"


def find_trained(name: str, weights_dir: Path | None = None) -> Path:
    """The folder of a student of `TRAINED_HERE`.

    Raises:
        PrerequisiteError: There is none.
    """
    searched = search_folders(weights_dir)
    for folder in searched:
        if (folder / name / "student.json").is_file():
            return folder / name
    raise PrerequisiteError(
        f"model {name} needs a folder with student.json and lora.safetensors",
        why=f"its authors published no weights; searched {', '.join(map(str, searched))}",
        fix=f"train it with `turbo-train run {name}`, export it with `turbo-train export RUN`, and "
        f"put the folder at {searched[0] / name}",
    )


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that a ModelScope folder is read from: half precision only if alone."""
    found = sorted(folder.rglob("*.safetensors"))
    return [p for p in found if ".fp16." not in p.name] or found


def checksums(system: Published, base: Path, student: Path | None) -> dict[str, str]:
    """File name to sha256 of a system's weights; each is computed once and kept.

    Args:
        system: Which.
        base: The teacher's checkpoint or folder.
        student: The student's file, None for a teacher.

    Raises:
        PrerequisiteError: A file cannot be read.
    """
    from turbo_eval.backbones.official.marks import checksum
    from turbo_eval.models.convert import source_weights

    if system.family == "videocrafter2":
        found = source_weights(base)
    else:
        found = {p.relative_to(base).as_posix(): checksum(p) for p in weight_files(base)}
    if student is not None:
        found[student.name] = checksum(student)
    return found

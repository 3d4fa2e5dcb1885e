"""Folders in diffusers' layout that hold a text-to-video system: where they lie, what they are."""

from pathlib import Path

from turbo_eval.core.errors import PrerequisiteError, unknown
from turbo_eval.core.hashing import content_key, file_sha256
from turbo_eval.models.mini import CARD, PACKAGED
from turbo_eval.models.published import INDEX
from turbo_eval.models.real_systems import find_real

TEACHERS = ("mini-teacher", "modelscope", "videocrafter2")


def find_system(name: str, weights_dir: Path | None = None) -> Path:
    """The folder of a teacher.

    Args:
        name: One of `TEACHERS`, or a folder in diffusers' layout.
        weights_dir: Where named systems other than the mini one lie; see
            `turbo_eval.models.published`.

    Raises:
        UsageError: No such name, and no such folder.
        PrerequisiteError: The name is known, but its weights are not here.
    """
    if name == "mini-teacher":
        return PACKAGED
    published = find_real(name, weights_dir)
    if published is not None:
        return published
    folder = Path(name)
    if (folder / INDEX).is_file():
        return folder
    if folder.is_dir():
        raise PrerequisiteError(
            f"{folder} is no text-to-video system",
            why=f"it holds no {INDEX}",
            fix="save the system with diffusers' save_pretrained",
        )
    raise unknown("teacher", name, TEACHERS)


def system_fingerprint(folder: Path) -> str:
    """Content key of the weights and configurations of a folder in diffusers' layout."""
    kinds = (".safetensors", ".json")
    files = sorted(p for p in folder.rglob("*") if p.suffix in kinds and p.name != CARD)
    return content_key(
        "teacher", [[p.relative_to(folder).as_posix(), file_sha256(p)] for p in files]
    )

"""Folders in diffusers' layout that hold a text-to-video system: where they lie, what they are."""

from pathlib import Path

from turbo_eval.core.errors import PrerequisiteError, unknown
from turbo_eval.core.hashing import content_key, file_sha256
from turbo_eval.models.mini import CARD, PACKAGED

TEACHERS = ("mini-teacher", "modelscope")
MODELSCOPE_FOLDER = "text-to-video-ms-1.7b"
INDEX = "model_index.json"


def find_system(name: str, weights_dir: Path | None = None) -> Path:
    """The folder of a teacher.

    Args:
        name: One of `TEACHERS`, or a folder in diffusers' layout.
        weights_dir: Where named systems other than the mini one lie; `weights` when None.

    Raises:
        UsageError: No such name, and no such folder.
        PrerequisiteError: The name is known, but its weights are not here.
    """
    if name == "mini-teacher":
        return PACKAGED
    if name == "modelscope":
        folder = (weights_dir or Path("weights")) / MODELSCOPE_FOLDER
        if not (folder / INDEX).is_file():
            raise PrerequisiteError(
                f"no ModelScopeT2V weights in {folder}",
                why="the teacher is read from a local folder in diffusers' layout",
                fix=f"put the repository {MODELSCOPE_FOLDER} there, or give --weights-dir",
            )
        return folder
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

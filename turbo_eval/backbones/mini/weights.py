"""Where the weights of the mini judges lie, and proof that they are the ones that were measured.

On disk they are float16 safetensors, one file a part, with their checksums in `manifest.json`; in
memory they are float32.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import turbo_eval
from turbo_eval.core.errors import PrerequisiteError, from_os_error
from turbo_eval.core.hashing import file_sha256
from turbo_eval.core.store import write_bytes_atomic, write_json_atomic

if TYPE_CHECKING:
    from torch import Tensor

MANIFEST = "manifest.json"
_AGAIN = "install turbo-eval again, or train them with: turbo-train world judges"


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of weights.

    Attributes:
        file: Name inside `folder()`.
        sha256: Checksum of its bytes, 64 hexadecimal digits.
        bytes: Its size.
    """

    file: str
    sha256: str
    bytes: int


def folder() -> Path:
    """The folder of the weights, their manifest, their cards and the normalisation table."""
    return Path(turbo_eval.__file__).parent / "_weights" / "judges"


def normalisation_path() -> Path:
    """The measured normalisation table of the mini judges (JSON)."""
    return folder() / "normalisation.json"


def entries(where: Path | None = None) -> Mapping[str, Entry]:
    """The manifest: part -> file. Empty when nothing was trained yet.

    Raises:
        PrerequisiteError: The manifest cannot be read.
    """
    path = (where or folder()) / MANIFEST
    try:
        changed = path.stat().st_mtime_ns
    except FileNotFoundError:
        return {}
    return _read(path, changed)


@cache
def _read(path: Path, changed: int) -> Mapping[str, Entry]:  # noqa: ARG001 (part of the key)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return {role: Entry(**entry) for role, entry in document["parts"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise PrerequisiteError(
            f"the list of the mini judges' weights {path} cannot be read",
            why=str(error),
            fix=_AGAIN,
        ) from error


def load(role: str, where: Path | None = None) -> dict[str, "Tensor"]:
    """Read the weights of a part.

    Args:
        role: One of `turbo_eval.backbones.mini.PARTS`.
        where: Folder of the weights; None for the shipped one.

    Returns:
        A state dict: floating-point tensors as float32, others as stored.

    Raises:
        PrerequisiteError: They are missing, or their bytes are not those of the manifest.
    """
    from safetensors.torch import load as parse

    path = checked(role, where)
    try:
        tensors: dict[str, Tensor] = parse(path.read_bytes())
    except OSError as error:
        raise from_os_error(error, path) from error
    return {k: t.float() if t.is_floating_point() else t for k, t in tensors.items()}


def checked(role: str, where: Path | None = None) -> Path:
    """The file of a part's weights, its checksum compared with the manifest.

    Raises:
        PrerequisiteError: It is missing, or its bytes are not those of the manifest.
    """
    base = where or folder()
    entry = entries(base).get(role)
    path = base / (entry.file if entry else f"{role}.safetensors")
    if entry is None or not path.is_file():
        raise PrerequisiteError(
            f"no weights of the mini judge '{role}'",
            why=f"{path} is missing" if entry else f"{base / MANIFEST} does not list them",
            fix=_AGAIN,
        )
    found = file_sha256(path)
    if found != entry.sha256:
        raise PrerequisiteError(
            f"the weights {path} are damaged",
            why=f"sha256 {found[:16]}... instead of {entry.sha256[:16]}...",
            fix=_AGAIN,
        )
    return path


def save(role: str, state: Mapping[str, "Tensor"], where: Path | None = None) -> Path:
    """Write the weights of a part as float16 and bring the manifest up to date.

    Args:
        role: One of `turbo_eval.backbones.mini.PARTS`.
        state: A state dict; floating-point tensors are rounded to float16.
        where: Folder of the weights; None for the shipped one.

    Returns:
        The file.

    Raises:
        PrerequisiteError: The folder cannot be written.
    """
    import torch
    from safetensors.torch import save as pack

    base = where or folder()
    path = base / f"{role}.safetensors"
    tensors = {
        name: (t.half() if t.dtype is torch.float32 else t).detach().cpu().contiguous()
        for name, t in state.items()
    }
    write_bytes_atomic(path, pack(tensors))
    write_manifest(base)
    return path


def write_manifest(where: Path | None = None) -> Path:
    """List every file of weights in the folder with its checksum; the same files, the same bytes.

    Raises:
        PrerequisiteError: The folder cannot be written.
    """
    base = where or folder()
    parts = {
        path.stem: {
            "file": path.name,
            "sha256": file_sha256(path),
            "bytes": path.stat().st_size,
        }
        for path in sorted(base.glob("*.safetensors"))
    }
    write_json_atomic(base / MANIFEST, {"format": 1, "dtype": "float16", "parts": parts})
    return base / MANIFEST

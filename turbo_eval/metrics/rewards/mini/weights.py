"""Where the weights of the mini rewards lie, and proof that they are the ones that were measured.

On disk they are float16 safetensors with their checksums in `manifest.json`, the list of known
words and a card each; in memory they are float32. The format is that of the mini judges.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import turbo_eval
from turbo_eval.backbones.mini.weights import MANIFEST, Entry, entries
from turbo_eval.core.errors import PrerequisiteError, from_os_error
from turbo_eval.core.hashing import file_sha256

if TYPE_CHECKING:
    from torch import Tensor


def folder() -> Path:
    """The folder of the weights that come with this package."""
    return Path(turbo_eval.__file__).parent / "_weights" / "rewards"


def entry(name: str, where: Path | None = None) -> Entry:
    """What the manifest says about the weights of a reward.

    Raises:
        PrerequisiteError: They are not listed.
    """
    base = where or folder()
    found = entries(base).get(name)
    if found is None:
        raise _missing(name, f"{base / MANIFEST} does not list them")
    return found


def read(name: str, where: Path | None = None) -> "dict[str, Tensor]":
    """The weights of a reward: floating-point tensors as float32, others as stored.

    Raises:
        PrerequisiteError: They are missing, or their bytes are not those of the manifest.
    """
    from safetensors.torch import load as parse

    wanted = entry(name, where)
    path = (where or folder()) / wanted.file
    if not path.is_file():
        raise _missing(name, f"{path} is missing")
    try:
        found = file_sha256(path)
        if found != wanted.sha256:
            raise _missing(name, f"{path} has the sha256 {found[:12]}..., not the manifest's")
        tensors: dict[str, Tensor] = parse(path.read_bytes())
    except OSError as error:
        raise from_os_error(error, path) from error
    return {key: t.float() if t.is_floating_point() else t for key, t in tensors.items()}


def _missing(name: str, why: str) -> PrerequisiteError:
    return PrerequisiteError(
        f"no weights of the reward {name!r}",
        why=why,
        fix=f"install turbo-eval again, or train them: turbo-train world rewards --only {name}",
    )

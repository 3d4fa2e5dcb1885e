"""The files of a folder in diffusers' layout: which a network needs, and whether they are whole.

Names, JSON and the headers of safetensors files are read; no weights, no tensor library, and no
pickled file.
"""

import json
import math
import struct
from pathlib import Path
from typing import Final

from turbo_eval.core.errors import PrerequisiteError
from turbo_eval.models.published import INDEX

WEIGHTS: Final = ".safetensors"
PICKLED: Final = (".bin", ".ckpt", ".pt", ".pth")
WEIGHTLESS: Final = ("scheduler", "guider", "tokenizer", "feature_extractor", "processor")
"""Components by the start of their name that have no weights."""
_HEADER_LIMIT: Final = 100_000_000


def check_component(folder: Path, component: str) -> None:
    """Check that a component is there with all of its weights.

    Args:
        folder: In diffusers' layout.
        component: A folder in it, such as `unet`.

    Raises:
        PrerequisiteError: It, or one of its files, is missing, cut or pickled.
    """
    place = folder / component
    if not place.is_dir():
        raise PrerequisiteError(
            f"{component} is missing in {folder}",
            why=f"{INDEX} names it",
            fix=f"copy the repository's folder {component}",
        )
    if component.startswith(WEIGHTLESS):
        return
    files = {path.name for path in place.iterdir() if path.is_file()}
    wanted = wanted_weights(place, files)
    if not wanted and "config.json" in files:
        pickled = sorted(name for name in files if name.endswith(PICKLED))
        why = f"only {pickled[0]} is there, and pickled files are not read" if pickled else ""
        raise PrerequisiteError(
            f"{component} in {folder} has no {WEIGHTS} weights",
            why=why or "its folder holds a configuration only",
            fix="get the repository's safetensors files, or convert them",
        )
    for name in wanted:
        if name not in files:
            whole = _total(place)
            size = f", {whole / 1e9:.1f} GB in all" if whole else ""
            raise PrerequisiteError(
                f"{place / name} is missing",
                why=f"the component's list of files names it{size}",
                fix=f"put the repository's file {component}/{name} into {place}",
            )
        check_safetensors(place / name)


def wanted_weights(place: Path, files: set[str]) -> list[str]:
    """Weight files that a component needs: those of its list, or what lies there without one.

    Args:
        place: The component's folder.
        files: Names of the files in it.

    Raises:
        PrerequisiteError: The list cannot be read.
    """
    lists = sorted(name for name in files if name.endswith(f"{WEIGHTS}.index.json"))
    # A list of another precision (`...fp16.safetensors.index.json`) stands beside the plain one.
    plain = [name for name in lists if name.count(".") == 3] or lists
    if plain:
        try:
            table = json.loads((place / plain[0]).read_text(encoding="utf-8"))["weight_map"]
            return sorted({str(name) for name in table.values()})
        except (OSError, ValueError, KeyError, AttributeError) as error:
            raise PrerequisiteError(
                f"{place / plain[0]} cannot be read",
                why=str(error),
                fix="copy the repository's file again",
            ) from None
    found = sorted(name for name in files if name.endswith(WEIGHTS))
    # `model.fp16.safetensors` beside `model.safetensors` is the same network, and not read.
    return [name for name in found if name.count(".") == 1] or found


def _total(place: Path) -> int:
    for path in place.glob(f"*{WEIGHTS}.index.json"):
        try:
            return int(json.loads(path.read_text(encoding="utf-8"))["metadata"]["total_size"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0
    return 0


def check_safetensors(path: Path) -> int:
    """Check that a safetensors file has the length that its header promises.

    Returns:
        How many numbers its tensors hold.

    Raises:
        PrerequisiteError: It is cut, or no such file.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = struct.unpack("<Q", file.read(8))[0]
            if not 2 <= length <= min(size - 8, _HEADER_LIMIT):
                raise ValueError("its header is longer than the file")
            header = json.loads(file.read(length))
        tensors = [entry for key, entry in header.items() if key != "__metadata__"]
        promised = 8 + length + max((entry["data_offsets"][1] for entry in tensors), default=0)
        if size != promised:
            raise ValueError(f"it has {size:,} bytes instead of {promised:,}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise PrerequisiteError(
            f"{path} is no whole safetensors file", why=str(error), fix="copy or download it again"
        ) from None
    return sum(math.prod(entry["shape"]) for entry in tensors)

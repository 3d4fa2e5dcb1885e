"""Feature files: arrays of one backbone for one video, with the key they were made under.

A file carries its own key, so it can prove that it belongs to this video content, this backbone,
this version and these weights, even when the process died before it could write the row.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from turbo_eval.core.errors import InputError
from turbo_eval.core.store import write_bytes_atomic

_LONGEST_HEADER = 1 << 24


def save_features(
    path: Path, arrays: Mapping[str, NDArray[Any]], *, key: str, seconds: float
) -> None:
    """Write the arrays as safetensors, whole or not at all.

    Args:
        path: Where to write.
        arrays: Arrays by name, any shape, also empty ones.
        key: Feature key.
        seconds: How long the backbone took.

    Raises:
        PrerequisiteError: The disk is full or the folder cannot be written.
    """
    from safetensors.numpy import save

    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    # ascontiguousarray gives a scalar one axis; the shape must survive the file.
    whole = {name: array.reshape(np.shape(arrays[name])) for name, array in whole.items()}
    write_bytes_atomic(path, save(whole, metadata={"key": key, "seconds": f"{seconds:.6f}"}))


def read_header(path: Path) -> Mapping[str, str] | None:
    """Return a feature file's metadata (`key`, `seconds`), or None when it is missing or cut off.

    The header says where the last array ends, so a truncated file is found without reading it.
    """
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if not 0 < size <= _LONGEST_HEADER:
                return None
            header: dict[str, Any] = json.loads(file.read(size))
            metadata: dict[str, str] = header.pop("__metadata__", {})
            end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
            whole = path.stat().st_size == 8 + size + end
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return metadata if whole else None


def load_features(path: Path) -> dict[str, NDArray[Any]]:
    """Read the arrays of a feature file.

    Raises:
        InputError: The file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        arrays: dict[str, NDArray[Any]] = load_file(path)
    except (OSError, SafetensorError, ValueError) as error:
        raise InputError(
            f"feature file {path} cannot be read",
            why=str(error),
            fix="delete it and run the features stage again",
        ) from error
    return arrays

"""Read role arrays and prompt facts: every shape is checked once, here."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from turbo_eval.core.errors import InputError
from turbo_eval.core.records import Prompt, unpack_text
from turbo_eval.metrics.base import Features

_AGAIN = "extract the features of this video again"


def has(features: Features, role: str, key: str) -> bool:
    """Tell whether the array `key` of the part `role` is there."""
    return key in features.get(role, {})


def raw(features: Features, role: str, key: str) -> NDArray[Any]:
    """Return the array `key` of the part `role` as it is.

    Raises:
        InputError: if the part or the array is missing.
    """
    arrays = features.get(role)
    if arrays is None:
        have = ", ".join(sorted(features)) or "none"
        raise InputError(
            f"no features of the part '{role}'", why=f"parts at hand: {have}", fix=_AGAIN
        )
    if key not in arrays:
        have = ", ".join(sorted(arrays)) or "none"
        raise InputError(
            f"the part '{role}' has no array '{key}'", why=f"arrays at hand: {have}", fix=_AGAIN
        )
    return np.asarray(arrays[key])


def numbers(features: Features, role: str, key: str, ndim: int) -> NDArray[np.float64]:
    """Return an array of finite numbers in float64.

    Args:
        features: arrays by part and name.
        role: the judges' part.
        key: the array's name.
        ndim: the number of dimensions it must have.

    Raises:
        InputError: if it is missing, has another rank, or holds a NaN or an infinity.
    """
    array = raw(features, role, key)
    if array.ndim != ndim:
        raise InputError(
            f"the array '{role}.{key}' has the shape {array.shape}",
            why=f"{ndim} dimensions are expected",
            fix=_AGAIN,
        )
    try:
        values = array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"the array '{role}.{key}' holds no numbers", fix=_AGAIN) from error
    if not np.isfinite(values).all():
        raise InputError(
            f"the array '{role}.{key}' holds values that are not finite",
            why=f"{int((~np.isfinite(values)).sum())} of {values.size}",
            fix=_AGAIN,
        )
    return values


def texts(features: Features, role: str, key: str) -> list[Any]:
    """Return a packed list (labels, captions, frames of boxes).

    Raises:
        InputError: if it is missing, cannot be unpacked, or is no list.
    """
    array = raw(features, role, key)
    try:
        value = unpack_text(array)
    except (TypeError, ValueError, UnicodeDecodeError) as error:
        raise InputError(f"the text '{role}.{key}' cannot be read", fix=_AGAIN) from error
    if not isinstance(value, list):
        raise InputError(f"the text '{role}.{key}' is no list", fix=_AGAIN)
    return value


def strings(features: Features, role: str, key: str) -> list[str]:
    """Return a packed list of strings.

    Raises:
        InputError: if it is missing or holds anything but strings.
    """
    values = texts(features, role, key)
    if not all(isinstance(value, str) for value in values):
        raise InputError(f"the text '{role}.{key}' is no list of strings", fix=_AGAIN)
    return values


def fact(prompt: Prompt, dimension: str, key: str) -> str | None:
    """Find an auxiliary fact of a prompt.

    VBench nests them unevenly ({"color": {"color": "red"}}, but {"scene": {"scene": {"scene":
    "alley"}}}), so this goes down through `key`, or through the dimension's own name, until it
    meets a string.

    Args:
        prompt: its auxiliary facts are keyed by dimension.
        dimension: such as `color`.
        key: the wanted fact, such as `color` or `object`.

    Returns:
        The fact without outer blanks, or None when the prompt does not have it.
    """
    node: Any = prompt.auxiliary.get(dimension)
    found = key == dimension
    while isinstance(node, Mapping):
        if key in node:
            node, found = node[key], True
        else:
            node = node.get(dimension)
    if not found or not isinstance(node, str) or not node.strip():
        return None
    return node.strip()

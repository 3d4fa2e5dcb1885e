"""Reading text that somebody else wrote: encoding, control characters, length.

A prompt is data. It never becomes a path, a shell word or a file name anywhere in this project, so
``../``, quotes, emoji and line breaks pass through unchanged; only what cannot be a prompt is
refused.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from turbo_eval.core.errors import InputError

MAX_CHARACTERS = 2000
"""Longest prompt accepted by default. The longest of VBench has 210 characters."""

VIDEO_SUFFIXES = frozenset({".mp4", ".gif", ".mov", ".webm", ".mkv", ".avi", ".m4v"})
"""Endings of the files that count as videos where names stand for prompts."""

_BOM = b"\xef\xbb\xbf"
# Tab and line breaks are text; the other control characters and lone surrogates are damage.
_REFUSED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_SHOWN = 80


def shown(text: object, limit: int = _SHOWN) -> str:
    """Return text in a form that is safe on a terminal: one line, no control characters.

    Args:
        text: Anything; `str` is applied.
        limit: Most characters of the original to show; the rest becomes ``...``.
    """
    full = str(text)
    # The joiner U+200D is kept because emoji are built with it.
    part = "".join(
        char if char.isprintable() or char == "\u200d" else repr(char)[1:-1]
        for char in full[:limit]
    )
    return part + ("..." if len(full) > limit else "")


def read_bytes(path: Path) -> bytes:
    """Read a file of prompts.

    Raises:
        InputError: When it does not exist, is no file, cannot be read or is empty.
    """
    name = shown(path, 300)
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(
            f"cannot read {name}", why="there is no such file", fix="check the path"
        ) from error
    except IsADirectoryError as error:
        raise InputError(
            f"cannot read {name}", why="it is a folder", fix="name a file inside it"
        ) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"cannot read {name}", why=reason, fix="check the path and its permissions"
        ) from error
    if not data.strip() or data == _BOM:
        raise InputError(f"{name} holds no prompt", why="it is empty", fix="write a prompt a line")
    return data


def decode(data: bytes, name: str) -> str:
    """Decode UTF-8, with or without a byte order mark.

    Args:
        data: The whole file.
        name: What to call it in a message.

    Raises:
        InputError: Names the line and the byte that is not UTF-8.
    """
    body = data.removeprefix(_BOM)
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{shown(name)}, line {line}",
            why=f"byte 0x{body[error.start]:02x} is not UTF-8",
            fix="save the file as UTF-8",
        ) from error


def clean(text: Any, where: str, *, allow_long: bool = False) -> str:
    """Check one prompt and strip the white space around it.

    Args:
        text: What the file holds.
        where: File and line, for messages.
        allow_long: Accept more than `MAX_CHARACTERS` characters.

    Returns:
        The prompt, otherwise unchanged.

    Raises:
        InputError: For anything but text, an empty prompt, a control character, half a surrogate
            pair, or a prompt that is too long.
    """
    if not isinstance(text, str):
        raise InputError(
            where, why=f"the prompt is {kind(text)}, not text", fix="put the prompt in quotes"
        )
    bad = _REFUSED.search(text)
    if bad:
        raise InputError(
            where,
            why=f"character {bad.start() + 1} is the control character U+{ord(bad.group()):04X}",
            fix="remove it",
        )
    stripped = text.strip()
    if not stripped:
        raise InputError(where, why="the prompt is empty", fix="remove the entry or write a prompt")
    if len(stripped) > MAX_CHARACTERS and not allow_long:
        raise InputError(
            where,
            why=f"the prompt has {len(stripped)} characters, more than {MAX_CHARACTERS}",
            fix="shorten it (`turbo-eval prompts` can be told --allow-long, a run cannot)",
        )
    return stripped


def clean_facts(value: Any, where: str) -> dict[str, Any]:
    """Check the facts beside a prompt: a JSON object that can be written as UTF-8.

    Args:
        value: What the file holds; `None` means no facts.
        where: File and line, for messages.

    Raises:
        InputError: For anything else.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InputError(
            where,
            why=f"auxiliary_info is {kind(value)}, not an object",
            fix='write it as {"color": {"color": "red"}}',
        )
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(
            where, why="auxiliary_info holds half a surrogate pair", fix="remove it"
        ) from error
    return dict(value)


def kind(value: object) -> str:
    """Name the JSON type of a value, with its article, for messages."""
    names = {
        type(None): "null",
        bool: "a truth value",
        int: "a number",
        float: "a number",
        str: "text",
        list: "a list",
        dict: "an object",
    }
    return names.get(type(value), type(value).__name__)

"""Settings that stand in a model's name: `diffusers:weights/wan:frames=17,size=480x320`.

They belong to the name, because they decide what the clips are: two spellings are two rows of a
table and two sets of videos. Steps and guidance are not among them; every system has those, and
they follow an @.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from turbo_eval.core.errors import UsageError, unknown

_START = re.compile(r":(?=[a-z_]+=)")
_NEXT = re.compile(r",(?=[a-z_]+=)")
_SIZE = re.compile(r"(\d+)x(\d+)")
_WORDS = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


@dataclass(frozen=True, slots=True)
class Settings:
    """What was typed after the name.

    Attributes:
        name: The model that they belong to, for messages.
        values: Key to text.
    """

    name: str
    values: Mapping[str, str]

    @property
    def spelled(self) -> str:
        """The name with its settings, as it can be typed again."""
        if not self.values:
            return self.name
        return f"{self.name}:{','.join(f'{key}={value}' for key, value in self.values.items())}"

    def only(self, known: Iterable[str]) -> "Settings":
        """The same settings, if every key is known.

        Raises:
            UsageError: One is not; the nearest is named.
        """
        names = sorted(known)
        for key in self.values:
            if key not in names:
                raise unknown(f"setting of {self.name}", key, names)
        return self

    def text(self, key: str, default: str = "") -> str:
        """A setting as it was typed."""
        return self.values.get(key, default)

    def whole(self, key: str, default: int) -> int:
        """A whole number, 1 or more.

        Raises:
            UsageError: It is none.
        """
        text = self.values.get(key)
        if text is None:
            return default
        if not text.isdecimal() or int(text) < 1:
            raise self._refused(key, "it is a whole number, 1 or more")
        return int(text)

    def number(self, key: str, default: float) -> float:
        """A number above 0.

        Raises:
            UsageError: It is none.
        """
        text = self.values.get(key)
        if text is None:
            return default
        try:
            value = float(text)
        except ValueError:
            value = 0.0
        if not 0 < value < float("inf"):
            raise self._refused(key, "it is a number above 0")
        return value

    def flag(self, key: str) -> bool:
        """`yes` or `no`; no when not given.

        Raises:
            UsageError: It is neither.
        """
        text = self.values.get(key, "no").lower()
        if text not in _WORDS:
            raise self._refused(key, "it is yes or no")
        return _WORDS[text]

    def size(self, default: tuple[int, int]) -> tuple[int, int]:
        """(width, height) in pixels of `size=WIDTHxHEIGHT`.

        Raises:
            UsageError: It is not of this form.
        """
        text = self.values.get("size")
        if text is None:
            return default
        found = _SIZE.fullmatch(text)
        if found is None or 0 in (int(found[1]), int(found[2])):
            raise self._refused("size", "it is WIDTHxHEIGHT in pixels, such as 512x320")
        return int(found[1]), int(found[2])

    def choice(self, key: str, known: Iterable[str]) -> str:
        """One of some words; empty when not given.

        Raises:
            UsageError: It is none of them.
        """
        text = self.values.get(key, "")
        if text and text not in known:
            raise unknown(key, text, known)
        return text

    def path(self, key: str) -> Path | None:
        """A file or folder; None when not given."""
        text = self.values.get(key)
        return Path(text).expanduser() if text else None

    def _refused(self, key: str, why: str) -> UsageError:
        return UsageError(
            f"{self.name} has the setting {key}={self.values[key]}",
            why=why,
            fix=f"write it like {self.name}:{key}=VALUE",
        )


def split_settings(name: str) -> tuple[str, dict[str, str]]:
    """Take a name and its settings apart.

    Args:
        name: `NAME` or `NAME:key=value,key=value`. A value may hold a comma, unless another
            `key=` follows it.

    Returns:
        The name, and key to text in the order typed.

    Raises:
        UsageError: A key is given twice, or has no value.
    """
    found = _START.search(name)
    if found is None:
        return name, {}
    bare = name[: found.start()]
    values: dict[str, str] = {}
    for part in _NEXT.split(name[found.end() :]):
        key, _, value = part.partition("=")
        if key in values or not value.strip():
            why = "it is given twice" if key in values else "it has no value"
            raise UsageError(f"setting {key} of {bare}", why=why, fix="give it once, with a value")
        values[key] = value.strip()
    return bare, values

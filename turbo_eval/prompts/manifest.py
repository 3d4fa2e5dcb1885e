"""Manifests of suites, and the folders in which their files lie."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from turbo_eval.core.errors import InputError, PrerequisiteError

HOME_VARIABLE = "TURBO_EVAL_HOME"


@dataclass(frozen=True, slots=True)
class SuiteFile:
    """One file of a suite whose bytes are known.

    Attributes:
        name: Where it lies below the suite's folder; set by us, never by a prompt.
        sha256: Its checksum.
        found_as: Where an outside folder may hold it, relative to that folder.
        optional: Whether the suite works without it.
    """

    name: str
    sha256: str
    found_as: tuple[str, ...]
    optional: bool


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is known of a suite before its prompts are read.

    Attributes:
        name: Suite name.
        title: One line for people.
        source: Where the texts come from.
        licence: Their licence, or what is known of it.
        count: Entries in the prompt file.
        sha256: Checksum of the prompt file.
        prompts: Distinct prompts that these entries give; `None` when the manifest does not say.
        dimensions: How many dimensions the suite serves; `None` when the manifest does not say.
        files: Files of an outside suite; empty for our own.
    """

    name: str
    title: str
    source: str
    licence: str
    count: int
    sha256: str
    prompts: int | None = None
    dimensions: int | None = None
    files: tuple[SuiteFile, ...] = ()

    def file(self, name: str) -> SuiteFile:
        """Return the file with this name; a `KeyError` would be our own mistake."""
        return {file.name: file for file in self.files}[name]


@cache
def data_root() -> Path:
    """Return the folder that holds one folder per suite: in the package, or in the checkout.

    Raises:
        PrerequisiteError: When neither exists (a broken installation).
    """
    package = Path(__file__).resolve().parents[1]
    for root in (package / "_data" / "prompts", package.parent / "prompts"):
        # A marker file, because next to an installed package may lie an unrelated `prompts`.
        if (root / "vbench" / "manifest.toml").is_file():
            return root
    raise PrerequisiteError(
        "the prompt manifests are missing",
        why="the installation is incomplete",
        fix="install turbo-eval again",
    )


def home() -> Path:
    """Return the folder for the user's own copies of outside suites.

    ``$TURBO_EVAL_HOME``, else ``$XDG_CACHE_HOME/turbo-eval``, else ``~/.cache/turbo-eval``.
    """
    named = os.environ.get(HOME_VARIABLE, "").strip()
    if named:
        return Path(named).expanduser()
    cache_home = os.environ.get("XDG_CACHE_HOME", "").strip()
    return (Path(cache_home) if cache_home else Path.home() / ".cache") / "turbo-eval"


def synced_folder(suite: str) -> Path:
    """Return the folder into which `prompts sync` copies a suite; it may not exist."""
    return home() / "prompts" / suite


def read_manifest(suite: str, *, root: Path | None = None) -> Manifest:
    """Read the manifest of a suite.

    Args:
        suite: One of our suite names.
        root: The folder of suites; the project's own by default.

    Raises:
        PrerequisiteError: When there is none.
        InputError: When it lacks a fact or is not TOML.
    """
    path = (root or data_root()) / suite / "manifest.toml"
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PrerequisiteError(
            f"the manifest of suite {suite} is missing",
            why=f"{path} cannot be read",
            fix="install turbo-eval again",
        ) from error
    except ValueError as error:
        raise InputError(f"{path} is damaged", why=str(error), fix="restore the file") from error
    return _manifest(values, path)


def _manifest(values: Mapping[str, Any], path: Path) -> Manifest:
    wanted = {"name": str, "title": str, "source": str, "licence": str, "count": int, "sha256": str}
    for key, form in wanted.items():
        if not isinstance(values.get(key), form):
            raise InputError(
                f"{path} is incomplete",
                why=f"{key} is missing or no {form.__name__}",
                fix="restore the file",
            )
    files = tuple(
        SuiteFile(
            name=file["name"],
            sha256=file["sha256"],
            found_as=tuple(file["found_as"]),
            optional=bool(file.get("optional", False)),
        )
        for file in values.get("file", ())
    )
    return Manifest(
        **{key: values[key] for key in wanted},
        prompts=values.get("prompts"),
        dimensions=values.get("dimensions"),
        files=files,
    )


def checksum(data: bytes) -> str:
    """Return the SHA-256 of some bytes, 64 hexadecimal digits."""
    return sha256(data).hexdigest()


def verify(data: bytes, expected: str, what: str, *, fix: str) -> str:
    """Compare bytes with a known checksum.

    Args:
        data: The bytes.
        expected: SHA-256 in hexadecimal.
        what: The file, for the message.
        fix: What to do about a difference.

    Returns:
        The checksum.

    Raises:
        InputError: When they differ.
    """
    found = checksum(data)
    if found != expected.lower():
        raise InputError(
            f"{what} is not the published file",
            why=f"its SHA-256 starts with {found[:12]}, not {expected[:12]}",
            fix=fix,
        )
    return found

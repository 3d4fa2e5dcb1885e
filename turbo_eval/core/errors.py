"""Errors a user can act on, each with the exit code that the command line documents."""

import difflib
import errno
import os
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar


def one_line(text: str) -> str:
    """Text with every run of white space and control characters turned into one blank."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


class TurboError(Exception):
    """An expected failure: what happened to which thing, why, and what to do next.

    Args:
        what: What happened, naming the thing it happened to.
        why: The cause, if known.
        fix: What the user can type or change.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, why: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.fix = fix

    def __str__(self) -> str:
        """One line: "what: why. Fix: ..."."""
        line = one_line(self.what)
        if self.why:
            line += f": {one_line(self.why).rstrip('.')}"
        if self.fix:
            line += f". Fix: {one_line(self.fix)}"
        return line


class UsageError(TurboError):
    """The command was typed wrongly (unknown name, value out of range)."""

    exit_code: ClassVar[int] = 2


class ConfigError(TurboError):
    """The configuration is refused."""

    exit_code: ClassVar[int] = 3


class PrerequisiteError(TurboError):
    """Something outside is missing: weights, an extra, a device, disk space, a permission."""

    exit_code: ClassVar[int] = 4


class MemoryShortage(PrerequisiteError):  # noqa: N818 (names the condition)
    """A single item does not fit in memory; other items may, so a run goes on after it."""


class InputError(TurboError):
    """An input (video, prompt file, table) is missing, damaged or of the wrong form."""

    exit_code: ClassVar[int] = 5


class PartialFailure(TurboError):  # noqa: N818 (names the outcome)
    """The work finished, but some items failed."""

    exit_code: ClassVar[int] = 6


class ThresholdError(TurboError):
    """The work finished, and a threshold that the user set was not met."""

    exit_code: ClassVar[int] = 7


class BudgetError(TurboError):
    """A budget of time or money is used up; the run can be resumed."""

    exit_code: ClassVar[int] = 8


class Interrupted(TurboError):  # noqa: N818 (names the event)
    """A signal asked the run to stop, and the current item was finished first.

    Args:
        signum: The signal; `exit_code` becomes 128 + signum (130 SIGINT, 143 SIGTERM).
        done: Items finished before the stop.
        total: Items there were to do.
    """

    def __init__(self, signum: int, done: int = 0, total: int = 0) -> None:
        name = signal.Signals(signum).name
        super().__init__(
            f"interrupted by {name} after {done} of {total} items",
            why="everything finished is saved",
            fix="type the same command again to go on",
        )
        # The arguments, not the sentence, so that the error survives pickling.
        self.args = (signum, done, total)
        self.signum = signum
        self.exit_code = 128 + signum  # type: ignore[misc]


def nearest(name: str, options: Iterable[str], n: int = 3) -> list[str]:
    """The options most like a mistyped name, best first.

    Args:
        name: What the user typed.
        options: The names there are.
        n: At most this many.

    Returns:
        Up to `n` options; case is ignored; empty when nothing is near.
    """
    by_lower: dict[str, str] = {}
    for option in options:
        by_lower.setdefault(option.lower(), option)
    typed = name.lower()[:200]
    close = difflib.get_close_matches(typed, by_lower, n=n, cutoff=0.55)
    if len(typed) >= 3:
        close += [o for o in sorted(by_lower) if (typed in o or o in typed) and o not in close]
    return [by_lower[lower] for lower in close[:n]]


def unknown(kind: str, name: str, options: Iterable[str]) -> UsageError:
    """The error for a name that does not exist, with the nearest names that do.

    Args:
        kind: What was looked up, e.g. "model".
        name: What the user typed.
        options: The names there are.
    """
    known = sorted(options)
    near = nearest(name, known)
    if near:
        fix = "did you mean " + " or ".join(near) + "?"
    elif not known:
        fix = f"there is no {kind} to choose from"
    else:
        listed = ", ".join(known[:20]) + (", ..." if len(known) > 20 else "")
        fix = f"choose one of {listed}"
    shown = name if len(name) <= 80 else name[:77] + "..."
    return UsageError(f"unknown {kind} {shown!r}", fix=fix)


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {errno.EROFS, errno.EACCES, errno.EPERM}


def from_os_error(error: OSError, path: Path) -> PrerequisiteError:
    """Turn a failed write into an error that names the folder and what to do about it.

    Args:
        error: What the operating system said.
        path: The file or folder that was being written.
    """
    # Unlike Path.is_dir, this raises nothing for a name that cannot be.
    folder = path if os.path.isdir(path) else path.parent
    if error.errno in _FULL:
        return PrerequisiteError(
            f"cannot write in {folder}",
            why=f"no space left ({error.strerror})",
            fix=f"free space on the disk of {folder}, or choose a folder on another disk",
        )
    if error.errno in _REFUSED:
        return PrerequisiteError(
            f"cannot write in {folder}",
            why=f"it is read-only for this user ({error.strerror})",
            fix="make it writable, or choose another folder",
        )
    if error.errno in {errno.ENOTDIR, errno.EEXIST, errno.EISDIR}:
        return PrerequisiteError(
            f"cannot write {path}",
            why=f"a file or folder of another kind is in the way ({error.strerror})",
            fix="move it away, or choose another folder",
        )
    return PrerequisiteError(
        f"cannot write {path}",
        why=error.strerror or str(error) or type(error).__name__,
        fix="check the folder and its disk, or choose another folder",
    )

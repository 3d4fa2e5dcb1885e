"""What a run was made with: code, libraries, machine. Starts no process, imports no library."""

import os
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

LIBRARIES = (
    "accelerate",
    "av",
    "diffusers",
    "matplotlib",
    "numpy",
    "pandas",
    "pyarrow",
    "safetensors",
    "scipy",
    "torch",
    "torchvision",
    "transformers",
)


def collect(extra: Mapping[str, Any]) -> dict[str, Any]:
    """The facts that let somebody repeat a run; no host name, user name or path among them.

    Args:
        extra: JSON-able facts of the caller (device, weights' hashes, judges); they win over
            facts of the same name collected here.

    Returns:
        turbo_eval (version), git (commit or None), python, libraries (name to version, only
        installed ones), platform, machine, processor, cpus (usable ones), and `extra`.
    """
    return {
        "turbo_eval": _version("turbo-eval"),
        "git": git_commit(Path(__file__).resolve().parents[2]),
        "python": platform.python_version(),
        "libraries": {n: v for n in LIBRARIES if (v := _version(n)) is not None},
        "platform": platform.platform(),
        "machine": platform.machine(),
        "processor": _processor(),
        "cpus": _usable_cpus(),
        **extra,
    }


def git_commit(checkout: Path) -> str | None:
    """The commit that is checked out in a folder, read from git's own files.

    Returns:
        The full hash, or None when the folder is no checkout or has no commit.
    """
    try:
        return _head(_git_folder(checkout / ".git"))
    except (OSError, UnicodeDecodeError):
        return None


def _git_folder(dot_git: Path) -> Path:
    if dot_git.is_dir():
        return dot_git
    # A linked work tree has a file that points to its folder.
    return dot_git.parent / dot_git.read_text("utf-8").removeprefix("gitdir:").strip()


def _head(git: Path) -> str | None:
    head = (git / "HEAD").read_text("utf-8").strip()
    if not head.startswith("ref:"):
        return head
    ref = head.removeprefix("ref:").strip()
    shared = git / "commondir"
    common = git / shared.read_text("utf-8").strip() if shared.is_file() else git
    loose = common / ref
    if loose.is_file():
        return loose.read_text("utf-8").strip()
    packed = common / "packed-refs"
    for line in packed.read_text("utf-8").splitlines() if packed.is_file() else ():
        commit, _, name = line.partition(" ")
        if name == ref:
            return commit
    return None


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()


def _usable_cpus() -> int:
    # Not every system tells which processors this process may use.
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable else os.cpu_count() or 1

"""The checks behind `turbo-eval doctor`: each looks at one thing and says how to mend it."""

import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Literal

import turbo_eval
from turbo_eval.core.errors import PrerequisiteError, TurboError, one_line

DISTRIBUTION = "turbo-eval"
WANTED_FREE = 2 * 2**30  # bytes; a demo run with its videos and features stays far below
OLDEST = (3, 11)
State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Check:
    """The outcome of looking at one thing.

    Attributes:
        name: what was looked at.
        state: `ok`; `warn` when everything works, but less well; `fail` when something does not.
        detail: what was found.
        fix: what to type; empty when ok.
    """

    name: str
    state: State
    detail: str
    fix: str = ""


def all_checks(runs: Path, weights_dir: Path | None = None) -> Iterator[Check]:
    """Look at everything, in the order in which a run would need it.

    Args:
        runs: the folder in which runs would be made; it need not exist.
        weights_dir: where the settings say that weights lie besides the package.

    Yields:
        One result at a time, so that a slow check does not hold back the others.
    """
    yield check_python()
    yield from check_libraries()
    yield from _guarded("device", check_device)
    yield check_cpu()
    yield from _guarded("video decoder", check_decoder)
    yield from check_weights(weights_dir)
    yield from _official(weights_dir)
    yield from _guarded("disk", lambda: check_disk(runs))
    yield from check_writable({"run folder": runs, "temporary": Path(tempfile.gettempdir())})


def _guarded(name: str, check: Callable[[], Check]) -> Iterator[Check]:
    # A doctor that crashes on a broken machine is of no use: whatever goes wrong is a finding.
    try:
        yield check()
    except TurboError as error:
        yield Check(name, "fail", _problem(error), error.fix)
    except Exception as error:
        detail = one_line(f"{type(error).__name__}: {error}")
        yield Check(name, "fail", detail, "install the pinned libraries again: make setup")


def _problem(error: TurboError) -> str:
    return one_line(f"{error.what}: {error.why}" if error.why else error.what)


def check_python() -> Check:
    """The interpreter, against the oldest one supported."""
    detail = f"{platform.python_version()} ({platform.system()} {platform.machine()})"
    # pip refuses older ones, but a checkout on PYTHONPATH does not ask pip.
    if sys.version_info[:2] < OLDEST:
        return Check("python", "fail", detail, "install Python 3.11 or newer and run make setup")
    return Check("python", "ok", detail)


def check_libraries() -> list[Check]:
    """Every library that the package requires, against its lowest version."""
    try:
        required = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return [Check("turbo-eval", "fail", "the package is not installed", "pip install -e .")]
    checks = []
    for line in required:
        # Lines such as `torch>=2.9` and, for extras, `ray>=2.40; extra == 'ray'`.
        requirement, _, marker = line.partition(";")
        if "extra" in marker:
            continue
        match = re.match(r"([\w.-]+)\s*(?:>=\s*([\d.]+))?", requirement.strip())
        if match:
            checks.append(_check_library(match[1], match[2] or "0"))
    return checks


def _check_library(name: str, lowest: str) -> Check:
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Check(name, "fail", "not installed", f"pip install '{name}>={lowest}'")
    if _numbers(version) < _numbers(lowest):
        fix = f"pip install -U '{name}>={lowest}'"
        return Check(name, "fail", f"{version} is older than {lowest}", fix)
    return Check(name, "ok", version)


def _numbers(version: str) -> tuple[int, ...]:
    # Local parts (2.9.0+cpu) and pre-releases do not matter for a lower bound.
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0])[:3])


def check_device() -> Check:
    """The device that `--device auto` would take."""
    import torch

    if torch.cuda.is_available():
        facts = torch.cuda.get_device_properties(0)
        count = torch.cuda.device_count()
        memory = facts.total_memory / 2**30
        return Check("device", "ok", f"{count} x {facts.name}, {memory:.0f} GiB each")
    if torch.backends.mps.is_available():
        return Check("device", "ok", "mps")
    if shutil.which("nvidia-smi") is not None:
        return Check(
            "device",
            "warn",
            f"cpu; an NVIDIA driver is there, but torch {torch.__version__} cannot use it",
            "install a torch build that fits the driver (see nvidia-smi)",
        )
    return Check("device", "ok", "cpu (no GPU; the mini stack needs none)")


def check_cpu() -> Check:
    """Cores this process may use, and memory."""
    import psutil

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = psutil.virtual_memory()
    detail = f"{cores} cores, {memory.total / 2**30:.1f} GiB memory"
    if memory.available < 2 * 2**30:
        free = f"{detail}, only {memory.available / 2**30:.1f} GiB free"
        return Check("cpu", "warn", free, "close other programs, or use --batch-size 1")
    return Check("cpu", "ok", detail)


def check_decoder() -> Check:
    """Write a moving square with our encoder and read it back with our decoder."""
    import numpy as np

    from turbo_eval.video.encode import encode
    from turbo_eval.video.read import decode

    frames = np.full((8, 64, 64, 3), 30, dtype=np.uint8)
    for time in range(8):
        frames[time, 24:40, 6 * time : 6 * time + 16] = (200, 80, 40)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "round-trip.mp4"
        encode(frames, 8.0, path)
        clip = decode(path)
    detail = f"PyAV {metadata.version('av')}, H.264"
    fix = "pip install --force-reinstall av"
    if clip.frames.shape != frames.shape:
        return Check("video decoder", "fail", f"{detail}: came back {clip.frames.shape}", fix)
    off = float(np.abs(clip.frames.astype(np.int16) - frames).mean())
    detail = f"{detail}, round trip off by {off:.1f} of 255"
    return Check("video decoder", "ok" if off < 6 else "fail", detail, "" if off < 6 else fix)


def check_weights(weights_dir: Path | None = None) -> list[Check]:
    """The weights of every model and judge that we ship: present, and with the noted checksum.

    Args:
        weights_dir: where the settings say that weights lie besides the package.
    """
    from turbo_eval.backbones.judges import judge_names
    from turbo_eval.backbones.official.marks import checksum
    from turbo_eval.models import model_names
    from turbo_eval.models.real_systems import real_names

    roots = [Path(turbo_eval.__file__).parent / "_weights", *([weights_dir] if weights_dir else [])]
    files = [path for root in roots for path in sorted(root.rglob("*")) if path.is_file()]
    # Official weights take gigabytes; their checksums are computed once and kept.
    there = {checksum(path) for path in files}
    checks: list[Check] = []
    for name in real_names():
        checks += _guarded(f"weights of {name}", partial(_published, name, weights_dir))
    for name in sorted(set(model_names()) - set(real_names())):
        wanted = partial(_weights_of_model, name, weights_dir)
        checks += _guarded(f"weights of {name}", partial(_weights, name, wanted, there))
    for name in judge_names():
        if name == "official":
            # Not shipped; see `_official`.
            continue
        wanted = partial(_weights_of_judges, name)
        title = f"judges {name}"
        checks += _guarded(f"weights of {title}", partial(_weights, title, wanted, there))
    return checks


def _official(weights_dir: Path | None) -> list[Check]:
    from turbo_eval.cli.official_checks import check_official

    return check_official(weights_dir)


def _weights_of_model(name: str, weights_dir: Path | None) -> dict[str, str]:
    from turbo_eval.models import load

    return load(name, weights_dir=weights_dir).info.weights


def _weights_of_judges(name: str) -> dict[str, str]:
    from turbo_eval.backbones.judges import load_judges

    infos = load_judges(name).infos.values()
    # Plain pixel differences are the one part that learns nothing.
    return {info.id: info.weights for info in infos if info.role != "pixels"}


def _published(name: str, weights_dir: Path | None) -> Check:
    """A system that people bring: its absence is no fault of the installation."""
    from turbo_eval.models import load

    try:
        load(name, weights_dir=weights_dir)
    except PrerequisiteError as error:
        return Check(f"weights of {name}", "warn", error.what, error.fix)
    return Check(f"weights of {name}", "ok", "ready")


def _weights(name: str, wanted: Callable[[], dict[str, str]], there: Collection[str]) -> Check:
    # Weights are known by their content, so neither a renamed nor a moved file is a fault.
    checksums = wanted()
    missing = [file for file, checksum in checksums.items() if checksum not in there]
    if missing:
        found = f"missing or changed: {', '.join(missing)}"
        return Check(f"weights of {name}", "fail", found, "install turbo-eval again: make setup")
    if not checksums:
        return Check(
            f"weights of {name}", "warn", "it names no weights", f"turbo-eval describe {name}"
        )
    return Check(f"weights of {name}", "ok", f"{len(checksums)} checksums agree")


def check_disk(folder: Path) -> Check:
    """Free space where runs are made."""
    free = shutil.disk_usage(_existing(folder)).free
    detail = f"{free / 2**30:.1f} GiB free at {_existing(folder).resolve()}"
    if free < WANTED_FREE:
        return Check("disk", "warn", detail, "free some space, or put runs elsewhere with --run")
    return Check("disk", "ok", detail)


def check_writable(places: dict[str, Path]) -> list[Check]:
    """Whether files can be made in each place; a place that does not exist counts as its parent.

    Args:
        places: what the place is for -> folder.
    """
    return [_check_writable(f"writable {name}", path) for name, path in places.items()]


def _check_writable(name: str, path: Path) -> Check:
    folder = _existing(path)
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".turbo-eval-"):
            pass
    except OSError as error:
        fix = "make it writable, or choose another folder"
        return Check(name, "fail", f"{folder}: {error.strerror}", fix)
    return Check(name, "ok", str(path))


def _existing(path: Path) -> Path:
    while not path.exists() and path != path.parent:
        path = path.parent
    return path

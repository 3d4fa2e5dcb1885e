"""Both sides of `score.py`: one process that scores with our program, or with the official one."""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

OURS = "import sys; from turbo_eval.cli.main import run; sys.exit(run(sys.argv[1:]))"


@dataclass(frozen=True)
class Cost:
    """What one process took.

    Attributes:
        seconds: Wall seconds of the whole process.
        megabytes: The most memory that it held at once.
        inside: Seconds without imports and start, where known.
    """

    seconds: float
    megabytes: float
    inside: float | None = None


def file_name(key: str) -> str:
    """What the files of a row are called: `all_in_one_process`."""
    return key.replace(",", "").replace(" ", "_")


def spent(command: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> Cost | None:
    """Run a process; what it prints goes to a log. None when it failed."""
    log.parent.mkdir(parents=True, exist_ok=True)
    begun = time.perf_counter()
    with log.open("wb") as out:
        child = subprocess.Popen(
            list(command), stdout=out, stderr=out, env={**os.environ, **(env or {})}
        )
        # wait4 gives this one child's memory (in KiB on Linux), and that of what it has started.
        _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - begun
    if child.returncode:
        print(f"exit code {child.returncode}: see {log}", file=sys.stderr)
        return None
    return Cost(seconds, usage.ru_maxrss / 1024)


def ours(
    name: str, infos: Mapping[str, Path], work: Path, args: argparse.Namespace, dtype: str
) -> Cost | None:
    """Score with turbo-eval in a fresh run folder and export."""
    label = f"{file_name(name)}-{dtype}"
    command = [sys.executable, "-c", OURS, "run", f"vbench:{infos[name]}"]
    command += ["--model", f"folder:{work / 'videos'}", "--judges", "official"]
    command += ["--weights-dir", str(args.weights_dir), "--device", args.device]
    command += ["--judge-dtype", dtype, "--run", str(work / "runs" / label)]
    command += ["--seeds", str(args.clips), "--export", f"vbench:{work / 'results' / label}"]
    cost = spent(command, work / "logs" / f"ours-{label}.txt")
    provenance = work / "runs" / label / "provenance.json"
    if cost is None or not provenance.is_file():
        return cost
    stages = json.loads(provenance.read_text(encoding="utf-8"))["seconds"]
    return replace(cost, inside=sum(stage["whole"] for stage in stages.values()))


def official(
    name: str,
    dimensions: Sequence[str],
    infos: Mapping[str, Path],
    work: Path,
    args: argparse.Namespace,
) -> Cost | None:
    """Score with the official program, driven as `turbo-eval verify vbench` drives it."""
    from turbo_eval.backbones.official.files import VOCABULARY
    from turbo_eval.backbones.official.weights import locate
    from turbo_eval.report import verify

    verify.link_weights(work / "cache", args.weights_dir)
    command = [str(args.python), str(verify.DRIVER), "--dimension", ",".join(dimensions)]
    command += ["--videos", str(work / "videos"), "--info", str(infos[name])]
    command += ["--cache", str(work / "cache")]
    command += ["--out", str(work / "results" / f"official-{file_name(name)}")]
    command += ["--device", args.device]
    words = locate(VOCABULARY, args.weights_dir)
    command += ["--vocabulary", str(words.resolve())] if words else []
    return spent(command, work / "logs" / f"official-{file_name(name)}.txt")


def read_recorded(shared: Path) -> dict[str, tuple[float, float, float]]:
    """Dimension -> recorded (seconds to load, seconds a clip, MB) of the official program."""
    text = (shared / "fixtures" / "vbench" / "README.md").read_text(encoding="utf-8")
    found = {}
    for line in text.partition("## Speed")[2].splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        numbers = [re.match(r"[\d.]+", cell) for cell in cells[1:]]
        if len(cells) == 4 and all(numbers):
            load, clip, memory = (float(number[0]) for number in numbers if number)
            found.update(dict.fromkeys(cells[0].split(", "), (load, clip, memory)))
    return found

"""Scoring with VBench's own networks: our seconds and memory beside the official program's.

Usage: python benchmarks/score.py --weights-dir W [--python PATH | --shared FOLDER] [options]

Both programs score the same clips with the same weights on the same machine, one process for each
dimension, imports and loading included; then each scores all dimensions in one process, once with
clips of their own for each dimension and once with the same clips for all.
PATH is an interpreter with the official `vbench`. Without it, the seconds that the official
program took for one clip on 2 cores are read from `fixtures/vbench/README.md` in the shared folder,
which is a recording from another day, not this run. Random weights will do (`turbo-eval weights
random --seed 101 --into W`, and BERT's word pieces in W/bert-base-uncased/vocab.txt).

Clips are clip_01, clip_02, ... of the shared folder, or drawn ones of the same size. With
`--judge-dtype bf16` our side runs in both number types, and the largest change of a score is shown.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from score_sides import Cost, file_name, official, ours, read_recorded

RESULTS = "_eval_results.json"
MOST = 5
"""Videos of one prompt that the official program reads."""
TOGETHER = "all, in one process"
SAME = "all, of the same clips"


def main() -> int:
    """Measure and print the table; returns 1 when a process failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights-dir", type=Path, required=True)
    parser.add_argument("--python", type=Path, help="interpreter that has the official package")
    parser.add_argument("--shared", type=Path, help="folder of the recordings")
    parser.add_argument("--dimensions", default="", help="separated by commas; all 16 when empty")
    parser.add_argument("--clips", type=int, default=1, choices=range(1, MOST + 1))
    parser.add_argument("--frames", type=int, default=16, help="of drawn clips")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--judge-dtype", default="float32", choices=("float32", "bf16"))
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--work", type=Path, default=Path("runs") / "score-benchmark")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    args = parser.parse_args()
    from turbo_eval.metrics.normalise import DIMENSIONS

    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    work = args.work.resolve() / time.strftime("%Y%m%d-%H%M%S")
    names = [name for name in args.dimensions.split(",") if name] or list(DIMENSIONS)
    videos = make_videos(work, names, args)
    recorded = read_recorded(args.shared) if args.shared else {}
    warm(names, args.weights_dir)
    rows = [measure(name, videos, work, args, recorded) for name in names]
    rows += [measure_together(key, names, rows, videos, work, args) for key in (TOGETHER, SAME)]
    print(json.dumps(rows, indent=1) if args.json else table(rows, args))
    sides = ("ours s", "official s") if args.python else ("ours s",)
    return int(any(row[side] is None for row in rows for side in sides))


def make_videos(work: Path, names: Sequence[str], args: argparse.Namespace) -> dict[str, Path]:
    """Lay out the clips under VBench's names, and a prompt list for each dimension and for all.

    Returns:
        Dimension (or `TOGETHER`, `SAME`) -> prompt list; the clips lie in `work/videos`.
    """
    from turbo_eval.core.records import Prompt
    from turbo_eval.report.vbench_export import official_name
    from turbo_eval.report.verify import SAMPLES
    from turbo_eval.video.encode import encode

    folder = work / "videos"
    folder.mkdir(parents=True)
    fixtures = args.shared / "fixtures" / "vbench" / "videos" if args.shared else None
    sources = []
    for number in range(args.clips):
        source = work / f"drawn_{number}.mp4"
        if fixtures is not None:
            source = (fixtures / f"clip_{number + 1:02d}.mp4").resolve(strict=True)
        else:
            encode(drawn(number, args.frames), 8.0, source)
        sources.append(source)
    infos: dict[str, Path] = {}
    entries: list[dict[str, Any]] = []
    for name in names:
        sample = next(sample for sample in SAMPLES if name in sample["dimension"])
        # A prompt for each dimension, so that no two share videos in the official program.
        entry = {**sample, "dimension": [name]}
        if any(other["prompt_en"] == entry["prompt_en"] for other in entries):
            entry["prompt_en"] += f" {len(entries)}"
        entries.append(entry)
        infos[name] = work / f"{name}.json"
        infos[name].write_text(json.dumps([entry]), encoding="utf-8")
    facts: dict[str, Any] = {}
    for entry in entries:
        facts |= entry.get("auxiliary_info", {})
    same = {"prompt_en": "one for all", "dimension": list(names), "auxiliary_info": facts}
    for entry in [*entries, same]:
        prompt = Prompt("", entry["prompt_en"], (), {}, "", 0)
        for number, source in enumerate(sources):
            (folder / official_name(prompt, number)).symlink_to(source)
    for key, prompts in ((TOGETHER, entries), (SAME, [same])):
        infos[key] = work / f"{file_name(key)}.json"
        infos[key].write_text(json.dumps(prompts), encoding="utf-8")
    return infos


def drawn(number: int, frames: int) -> Any:
    """A clip of 512 x 320 with texture and motion, uint8 [T, 320, 512, 3]."""
    y, x = np.mgrid[0:320, 0:512].astype(np.float32)
    rng = np.random.default_rng(number)
    waves = rng.uniform(0.02, 0.3, (3, 3))
    clip = np.empty((frames, 320, 512, 3), np.uint8)
    for t in range(frames):
        for channel, (a, b, c) in enumerate(waves):
            clip[t, ..., channel] = 128 + 100 * np.sin(a * x + b * y + 5 * c * t)
    return clip


def warm(names: Sequence[str], weights_dir: Path) -> None:
    """Let our side convert its weights once, and bring every file into the cache of the system."""
    code = "import sys; from pathlib import Path; from turbo_eval.backbones.official.ready import "
    code += "check_role; check_role(sys.argv[1], Path(sys.argv[2]))"
    from turbo_eval.backbones.official import PARTS
    from turbo_eval.backbones.official.files import files_of_role
    from turbo_eval.backbones.official.weights import locate
    from turbo_eval.metrics.vbench import metric

    for role in dict.fromkeys(role for name in names for role in metric(name).info.roles):
        if role not in PARTS:
            continue
        subprocess.run([sys.executable, "-c", code, role, str(weights_dir)], check=True)
        for file in files_of_role(role):
            path = locate(file, weights_dir)
            if path is not None:
                with path.open("rb") as data:
                    while data.read(1 << 24):
                        pass


def measure(
    name: str,
    infos: Mapping[str, Path],
    work: Path,
    args: argparse.Namespace,
    recorded: Mapping[str, tuple[float, float, float]],
) -> dict[str, Any]:
    """One row: both programs on one dimension."""
    print(f"{name} ...", file=sys.stderr)
    mine = ours(name, infos, work, args, "float32")
    theirs, source = None, ""
    if args.python:
        theirs, source = official(name, [name], infos, work, args), "this run"
    elif name in recorded:
        load, clip, memory = recorded[name]
        # Recorded without imports, so it is compared with our stages.
        theirs, source = Cost(load + clip * args.clips, memory), "recorded"
    return compared(name, mine, theirs, source) | reduced(name, mine, theirs, infos, work, args)


def compared(name: str, mine: Cost | None, theirs: Cost | None, source: str) -> dict[str, Any]:
    """The cells of a row; None where a side has no number."""
    both = mine is not None and theirs is not None
    seconds = mine and (mine.seconds if source.startswith("this run") else mine.inside)
    return {
        "dimension": name,
        "ours s": round(mine.seconds, 2) if mine else None,
        "ours without start s": round(mine.inside, 2) if mine and mine.inside else None,
        "official s": round(theirs.seconds, 2) if theirs else None,
        "times faster": round(theirs.seconds / seconds, 2) if theirs and seconds else None,
        "ours MB": round(mine.megabytes) if mine else None,
        "official MB": round(theirs.megabytes) if theirs else None,
        "share of its memory": round(mine.megabytes / theirs.megabytes, 2) if both else None,  # type: ignore[union-attr]
        "official from": source,
    }


def reduced(
    name: str,
    whole: Cost | None,
    theirs: Cost | None,
    infos: Mapping[str, Path],
    work: Path,
    args: argparse.Namespace,
) -> dict[str, Any]:
    """Cells for another number type; none when none is asked for."""
    dtype = args.judge_dtype
    if dtype == "float32":
        return {}
    cost = ours(name, infos, work, args, dtype)
    cells: dict[str, Any] = dict.fromkeys(
        f"{dtype} {what}" for what in ("s", "times float32", "times official", "MB", "change")
    )
    if cost is None or whole is None:
        return cells
    cells[f"{dtype} s"] = round(cost.seconds, 2)
    cells[f"{dtype} MB"] = round(cost.megabytes)
    cells[f"{dtype} times float32"] = round(whole.seconds / cost.seconds, 2)
    mine = cost.seconds if args.python else cost.inside
    if theirs and mine:
        cells[f"{dtype} times official"] = round(theirs.seconds / mine, 2)
    cells[f"{dtype} change"] = largest_change(name, work, dtype)
    return cells


def largest_change(name: str, work: Path, dtype: str) -> float | None:
    """Of a video's score, where the same clips were scored in float32 and in another type."""
    from turbo_eval.report.verify import compare

    folders = [work / "results" / f"{file_name(name)}-{kind}" for kind in (dtype, "float32")]
    dimensions = [path.name.removesuffix(RESULTS) for path in folders[0].glob(f"*{RESULTS}")]
    found = [compare(dimension, folders[0], folders[1], 1.0).largest for dimension in dimensions]
    return max((change for change in found if change is not None), default=None)


def measure_together(
    key: str,
    names: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    infos: Mapping[str, Path],
    work: Path,
    args: argparse.Namespace,
) -> dict[str, Any]:
    """The row of all dimensions in one process; sums where they are recorded, or that failed."""
    print(f"{len(names)} dimensions {key} ...", file=sys.stderr)
    mine = ours(key, infos, work, args, "float32")
    theirs = official(key, names, infos, work, args) if args.python else None
    source = "this run" if theirs else f"{rows[0]['official from']}, summed"
    if theirs is None and all(row["official s"] is not None for row in rows):
        most = max(row["official MB"] for row in rows)
        theirs = Cost(sum(row["official s"] for row in rows), most)
    return compared(key, mine, theirs, source) | reduced(key, mine, theirs, infos, work, args)


def table(rows: Sequence[Mapping[str, Any]], args: argparse.Namespace) -> str:
    """The rows as a Markdown table under one line about the conditions."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [
        f"{args.clips} clips for each dimension, {args.device}, {args.threads} threads; seconds of "
        "whole processes, imports and loading included; recorded ones have no imports and are "
        "compared with ours without start.",
        "",
        "| " + " | ".join(names) + " |",
        "|" + " --- |" * len(names),
    ]
    for row in rows:
        cells = [row.get(name) for name in names]
        lines.append("| " + " | ".join("" if c is None else str(c) for c in cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())

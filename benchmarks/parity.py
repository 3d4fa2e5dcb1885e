"""Equal numbers: our 16 dimensions against what VBench's own program computed, video by video.

Usage: python benchmarks/parity.py [--shared FOLDER] [--dimensions A,B] [--work FOLDER] [--out FILE]

The shared folder holds the recorded results of the official program (`fixtures/vbench`: clips,
prompt lists, results) and the word pieces of BERT (`data/bert`). Weights are random with the seed
of the recording and are written once into the work folder. Every dimension runs in a process of
its own through the ordinary stages; results gather in the work folder, so that dimensions can be
run one at a time, and the page is written from all of them.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from memory import peak_mib

REPOSITORY = Path(__file__).resolve().parents[1]
SEED = 101
SEEDS = 5
"""Videos per prompt that the recorded file names may count."""
TOLERANCE = 1e-4
# Recorded per video on 0..100, in the aggregate on 0..1.
SCALES = {"imaging_quality": 100.0}


def main() -> int:
    """Run the dimensions, write the page; returns 1 when a number differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=REPOSITORY.parent / "shared")
    parser.add_argument("--dimensions", default="")
    parser.add_argument("--work", type=Path, default=REPOSITORY / "runs" / "parity")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "docs" / "parity.md")
    parser.add_argument(
        "--resume", action="store_true", help="keep what an interrupted run has computed"
    )
    parser.add_argument("--one", default="", help=argparse.SUPPRESS)
    args = parser.parse_args()
    fixtures = args.shared / "fixtures" / "vbench"
    if not fixtures.is_dir():
        print(f"parity: {fixtures} is missing. Fix: --shared FOLDER", file=sys.stderr)
        return 4
    args.work.mkdir(parents=True, exist_ok=True)
    results = args.work / "results"
    results.mkdir(exist_ok=True)
    if args.one:
        found = measure(args.one, fixtures, args.work, resume=args.resume)
        (results / f"{args.one}.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
        return 0
    wanted = [name for name in args.dimensions.split(",") if name] or ready(fixtures)
    make_weights(wanted, args.shared, args.work / "weights")
    failed = []
    for name in wanted:
        (results / f"{name}.json").unlink(missing_ok=True)
        command = [sys.executable, __file__, "--one", name]
        command += ["--shared", str(args.shared), "--work", str(args.work)]
        command += ["--resume"] if args.resume else []
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
    every = {p.stem: json.loads(p.read_text(encoding="utf-8")) for p in results.glob("*.json")}
    text = page(every)
    args.out.write_text(text, encoding="utf-8")
    print(text)
    if failed:
        print(f"parity: no result for {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed) or not all(row["equal"] for row in every.values()))


def roles_of(dimension: str) -> tuple[str, ...]:
    """The parts of the judges that a dimension reads."""
    from turbo_eval.metrics.vbench import metric

    return metric(dimension).info.roles


def ready(fixtures: Path) -> list[str]:
    """Recorded dimensions whose networks this installation has."""
    from turbo_eval.backbones.official import PARTS

    names = sorted(folder.name for folder in (fixtures / "eval").iterdir())
    return [n for n in names if set(roles_of(n)) <= {*PARTS, "pixels"}]


def make_weights(dimensions: list[str], shared: Path, folder: Path) -> None:
    """Write the random weights that the dimensions need and that are not there yet."""
    from turbo_eval.backbones.official.files import BERT_VOCABULARY, files_of_role
    from turbo_eval.backbones.official.marks import random_mark
    from turbo_eval.backbones.official.random_weights import seed_of, write_random

    roles = dict.fromkeys(role for name in dimensions for role in roles_of(name))
    for file in dict.fromkeys(file for role in roles for file in files_of_role(role)):
        mark = random_mark(folder / file.file)
        if mark is None or mark.seed != seed_of(file, SEED):
            print(f"parity: writing {file.file}", file=sys.stderr)
            write_random(SEED, folder, [file])
    vocabulary = folder / BERT_VOCABULARY
    vocabulary.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(shared / "data" / "bert" / "vocab.txt", vocabulary)


def measure(dimension: str, fixtures: Path, work: Path, *, resume: bool) -> dict[str, Any]:
    """Score the recorded videos of a dimension and compare.

    Args:
        dimension: Its name.
        fixtures: The recordings.
        work: Folder for videos, runs and weights.
        resume: Keep the features that an earlier, interrupted call has made.

    Returns:
        Numbers of one row of the page.
    """
    from turbo_eval.cli.options import flags
    from turbo_eval.cli.session import start
    from turbo_eval.cli.stages import do_stages

    source = fixtures / "eval" / dimension
    manifest = json.loads((source / "manifest.json").read_text(encoding="utf-8"))
    videos, run = work / "videos" / dimension, work / "runs" / dimension
    shutil.rmtree(videos, ignore_errors=True)
    if not resume:
        shutil.rmtree(run, ignore_errors=True)
    videos.mkdir(parents=True)
    for name, clip in manifest.items():
        shutil.copyfile(fixtures / "videos" / clip, videos / name)
    typed = flags(
        suite=f"vbench:{source / 'full_info.json'}",
        model=[f"folder:{videos}"],
        seeds=SEEDS,
        judges="official",
        dimensions=[dimension],
        weights_dir=work / "weights",
        device="cpu",
        run=run,
    )
    session = start(typed, None)
    begun = time.perf_counter()
    do_stages(session)
    seconds = time.perf_counter() - begun
    texts = {video.video_id: session.by_id[video.prompt_id].text for video in session.videos()}
    names = {v.video_id: f"{texts[v.video_id]}-{v.seed_index}.mp4" for v in session.videos()}
    rows = {names[row["video_id"]]: row for row in session.run.scores.read()}
    recorded = json.loads(
        (fixtures / "results" / f"{dimension}_eval_results.json").read_text(encoding="utf-8")
    )[dimension]
    found = compare(rows, recorded, SCALES.get(dimension, 1.0))
    clips = sum(row["status"] != "failed" for row in rows.values())
    return found | {
        "expected": len(manifest),
        "clips": clips,
        "seconds": seconds,
        "megabytes": peak_mib(),
    }


def compare(rows: dict[str, Any], recorded: Any, scale: float) -> dict[str, Any]:
    """Differences between our rows and the official results.

    Args:
        rows: Official file name -> our score row.
        recorded: The official [aggregate, [per video ...]], or {"error": ...}.
        scale: What the official per-video values are divided by.
    """
    official, videos = (None, []) if isinstance(recorded, dict) else recorded
    values = {v["video_path"]: float(v["video_results"]) / scale for v in videos}
    scored = {name: row for name, row in rows.items() if row["denominator"]}
    numerator = sum(row["numerator"] for row in scored.values())
    denominator = sum(row["denominator"] for row in scored.values())
    ours = numerator / denominator if denominator else None
    differences = {
        name: abs(scored[name]["value"] - value) for name, value in values.items() if name in scored
    }
    missing = sorted(values.keys() - scored.keys())
    surplus = sorted(scored.keys() - values.keys())
    off = abs(ours - official) if ours is not None and official is not None else None
    same_aggregate = (ours is None and official is None) or (off is not None and off <= TOLERANCE)
    return {
        "videos": len(values),
        "largest": max(differences.values(), default=0.0),
        "worst": max(differences, key=lambda n: differences[n], default=""),
        "official": official,
        "ours": ours,
        "aggregate": off,
        "missing": missing,
        "surplus": surplus,
        "failed": {n: row["reason"] for n, row in rows.items() if row["status"] == "failed"},
        "equal": not missing
        and not surplus
        and same_aggregate
        and all(difference <= TOLERANCE for difference in differences.values()),
    }


def page(every: dict[str, Any]) -> str:
    """The page, from the results of all dimensions that were run."""
    import platform

    import numpy
    import torch

    lines = [
        "# Equal numbers",
        "",
        "<!-- Written by benchmarks/parity.py (make parity). -->",
        "",
        "Our 16 dimensions against the official `vbench` 0.1.5, on the same clips with the same",
        f"random weights, in float32 on a CPU. A row is equal when no video differs by more than "
        f"{TOLERANCE:g}.",
        "",
        f"torch {torch.__version__}, numpy {numpy.__version__}, Python "
        f"{platform.python_version()}, {torch.get_num_threads()} threads. Seconds include "
        "decoding and reading the",
        "weights, on a machine that may have had other work; memory is the peak of the process.",
        "",
        "| dimension | videos | largest difference | official | ours | equal | s a clip | MB |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name in sorted(every):
        row = every[name]
        official = "none: it divides by zero" if row["official"] is None else row["official"]
        lines.append(
            f"| {name} | {row['videos']} | {row['largest']:.1e} | {_short(official)} | "
            f"{_short(row['ours'])} | {'yes' if row['equal'] else 'NO'} | "
            f"{row['seconds'] / max(1, row['clips']):.1f} | {row['megabytes']:.0f} |"
        )
    for name in sorted(every):
        row = every[name]
        for what in ("missing", "surplus", "failed"):
            if row[what]:
                lines.append(f"\n{name}, {what}: {row[what]}")
    return "\n".join(lines) + "\n"


def _short(value: Any) -> str:
    return f"{value:.6f}" if isinstance(value, float) else "none" if value is None else str(value)


if __name__ == "__main__":
    sys.exit(main())

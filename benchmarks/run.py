"""What the harness adds to a run, what a resumed run costs, and how often work is shared.

One run of the mini suite in a fresh folder, then the same command again. Prints ratios:

    overhead   share of the stages' time outside the models' and the judges' own calls
    resume     time of the second, finished run against the first
    decodes    times each video was decoded; must be 1
    passes     times each needed backbone ran on each video; must be 1
    memory     peak resident memory of the run in GiB

    python benchmarks/run.py [--limit 16] [--model mini-teacher@8] [--keep FOLDER]
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COUNTER = """
import json, os, sys
from collections import Counter
import turbo_eval.features.run as stage
from turbo_eval.cli.main import run

decoded = Counter()
real = stage.decode

def decode(path, **options):
    decoded[str(path)] += 1
    return real(path, **options)

stage.decode = decode
code = run(sys.argv[2:])
open(sys.argv[1], "w").write(json.dumps(decoded))
sys.exit(code)
"""


def timed(arguments: list[str], counts: Path) -> float:
    """Seconds of one `turbo-eval` command in a process of its own."""
    begun = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", COUNTER, str(counts), *arguments],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.perf_counter() - begun


def main() -> None:
    """Run twice and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=int, default=16)
    parser.add_argument("--model", default="mini-teacher@8")
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    from turbo_eval.core.runs import RunFolder

    with tempfile.TemporaryDirectory() as scratch:
        folder = (options.keep or Path(scratch)) / "run"
        counts = Path(scratch) / "decoded.json"
        command = ["run", "mini", "--model", options.model, "--limit", str(options.limit)]
        command += ["--seeds", "1", "--run", str(folder)]
        first = timed(command, counts)
        decoded = json.loads(counts.read_text())
        again = timed(command, Path(scratch) / "again.json")
        times = json.loads((folder / "provenance.json").read_text())["seconds"]
        inside = sum(stage["in_calls"] for stage in times.values())
        whole = sum(stage["whole"] for stage in times.values())
        features = RunFolder(folder).open().features.read()
        passes: dict[tuple[str, str], int] = {}
        for row in features:
            key = (row["video_id"], row["backbone"])
            passes[key] = passes.get(key, 0) + 1
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
        print(f"first run           {first:8.1f} s")
        print(f"stages              {whole:8.1f} s, of which in calls {inside:.1f} s")
        print(f"overhead            {1 - inside / whole:8.1%} of the stages")
        print(f"start-up and report {first - whole:8.1f} s")
        print(f"resume              {again:8.1f} s, {again / first:.1%} of the first run")
        print(f"decodes             {max(decoded.values())} at most, {len(decoded)} videos")
        print(f"passes              {max(passes.values())} at most, {len(passes)} pairs")
        print(f"memory              {peak:8.2f} GiB")


if __name__ == "__main__":
    main()

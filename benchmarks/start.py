"""How fast the light commands answer, as ratios to an empty Python in the same run.

python benchmarks/start.py [--repeat 7]
"""

import argparse
import statistics
import subprocess
import sys
import time

COMMANDS = (
    ["--help"],
    ["--version"],
    ["prompts", "list"],
    ["list", "metrics"],
    ["list", "models"],
    ["describe", "vbench.subject_consistency"],
)


def seconds(argv: list[str], repeat: int) -> float:
    """Median wall-clock seconds of `repeat` runs of `argv`."""
    taken = []
    for _ in range(repeat):
        begun = time.perf_counter()
        subprocess.run(argv, check=False, capture_output=True)
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def main() -> None:
    """Print one line a command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=7)
    repeat = parser.parse_args().repeat
    empty = seconds([sys.executable, "-c", "pass"], repeat)
    print(f"{'command':<45} {'seconds':>8} {'ratio':>7}")
    print(f"{'python -c pass':<45} {empty:8.3f} {1.0:7.1f}")
    for command in COMMANDS:
        taken = seconds([sys.executable, "-m", "turbo_eval.cli.main", *command], repeat)
        print(f"{'turbo-eval ' + ' '.join(command):<45} {taken:8.3f} {taken / empty:7.1f}")


if __name__ == "__main__":
    main()

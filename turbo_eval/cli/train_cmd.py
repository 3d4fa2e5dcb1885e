"""`turbo-eval train`: hand everything to `turbo-train`.

The trainer runs in a child process because the harness must never import it.
"""

import sys

import typer

from turbo_eval.launch import run_command


def train(ctx: typer.Context) -> int:
    """Run turbo-train with the given arguments (turbo-eval train --help shows them).

    Example: turbo-eval train world vae --help
    """
    return run_command([sys.executable, "-m", "turbo_train.cli", *ctx.args], stdout=sys.stdout)

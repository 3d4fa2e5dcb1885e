"""`turbo-eval train`: hand everything to `turbo-train`.

The trainer runs in a child process because the harness must never import it.
"""

import sys

import typer

from turbo_eval.launch import run_command

# What the console script does, but found by this interpreter instead of on PATH.
ENTRY = (
    "import sys; sys.argv[0] = 'turbo-train'; from turbo_train.cli import main; sys.exit(main())"
)


def train(ctx: typer.Context) -> int:
    """Run turbo-train with the given arguments (turbo-eval train --help shows them).

    Example: turbo-eval train world vae --help
    """
    return run_command([sys.executable, "-c", ENTRY, *ctx.args], stdout=sys.stdout)

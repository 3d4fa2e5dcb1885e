"""The `turbo-eval` program: its commands behind the one place that knows exit codes."""

from collections.abc import Sequence

from turbo_eval.cli.app import app
from turbo_eval.core import entry

PROGRAM = "turbo-eval"


def main(argv: Sequence[str] | None = None) -> None:
    """Run `turbo-eval` and leave the process with the documented exit code.

    Args:
        argv: arguments without the program's name; those of the process when None.
    """
    entry.main(app, PROGRAM, argv)


def run(args: list[str]) -> int:
    """Run one command line and return its exit code; errors are told on stderr.

    Args:
        args: arguments without the program's name.
    """
    return entry.run(app, PROGRAM, args)


if __name__ == "__main__":
    main()

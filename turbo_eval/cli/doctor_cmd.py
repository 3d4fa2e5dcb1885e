"""`turbo-eval doctor`: is this machine ready, and if not, what to type."""

from typing import Annotated

import typer

from turbo_eval.cli import options as o
from turbo_eval.cli.checks import Check, all_checks
from turbo_eval.cli.show import print_json, print_table
from turbo_eval.config import resolve
from turbo_eval.core.errors import PrerequisiteError


def doctor(
    weights_dir: o.WeightsDir = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Check that this machine is ready, with a fix for everything that is not.

    Looks at Python, libraries, device, processor, video decoder, weights, disk and folders, and
    names for each of VBench's 16 dimensions the command that gets what its network lacks.
    Leaves with 0 when everything works, with 4 when something does not.
    Example: turbo-eval doctor --json
    """
    config = resolve().config
    checks = list(all_checks(config.run, weights_dir or config.weights_dir))
    failed = [check for check in checks if check.state == "fail"]
    if json:
        print_json({"ready": not failed, "checks": checks})
    else:
        # The weak spots last, where they are seen.
        checks.sort(key=lambda check: ("ok", "warn", "fail").index(check.state))
        print_table(["check", "state", "found", "fix"], [_row(check) for check in checks])
    if failed:
        names = ", ".join(check.name for check in failed)
        raise PrerequisiteError(
            f"{len(failed)} of {len(checks)} checks failed",
            why=names,
            fix="see the fix of each above",
        )


def _row(check: Check) -> tuple[str, str, str, str]:
    return check.name, check.state, check.detail, check.fix

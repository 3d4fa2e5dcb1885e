"""Which of the 16 dimensions can be scored with VBench's own networks, and what the rest lack."""

from pathlib import Path

from turbo_eval.backbones.official.marks import random_mark
from turbo_eval.backbones.official.ready import missing_files
from turbo_eval.backbones.official.weights import locate
from turbo_eval.cli.checks import Check


def check_official(weights_dir: Path | None = None) -> list[Check]:
    """One line for each dimension: ready, or the exact command that makes it so.

    Missing files are no fault: most people never need them.

    Args:
        weights_dir: where the settings say that weights lie.
    """
    from turbo_eval.metrics.normalise import DIMENSIONS
    from turbo_eval.metrics.vbench import metric

    where = f" --weights-dir {weights_dir}" if weights_dir else ""
    checks = []
    for dimension in DIMENSIONS:
        roles = metric(dimension).info.roles
        missing = list(
            dict.fromkeys(file for role in roles for file in missing_files(role, weights_dir))
        )
        name = f"official {dimension}"
        if missing:
            fix = f"turbo-eval weights pull {' '.join(file.id for file in missing)}{where}"
            lacks = f"missing {', '.join(file.file for file in missing)}"
            checks.append(Check(name, "warn", lacks, fix))
        elif random := _random_files(roles, weights_dir):
            found = f"ready, with RANDOM weights in {', '.join(random)}: scores mean nothing"
            checks.append(Check(name, "warn", found, "name a folder with the official files"))
        else:
            checks.append(Check(name, "ok", "ready"))
    return checks


def _random_files(roles: tuple[str, ...], weights_dir: Path | None) -> list[str]:
    from turbo_eval.backbones.official.files import files_of_role

    files = [file for role in roles for file in files_of_role(role)]
    paths = {file.file: locate(file, weights_dir) for file in files}
    return [name for name, path in paths.items() if path and random_mark(path)]

"""Which of the 16 dimensions can be scored with VBench's own networks, and what the rest lack."""

from pathlib import Path
from shlex import quote

from turbo_eval.backbones.official.marks import random_mark
from turbo_eval.backbones.official.ready import damaged_files, missing_files
from turbo_eval.backbones.official.weights import folders, locate
from turbo_eval.cli.checks import Check
from turbo_eval.cli.session import Session
from turbo_eval.core.errors import PrerequisiteError
from turbo_eval.metrics.normalise import DIMENSIONS


def check_official(weights_dir: Path | None = None) -> list[Check]:
    """One line for each dimension: ready, or the exact command that makes it so.

    Missing files are no fault: most people never need them.

    Args:
        weights_dir: where the settings say that weights lie.
    """
    from turbo_eval.metrics.vbench import metric

    where = f" --weights-dir {quote(str(weights_dir))}" if weights_dir else ""
    checks = []
    for dimension in DIMENSIONS:
        roles = metric(dimension).info.roles
        missing = list(
            dict.fromkeys(file for role in roles for file in missing_files(role, weights_dir))
        )
        damaged = {f: why for role in roles for f, why in damaged_files(role, weights_dir).items()}
        name = f"official {dimension}"
        if damaged:
            ids = " ".join(dict.fromkeys(file.id for file in (*damaged, *missing)))
            found = "; ".join(f"{file.file}: {why}" for file, why in damaged.items())
            fix = f"turbo-eval weights pull --again {ids}{where}"
            checks.append(Check(name, "warn", found, fix))
        elif missing:
            fix = f"turbo-eval weights pull {' '.join(file.id for file in missing)}{where}"
            lacks = f"missing {', '.join(file.file for file in missing)}"
            checks.append(Check(name, "warn", lacks, fix))
        elif random := _random_files(roles, weights_dir):
            found = f"ready, with RANDOM weights in {', '.join(random)}: scores mean nothing"
            checks.append(Check(name, "warn", found, "name a folder with the official files"))
        else:
            checks.append(Check(name, "ok", "ready"))
    return checks


def lacking_weights(session: Session) -> PrerequisiteError | None:
    """What a run that asks for VBench's own networks cannot do, before it makes its first video.

    Args:
        session: The run.

    Returns:
        The error, which names each file, the dimensions that wait for it and one command for all
        of them; None when everything is there, or other judges look.
    """
    if session.config.judges != "official":
        return None
    weights_dir = session.config.weights_dir
    metrics = {m.info.id: m.info for prompt in session.prompts for m in session.metrics_for(prompt)}
    waiting: dict[str, list[str]] = {}
    ready: list[str] = []
    ids: dict[str, str] = {}
    again = False
    for name in DIMENSIONS:
        # A reward's part is none of these; rewards look for their own files.
        infos = [info for info in metrics.values() if info.dimension == name]
        if not infos:
            continue
        roles = dict.fromkeys(role for info in infos for role in info.roles)
        lacking = {file: file.file for role in roles for file in missing_files(role, weights_dir)}
        for role in roles:
            for file, why in damaged_files(role, weights_dir).items():
                lacking[file] = f"{file.file}, {why}"
                again = True
        if not lacking:
            ready.append(name)
        for file, told in lacking.items():
            waiting.setdefault(told, []).append(name)
            ids[file.file] = file.id
    if not waiting:
        return None
    lack = list(dict.fromkeys(name for names in waiting.values() for name in names))
    where = f" --weights-dir {quote(str(weights_dir))}" if weights_dir else ""
    searched = ", ".join(map(str, folders(weights_dir)))
    words = ["turbo-eval weights pull", *(["--again"] if again else []), *ids.values()]
    fix = " ".join(words) + where
    return PrerequisiteError(
        f"{len(lack)} of {len(lack) + len(ready)} dimensions lack weights of VBench's networks",
        why="; ".join(f"{file} ({', '.join(names)})" for file, names in waiting.items())
        + f"; searched {searched}",
        fix=f"{fix}; or go without: --dimensions {','.join(ready)}" if ready else fix,
    )


def _random_files(roles: tuple[str, ...], weights_dir: Path | None) -> list[str]:
    from turbo_eval.backbones.official.files import files_of_role

    files = [file for role in roles for file in files_of_role(role)]
    paths = {file.file: locate(file, weights_dir) for file in files}
    return [name for name, path in paths.items() if path and random_mark(path)]

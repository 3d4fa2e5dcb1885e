"""The trainer from outside: what it would do, one run of it, and what it has finished.

Everything happens in child processes of `turbo-train` with this interpreter; what it found out is
read from what it prints and from the manifests that it writes.
"""

import json
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turbo_eval.ablate.grid import Variant
from turbo_eval.core.errors import ConfigError, PrerequisiteError, TurboError
from turbo_eval.core.hashing import file_sha256
from turbo_eval.launch import run_command
from turbo_eval.models.student import MANIFEST, read_manifest
from turbo_eval.models.systems import find_system, system_fingerprint

# Several commands in one process, because starting one takes seconds.
CALLS = """
import json, sys
from turbo_eval.core import entry
from turbo_train.cli import app
for args in json.loads(sys.argv[1]):
    if code := entry.run(app, "turbo-train", args):
        sys.exit(code)
"""
# The child holds the lock, not its parent: when the parent is killed, its child trains on, and
# nobody else writes into the same folder.
_LOCKED = """
import json, sys
from pathlib import Path
from turbo_eval.core import entry
from turbo_eval.core.runs import exclusive
lock, wait, calls = Path(sys.argv[1]), sys.argv[2] == "wait", json.loads(sys.argv[3])
with exclusive(lock, blocking=False) as free:
    if free:
        from turbo_train.cli import app
        for args in calls:
            if code := entry.run(app, "turbo-train", args):
                sys.exit(code)
        sys.exit()
if wait:
    print("waiting: another process trains this variant", file=sys.stderr, flush=True)
    with exclusive(lock):
        pass
sys.exit(75)
"""
_BUSY = 75
"""The child's exit code when another process held the lock; EX_TEMPFAIL, none of ours."""
_NOT_COMPARED = frozenset({"name", "description", "save_every", "keep", "report_every", "track"})
"""Settings of a training run that change no number."""

_WHOLE = frozenset({"rewards.image", "rewards.video"})
"""Tables of settings whose keys are names; one name more is another setting."""

Say = Callable[[str], None]


class TrainingFailed(TurboError):  # noqa: N818 (names the event)
    """The trainer refused or failed; its own words stand above, its exit code is handed on."""

    def __init__(self, what: str, code: int, *, why: str = "", fix: str = "") -> None:
        super().__init__(what, why=why, fix=fix)
        self.exit_code = code  # type: ignore[misc]


@dataclass(frozen=True, slots=True)
class Training:
    """A student with everything that decides about it.

    Attributes:
        variant: The student.
        settings: Its training settings, every default filled in.
        run: Folder of its checkpoints.
        student: Folder that it is exported to.
    """

    variant: Variant
    settings: Mapping[str, Any]
    run: Path
    student: Path

    @property
    def steps(self) -> int:
        """Training steps asked for."""
        return int(self.settings["steps"])

    @property
    def clips(self) -> int:
        """Clips that it sees."""
        return self.steps * int(self.settings["batch_size"]) * int(self.settings["accumulate"])

    @property
    def rewards(self) -> dict[str, float]:
        """Name -> scale of the rewards in its loss; those of scale 0 do not count."""
        told = self.settings["rewards"]
        return {k: v for part in ("image", "video") for k, v in told[part].items() if v}

    @property
    def cost_key(self) -> tuple[Any, ...]:
        """Trainings of the same key take the same time a step."""
        told = self.settings
        keys = ("recipe", "teacher", "batch_size", "accumulate", "accelerator", "lora", "motion")
        frames = {k: v for k, v in told["rewards"].items() if k not in ("image", "video")}
        parts = [told[key] for key in keys], sorted(self.rewards), frames if self.rewards else {}
        return (json.dumps(parts, sort_keys=True),)


def resolve(students: Sequence[Variant], folder: Path) -> tuple[Training, ...]:
    """Ask the trainer for the complete settings of every student; nothing is trained.

    Args:
        students: The students.
        folder: The run folder that will hold them.

    Raises:
        TrainingFailed: It refuses a setting; it has said which and why.
        ConfigError: Two students are the same.
    """
    calls = [["show", v.config, *changes(v), "--json"] for v in students]
    found = ask(calls, lambda: "the trainer refuses a variant's settings")
    trainings = tuple(
        Training(v, settings, folder / "train" / v.folder, folder / "students" / v.folder)
        for v, settings in zip(students, found, strict=True)
    )
    seen: dict[str, str] = {}
    for each in trainings:
        key = json.dumps(_compared(each.settings), sort_keys=True)
        if key in seen:
            raise ConfigError(
                f"variants {seen[key]!r} and {each.variant.name!r} are the same training",
                why="all their settings agree",
                fix="drop one, or change what it is about",
            )
        seen[key] = each.variant.name
    return trainings


def plans(trainings: Iterable[Training]) -> list[dict[str, Any]]:
    """What `turbo-train run --dry-run --json` says of every training: parameters, memory, calls.

    Raises:
        TrainingFailed: It refuses one.
    """
    calls = [
        ["run", t.variant.config, *changes(t.variant), "--dry-run", "--json"] for t in trainings
    ]
    return ask(calls, lambda: "the trainer cannot plan a variant") if calls else []


def ask(calls: Sequence[Sequence[str]], what: Callable[[], str]) -> list[dict[str, Any]]:
    """Run commands of the trainer that print one JSON object each.

    Args:
        calls: Arguments of every command.
        what: Says what failed.

    Raises:
        TrainingFailed: A command failed.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8") as out:
        code = run_command([sys.executable, "-c", CALLS, json.dumps(calls)], stdout=out)
        if code:
            raise TrainingFailed(
                what(), code, why="see its own line above", fix="mend the ablation's settings"
            )
        out.seek(0)
        text = out.read()
    decoder, found, at = json.JSONDecoder(), [], 0
    while at < len(text.rstrip()):
        value, at = decoder.raw_decode(text, at)
        found.append(value)
        at += len(text[at:]) - len(text[at:].lstrip())
    return found


def is_finished(training: Training) -> bool:
    """Whether the exported student is the one that is asked for, by its manifest and its file.

    Raises:
        ConfigError: The folder holds a student of other settings or of another teacher.
    """
    if not (training.student / MANIFEST).is_file():
        return False
    manifest = read_manifest(training.student)
    record, name = manifest["training"], training.variant.name
    asked = _leaves(_compared(training.settings))
    there = _leaves(
        _compared({**record["config"], **_operational(training.run)}, steps=record["steps"])
    )
    # A setting that came later is not in an older manifest.
    different = [
        f"{key}: {there[key]} there, {value} now"
        for key, value in asked.items()
        if key in there and there[key] != value
    ]
    teacher = manifest["teacher"]
    if not different and teacher["fingerprint"] != _fingerprint(teacher["name"]):
        different = [f"the weights of {teacher['name']} have changed since"]
    if different:
        raise ConfigError(
            f"{training.student} holds another {name!r}",
            why="; ".join(different[:4]),
            fix="use the settings it was trained with, or another --run folder",
        )
    return all(
        (training.student / file).is_file() and file_sha256(training.student / file) == wanted
        for file, wanted in manifest["files"].items()
    )


def train_all(trainings: Sequence[Training], *, threads: int | None, device: str, say: Say) -> None:
    """Train what is not finished; what another process is training now is left to it.

    Several processes may do this in the same run folder at once, each takes another student.

    Raises:
        TrainingFailed: The trainer failed; its checkpoints stay.
        Interrupted: A signal came; its checkpoints stay.
    """
    missing = [t for t in trainings if not is_finished(t)]
    busy = [
        t
        for t in missing
        if not is_finished(t) and not train(t, threads=threads, device=device, say=say)
    ]
    for each in busy:
        # It is not finished when the other process has died; then it is taken over.
        while not is_finished(each):
            train(each, threads=threads, device=device, say=say, wait=True)


def train(
    training: Training, *, threads: int | None, device: str, say: Say, wait: bool = False
) -> bool:
    """Train a student, from its last checkpoint if there is one, and export it.

    Args:
        training: Which.
        threads: CPU threads; the trainer's own choice when None.
        device: The trainer's word for one.
        say: Told when it is done.
        wait: Where another process trains it, wait until that has ended.

    Returns:
        Whether it was trained here; False when another process was doing it.

    Raises:
        TrainingFailed: The trainer failed; its checkpoints stay.
        Interrupted: A signal came; its checkpoints stay.
    """
    variant = training.variant
    run = ["run", variant.config, *changes(variant), *how(threads, device)]
    run += ["--run", str(training.run)]
    export = ["export", str(training.run), f"--name={variant.name}", "--out", str(training.student)]
    lock = training.run.with_name(f"{training.run.name}.lock")
    patience = "wait" if wait else "skip"
    code = run_command(
        [sys.executable, "-c", _LOCKED, str(lock), patience, json.dumps([run, export])]
    )
    if code == _BUSY:
        return False
    if code:
        raise TrainingFailed(
            f"training of variant {variant.name!r} failed with exit code {code}",
            code,
            why="see its own line above",
            fix="remove the cause and type the same command again; finished variants are kept",
        )
    say(f"{variant.name}: trained and exported to {training.student}")
    return True


def changes(variant: Variant) -> list[str]:
    """The variant's settings as the trainer's options, with what is usual here in front."""
    # TensorBoard is an extra (losses go to log.jsonl in any case), and checkpoints of many students
    # fill a disk.
    usual = {"track": "none", "keep": "2"}
    told = [f"{key}={value}" for key, value in usual.items() if key not in variant.settings]
    return [word for text in (*told, *variant.changes) for word in ("--set", text)]


def how(threads: int | None, device: str) -> list[str]:
    """The trainer's options for the place of the work."""
    return ["--device", device, *(["--threads", str(threads)] if threads else [])]


def _compared(settings: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Settings that decide about numbers, absent ones left out at every level."""

    def without_none(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {k: without_none(v) for k, v in value.items() if v is not None}
        return value

    kept = {k: v for k, v in {**settings, **more}.items() if k not in _NOT_COMPARED}
    plain: dict[str, Any] = without_none(kept)
    return plain


def _leaves(settings: Mapping[str, Any], at: str = "") -> dict[str, Any]:
    """Settings by their full name; a table of names that users choose (rewards) stays whole."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        whole = f"{at}{key}"
        if isinstance(value, Mapping) and whole not in _WHOLE:
            found |= _leaves(value, f"{whole}.")
        else:
            found[whole] = value
    return found


def _operational(run: Path) -> dict[str, Any]:
    """The number format of a run, which its manifest does not tell; empty when it is gone."""
    return {k: v for k, v in read_object(run / "train.json").items() if k == "accelerator"}


def _fingerprint(teacher: str) -> str:
    try:
        return system_fingerprint(find_system(teacher))
    except TurboError as error:
        raise PrerequisiteError(
            f"the teacher {teacher} cannot be read", why=error.what, fix=error.fix
        ) from None


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object from a file; empty when there is none that can be read."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found

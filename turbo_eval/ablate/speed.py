"""How fast trainings are: by what they have recorded, or by two steps of a trial."""

import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from turbo_eval.ablate.trainer import CALLS, Training, TrainingFailed, changes, how, read_object
from turbo_eval.launch import run_command
from turbo_eval.models.student import MANIFEST


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast a training is: seconds a step, and seconds before its first step."""

    step: float
    start: float


def probe(training: Training, *, threads: int | None, device: str) -> Speed:
    """Train two steps of a variant in a folder of its own and measure them.

    Raises:
        TrainingFailed: The trainer failed.
    """
    few = ["steps=2", "save_every=2", f"data.pool={training.settings['batch_size']}"]
    if training.settings["data"]["kind"] != "mini":
        few.pop()
    variant = training.variant
    with tempfile.TemporaryDirectory(prefix="turbo-eval-probe-") as folder:
        words = ["run", variant.config, *changes(variant)]
        words += [word for text in few for word in ("--set", text)]
        words += [*how(threads, device), "--run", f"{folder}/run", "--json"]
        begun = time.monotonic()
        with tempfile.TemporaryFile("w+", encoding="utf-8") as out:
            code = run_command([sys.executable, "-c", CALLS, json.dumps([words])], stdout=out)
        whole = time.monotonic() - begun
        if code:
            raise TrainingFailed(
                f"two steps of variant {variant.name!r} failed with exit code {code}",
                code,
                why="see the trainer's own line above",
                fix="remove the cause; --no-measure leaves these steps out",
            )
        state = json.loads(Path(folder, "run", "checkpoint-000002", "state.json").read_text())
    seconds = float(state["seconds"])
    return Speed(seconds / 2, max(0.0, whole - seconds))


def progress_of(training: Training) -> tuple[int, float] | None:
    """Steps done and the seconds they took, by the student or the newest checkpoint; or None."""
    manifest = read_object(training.student / MANIFEST)
    if manifest:
        record = manifest["training"]
        return int(record["steps"]), float(record["seconds"])
    for path in sorted(training.run.glob("checkpoint-*/state.json"), reverse=True):
        state = read_object(path)
        if state and state.get("step"):
            return int(state["step"]), float(state["seconds"])
    return None

"""Where losses and rewards of a run go: always a JSON-lines file, and a tracker if wanted."""

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from turbo_eval.core.errors import PrerequisiteError

LOG = "log.jsonl"


class Tracker(Protocol):
    """Something that is told numbers."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Tell the values of a step."""
        ...

    def close(self) -> None:
        """Write what is still waiting."""
        ...


class JsonLines:
    """One line a report; lines of steps that a resumed run repeats are dropped first."""

    def __init__(self, path: Path, *, from_step: int) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = []
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    kept += [line] if json.loads(line)["step"] <= from_step else []
                except (ValueError, KeyError, TypeError):
                    continue  # the line that a killed run left half written
        path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Append a line."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")

    def close(self) -> None:
        """Nothing waits: every line is written at once."""


class TensorBoard:
    """TensorBoard event files."""

    def __init__(self, folder: Path, *, from_step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # Steps after the checkpoint are repeated, so their old values are purged.
        self._writer: Any = SummaryWriter(str(folder), purge_step=from_step + 1)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Write every value as a scalar."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Flush the event file."""
        self._writer.close()


class WandB:
    """Weights & Biases, where it is installed and logged in (or offline)."""

    def __init__(self, folder: Path, name: str, config: Mapping[str, Any]) -> None:
        try:
            wandb: Any = importlib.import_module("wandb")
        except ImportError:
            raise PrerequisiteError(
                "tracker wandb is not installed",
                fix="pip install wandb, or set track=tensorboard",
            ) from None
        self._run: Any = wandb.init(
            dir=str(folder), name=name, config=dict(config), id=name, resume="allow"
        )

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Send the values."""
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        """Finish the run."""
        self._run.finish()


def open_trackers(
    kind: str, folder: Path, *, name: str, config: Mapping[str, Any], from_step: int
) -> list[Tracker]:
    """The JSON-lines log and the tracker `kind`.

    Raises:
        PrerequisiteError: The tracker is not installed.
    """
    trackers: list[Tracker] = [JsonLines(folder / LOG, from_step=from_step)]
    if kind == "tensorboard":
        try:
            trackers.append(TensorBoard(folder / "tensorboard", from_step=from_step))
        except ImportError:
            raise PrerequisiteError(
                "tracker tensorboard is not installed",
                fix="pip install tensorboard, or set track=none",
            ) from None
    elif kind == "wandb":
        trackers.append(WandB(folder, name, config))
    return trackers

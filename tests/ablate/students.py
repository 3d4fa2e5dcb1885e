"""A trainer and students without networks, for tests of what surrounds them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests import fakes
from turbo_eval.ablate.trainer import Training
from turbo_eval.models import Frames, Sampler
from turbo_eval.models.student import FORMAT, MANIFEST, read_manifest

PRINT = "fingerprint-of-the-teacher"


def export(training: Training, *, steps: int | None = None) -> None:
    """Write the manifest of a finished student; its clips are drawn by `FakeStudent`."""
    settings = dict(training.settings)
    count = settings.pop("steps")
    manifest = {
        "format": FORMAT,
        "name": training.variant.name,
        "teacher": {"name": settings["teacher"], "fingerprint": PRINT},
        "rank": settings.get("lora", {}).get("rank", 8),
        "guidance_width": 256,
        "sampling": {"kind": "consistency", "original_steps": 50},
        "info": {"width": 32, "height": 32, "frames": 8, "fps": 8, "steps": 4, "guidance": 7.5},
        "training": {
            "config": settings,
            "steps": count if steps is None else steps,
            "clips": 8,
            "seconds": 4.0,
            "history": [{"step": 1.0, "loss": 0.5}],
        },
        "files": {},
    }
    training.student.mkdir(parents=True)
    (training.student / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


class FakeStudent(fakes.FakeModel):
    """Stands in for a student: noise, keyed by its name."""

    def __init__(self, folder: Path, **_: Any) -> None:
        super().__init__(read_manifest(folder)["name"])

    def generate(self, prompts: Sequence[str], seeds: Sequence[int], sampler: Sampler) -> Frames:
        # Each student draws other clips from the same seeds.
        shift = sum(self.name.encode())
        return super().generate(prompts, [seed + shift for seed in seeds], sampler)

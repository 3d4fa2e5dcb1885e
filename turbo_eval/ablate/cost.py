"""What an ablation will cost: training from measured steps, drawing from measured network calls."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from turbo_eval.ablate.grid import Row
from turbo_eval.ablate.speed import Speed, progress_of
from turbo_eval.ablate.trainer import Training
from turbo_eval.core.errors import TurboError
from turbo_eval.models.load import load, student_folder
from turbo_eval.models.protocol import Sampler
from turbo_eval.models.student import read_manifest

NOT_COUNTED = "drawing the training clips and encoding them once, judges, reward models, the report"
PROBE_CLIPS, PROBE_STEPS = 2, 2


@dataclass(frozen=True, slots=True)
class TrainingCost:
    """One student: what is left to do, and how long that takes if it is known.

    Attributes:
        name: Of the variant.
        steps: Steps asked for.
        left: Steps still to do; 0 for a finished student.
        seconds: Estimate; None when nothing was measured.
        basis: Where the estimate comes from.
    """

    name: str
    steps: int
    left: int
    seconds: float | None
    basis: str


@dataclass(frozen=True, slots=True)
class DrawingCost:
    """One row of the table: videos, network calls of each, seconds for all of them if known."""

    name: str
    videos: int
    calls: int
    seconds: float | None


def training_costs(
    trainings: Sequence[Training],
    finished: Mapping[str, bool],
    *,
    measure: Callable[[Training], Speed] | None,
) -> list[TrainingCost]:
    """Estimate the time of every training.

    A training of the same settings in this folder is the best witness; else two steps of the
    costliest missing variant are measured and taken for all of them, which is an upper bound.

    Args:
        trainings: All students.
        finished: Name -> whether its student is there.
        measure: Measures a training; None measures nothing.
    """
    known: dict[tuple[Any, ...], tuple[float | None, str]] = {}
    done: dict[str, int] = {}
    for each in trainings:
        record = progress_of(each)
        if record is not None and record[0]:
            steps, seconds = record
            done[each.variant.name] = steps
            told = f"{seconds / steps:.2f} s a step in {steps} steps of {each.variant.name}"
            known[each.cost_key] = (seconds / steps, told)
    missing = [t for t in trainings if not finished[t.variant.name]]
    unknown = [t for t in missing if t.cost_key not in known]
    speed: Speed | None = None
    told = "not measured"
    if unknown and measure is not None:
        dearest = max(unknown, key=_dearness)
        speed = measure(dearest)
        told = f"{speed.step:.2f} s a step, measured on 2 steps of {dearest.variant.name}"
    costs = []
    for each in trainings:
        name = each.variant.name
        if finished[name]:
            costs.append(TrainingCost(name, each.steps, 0, 0.0, "finished"))
            continue
        left = max(0, each.steps - done.get(name, 0))
        measured = speed.step if speed else None
        a_step, basis = known.get(each.cost_key, (measured, told))
        start = speed.start if speed else 0.0
        estimate = None if a_step is None else left * a_step + start
        costs.append(TrainingCost(name, each.steps, left, estimate, basis))
    return costs


def _dearness(training: Training) -> tuple[int, int, bool]:
    """Orders trainings by how long a step probably takes."""
    told = training.settings
    clips = int(told["batch_size"]) * int(told["accumulate"])
    chain = told["recipe"] in ("instructvideo", "draft")
    return clips * (int(told["chain"]["steps"]) if chain else 1), len(training.rewards), chain


def network_calls(
    row: Row, settings: Mapping[str, Any] | None = None, guidance: float | None = None
) -> int:
    """Network calls for one video: one a step for consistency models, two with guidance.

    Args:
        row: The row.
        settings: Training settings of its student, if it is one.
        guidance: Guidance scale that is used.

    Raises:
        UsageError: The row's model is unknown.
    """
    steps = row.steps
    if settings is not None:
        return (steps or 1) * (2 if settings["recipe"] in ("instructvideo", "draft") else 1)
    folder = student_folder(row.model)
    kind = read_manifest(folder)["sampling"]["kind"] if folder else None
    info = load(row.model).info
    scale = info.guidance if guidance is None else guidance
    twice = kind != "consistency" and scale > 1
    return (info.steps if steps is None else steps) * (2 if twice else 1)


def drawing_costs(
    table: Sequence[Row], calls: Mapping[str, int], videos: int, second: float | None
) -> list[DrawingCost]:
    """Estimate drawing from the seconds of one network call for one clip."""
    return [
        DrawingCost(
            row.name,
            videos,
            calls[row.name],
            None if second is None else videos * calls[row.name] * second,
        )
        for row in table
    ]


def second_of_a_call(model: str, device: str) -> float | None:
    """Seconds of one network call for one clip of a registered system; None if it cannot be had.

    Decoding is part of it, which makes it an upper bound for more steps.
    """
    try:
        system = load(model, device=device)
        sampler = Sampler(steps=PROBE_STEPS, guidance=system.info.guidance)
        texts, seeds = ["a clip"] * PROBE_CLIPS, list(range(PROBE_CLIPS))
        system.generate(texts, seeds, sampler)
        begun = time.perf_counter()
        system.generate(texts, seeds, sampler)
    except TurboError:
        return None
    calls = PROBE_STEPS * (2 if system.info.guidance > 1 else 1)
    return (time.perf_counter() - begun) / (PROBE_CLIPS * calls)


def total(costs: Sequence[TrainingCost | DrawingCost]) -> float | None:
    """Sum of the seconds; None when one is not known."""
    seconds = [cost.seconds for cost in costs]
    return None if None in seconds else sum(s for s in seconds if s is not None)

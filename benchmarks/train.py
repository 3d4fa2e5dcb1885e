"""Cost of a training step: recipes against each other, and against the authors' loop structure.

Usage: python benchmarks/train.py [--steps N] [--threads N]

Every number comes from one run on one machine; ratios are what counts. Memory is the peak of a
process of its own for each recipe, less that of a process that only loads teacher and student.
"""

import argparse
import json
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from turbo_train import config, setup, teachers
from turbo_train.data.batch import Batch
from turbo_train.distil import predict
from turbo_train.recipes.common import Losses, Parts, draw, get
from turbo_train.student import as_student, as_teacher

CONFIGS = ("mini-vcm", "mini-turbo", "mini-instructvideo", "mini-draft")
BATCH = 4


def authors_step(parts: Parts, batch: Batch, generator: torch.Generator) -> Losses:
    """VCM as the published program is built: no cached latents or texts, two teacher calls."""
    assert batch.pixels is not None
    latents = parts.teacher.encode(batch.pixels)
    inner = Batch(batch.captions, batch.keys, latents=latents)
    drawn = draw(parts, inner, generator)
    empty = parts.teacher.encode_text([""] * len(latents))
    run, student, teacher = parts.run, as_student(parts.network), as_teacher(parts.teacher.unet)
    prediction = predict(
        student, run, latents, drawn.noise, drawn.index, drawn.text, drawn.embedding
    )
    noisy, start = prediction.noisy.detach(), prediction.start
    with torch.no_grad():
        outputs = [teacher(noisy, start, text) for text in (drawn.text, empty)]
        x0 = [run.original(output, noisy, start) for output in outputs]
        eps = [run.noise(output, noisy, start) for output in outputs]
        w = drawn.w[:, None, None, None, None]
        previous = run.solver.step(
            x0[0] + w * (x0[0] - x0[1]), eps[0] + w * (eps[0] - eps[1]), drawn.index
        )
        end = run.end(drawn.index)
        target = run.original(
            student(previous.to(noisy.dtype), end, drawn.text, drawn.embedding), previous, end
        )
    return {"distillation": (prediction.original - target).square().mean()}


def measure(name: str, steps: int, threads: int, authors: bool) -> dict[str, float]:
    """Median seconds of a step (forward, backward, update) and the process's peak memory."""
    torch.set_num_threads(threads)
    settings = config.load(name, [f"batch_size={BATCH}", "track=none", "data.pool=64"])
    if settings.rewards.clips > 1:
        clips = settings.rewards.model_copy(update={"clips": BATCH})
        settings = settings.model_copy(update={"rewards": clips})
    teacher = teachers.load(settings.teacher)
    parts = setup.make_parts(settings, teacher, weights_dir=None, device="cpu")
    accelerator = setup.make_accelerator(settings, "cpu")
    weights = [p for p in parts.plain.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-5)
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with TemporaryDirectory() as folder:
        source = setup.make_source(settings, teacher, Path(folder) / "run")
        batches = [source.batch(k, BATCH) for k in range(steps + 1)]
    step: Callable[[Parts, Batch, torch.Generator], Losses] = get(settings.recipe)
    if authors:
        step = authors_step
        batches = [pixels(k) for k in range(steps + 1)]
    seconds = []
    for batch in batches:
        mark = time.perf_counter()
        with accelerator.autocast():
            losses = step(parts, batch, torch.Generator().manual_seed(0))
        torch.stack([loss.float() for loss in losses.values()]).sum().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        seconds.append(time.perf_counter() - mark)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": statistics.median(seconds[1:]), "mib": (peak - base) / 1024}


def pixels(number: int) -> Batch:
    """A batch as a video file would give it."""
    import numpy as np

    from turbo_train.world.stream import item

    items = [item(200, number * BATCH + k) for k in range(BATCH)]
    clips = torch.from_numpy(np.stack([entry.clip() for entry in items]))
    captions = tuple(entry.caption for entry in items)
    return Batch(captions=captions, keys=captions, pixels=clips)


def main() -> None:
    """Print the table as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    found: dict[str, Any] = {}
    for name, authors in [*((c, False) for c in CONFIGS), ("mini-vcm", True)]:
        with context.Pool(1) as pool:
            label = f"{name} as the authors build it" if authors else name
            found[label] = pool.apply(measure, (name, args.steps, args.threads, authors))
    vcm, turbo = found["mini-vcm"], found["mini-turbo"]
    ratios = {
        "turbo / vcm, seconds": turbo["seconds"] / vcm["seconds"],
        "turbo / vcm, memory": turbo["mib"] / vcm["mib"],
        "instructvideo / turbo, seconds": found["mini-instructvideo"]["seconds"] / turbo["seconds"],
        "draft / turbo, seconds": found["mini-draft"]["seconds"] / turbo["seconds"],
        "authors' structure / ours, seconds": found["mini-vcm as the authors build it"]["seconds"]
        / vcm["seconds"],
    }
    print(
        json.dumps(
            {
                "batch": BATCH,
                "steps": args.steps,
                "threads": args.threads,
                "runs": {k: {a: round(b, 3) for a, b in v.items()} for k, v in found.items()},
                "ratios": {k: round(v, 3) for k, v in ratios.items()},
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()

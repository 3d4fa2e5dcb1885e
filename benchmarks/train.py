"""Cost of a training step: recipes against each other, and against the authors' loop structure.

Usage: python benchmarks/train.py [--steps N] [--batch N] [--threads N] [--compile]

Every number comes from one run on one machine; ratios are what counts. Each recipe has a process of
its own. Memory is what its steps add at their peak to the networks that it holds.

The authors' structure is re-enacted with the same networks, LoRA and draws: pixels are encoded and
captions are read in every step, the teacher is called with and without caption one after the other,
the student's target goes through the adapters' branches, and its blocks are computed again in the
backward pass. Both are measured in turn on the same clips, and the difference of their losses in
float32 is told. benchmarks/flops.py counts the same at the published sizes.
"""

import argparse
import json
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from memory import peak_mib

from turbo_eval.models.lora import lora_parameters
from turbo_train import config, setup, teachers
from turbo_train.consistency import consistency_output, l2, pseudo_huber
from turbo_train.data.batch import Batch
from turbo_train.distil import predict
from turbo_train.recipes.common import Losses, Parts, draw, get
from turbo_train.student import as_student, as_teacher, train_mode

CONFIGS = ("mini-vcm", "mini-turbo", "mini-instructvideo", "mini-draft")
CHAINS = (5, 20)
"""Numbers of sampling steps between which the cost of a reward's path is compared."""

Step = Callable[[Parts, Batch, torch.Generator], Losses]


def authors_step(
    parts: Parts, batch: Batch, generator: torch.Generator, *, empty: torch.Tensor
) -> Losses:
    """VCM as the published program is built: no cached latents or texts, two teacher calls.

    Features of the empty caption [1, L, D] are given: the published program has them before, too.
    """
    assert batch.pixels is not None
    latents = parts.teacher.encode(batch.pixels)
    inner = Batch(batch.captions, batch.keys, latents=latents)
    drawn = draw(parts, inner, generator)
    empty = empty.expand(len(latents), -1, -1)
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
        output = student(previous.to(noisy.dtype), end, drawn.text, drawn.embedding)
        target = consistency_output(run.original(output, previous, end), previous, end)
    settings = parts.config.consistency
    if settings.loss == "l2":
        return {"distillation": l2(prediction.model_pred, target)}
    return {"distillation": pseudo_huber(prediction.model_pred, target, settings.huber_c)}


def prepare(name: str, batch: int, compiled: bool, more: Sequence[str]) -> tuple[Parts, Any, Any]:
    """Parts, accelerator and optimizer of a packaged configuration at this batch size."""
    settings = config.load(name, more)
    clips = min(batch, settings.rewards.clips)
    settings = settings.model_copy(
        update={
            "batch_size": batch,
            "rewards": settings.rewards.model_copy(update={"clips": clips}),
            "accelerator": settings.accelerator.model_copy(update={"compile": compiled}),
        }
    )
    teacher = teachers.load(settings.teacher)
    parts = setup.make_parts(settings, teacher, weights_dir=None, device="cpu")
    optimizer = torch.optim.AdamW(lora_parameters(parts.plain), lr=1e-5)
    return parts, setup.make_accelerator(settings, "cpu"), optimizer


def one_step(
    parts: Parts, accelerator: Any, optimizer: Any, step: Step, batch: Batch, number: int
) -> float:
    """Seconds of forward, backward and update."""
    torch.manual_seed(number)
    train_mode(parts.plain, parts.config.compat)
    mark = time.perf_counter()
    with accelerator.autocast():
        losses = step(parts, batch, torch.Generator().manual_seed(number))
    torch.stack([loss.float() for loss in losses.values()]).sum().backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return time.perf_counter() - mark


def measure(
    name: str, steps: int, batch: int, threads: int, compiled: bool, more: Sequence[str] = ()
) -> dict[str, float]:
    """Median seconds of a step and what its peak adds to the process's memory."""
    torch.set_num_threads(threads)
    parts, accelerator, optimizer = prepare(name, batch, compiled, more)
    batches = [cached(parts, pixels(k, batch)) for k in range(steps + 1)]
    base = peak_mib(reset=True)
    step = get(parts.config.recipe)
    seconds = [one_step(parts, accelerator, optimizer, step, b, k) for k, b in enumerate(batches)]
    return {"seconds": statistics.median(seconds[1:]), "mib": peak_mib() - base}


def against_authors(steps: int, batch: int, threads: int, compiled: bool) -> dict[str, float]:
    """The structures in turn, on the same clips and draws, with a LoRA of their own each.

    The authors' configuration always recomputes the student's blocks in the backward pass. Ours
    does so where memory is short; the mini world's configurations do not. Theirs without it is
    told, too.
    """
    torch.set_num_threads(threads)
    again = ("accelerator.gradient_checkpointing=true",)
    ours = prepare("mini-vcm", batch, compiled, ())
    theirs = partial(authors_step, empty=ours[0].teacher.encode_text([""]))
    sides: dict[str, tuple[Any, Step]] = {
        "ours": (ours, get("vcm")),
        "theirs": (prepare("mini-vcm", batch, False, again), theirs),
        "theirs, keeping": (prepare("mini-vcm", batch, False, ()), theirs),
    }
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    exact: dict[str, float] = {}
    for k in range(steps + 1):
        whole = pixels(k, batch)
        ready = cached(sides["ours"][0][0], whole)
        for side, (made, step) in sides.items():
            given = ready if side == "ours" else whole
            if k == 0:
                with torch.no_grad():
                    losses = step(made[0], given, torch.Generator().manual_seed(k))
                exact[side] = float(losses["distillation"])
            seconds[side].append(one_step(*made, step, given, k))
    found = {side: statistics.median(values[1:]) for side, values in seconds.items()}
    difference = abs(exact["ours"] - exact["theirs"]) / abs(exact["theirs"])
    return {**found, "loss in float32, relative difference": difference}


def pixels(number: int, count: int) -> Batch:
    """A batch as a video file would give it."""
    import numpy as np

    from turbo_train.world.stream import item

    items = [item(200, number * count + k) for k in range(count)]
    clips = torch.from_numpy(np.stack([entry.clip() for entry in items]))
    captions = tuple(entry.caption for entry in items)
    return Batch(captions=captions, keys=captions, pixels=clips)


def cached(parts: Parts, batch: Batch) -> Batch:
    """The same batch as training reads it: encoded before."""
    assert batch.pixels is not None
    return Batch(batch.captions, batch.keys, latents=parts.teacher.encode(batch.pixels))


def main() -> None:
    """Print the table as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--compile", action="store_true", help="compile our networks")
    args = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    common = (args.steps, args.batch, args.threads, args.compile)
    chains = {
        "turbo": ("mini-turbo", "consistency.solver_steps"),
        "instructvideo": ("mini-instructvideo", "chain.steps"),
        "draft": ("mini-draft", "chain.steps"),
    }
    found: dict[str, dict[str, float]] = {}

    def apart(function: Callable[..., dict[str, float]], *arguments: object) -> dict[str, float]:
        with context.Pool(1) as pool:
            result = pool.apply(function, arguments)
        print(arguments, result, file=sys.stderr, flush=True)
        return result

    for name in CONFIGS:
        found[name] = apart(measure, name, *common)
    for label, (name, key) in chains.items():
        for count in CHAINS:
            found[f"{label}, {count} sampling steps"] = apart(
                measure, name, *common, (f"{key}={count}",)
            )
    authors = apart(against_authors, *common)
    ratios = {}
    for above, below in (("turbo", "vcm"), ("instructvideo", "turbo"), ("draft", "turbo")):
        for unit, word in (("seconds", "seconds"), ("mib", "memory")):
            ratio = found[f"mini-{above}"][unit] / found[f"mini-{below}"][unit]
            ratios[f"{above} / {below}, {word}"] = ratio
    few, many = CHAINS
    for label in chains:
        ratios[f"{label}, {many} sampling steps / {few}, seconds"] = (
            found[f"{label}, {many} sampling steps"]["seconds"]
            / found[f"{label}, {few} sampling steps"]["seconds"]
        )
    for side, label in (("theirs", "recomputing"), ("theirs, keeping", "keeping")):
        ratios[f"authors' structure {label} / ours, seconds"] = authors[side] / authors["ours"]
    print(
        json.dumps(
            {
                "batch": args.batch,
                "steps": args.steps,
                "threads": args.threads,
                "compiled": args.compile,
                "runs": {k: {a: round(b, 3) for a, b in v.items()} for k, v in found.items()},
                "against the authors' structure": {k: round(v, 6) for k, v in authors.items()},
                "ratios": {k: round(v, 3) for k, v in ratios.items()},
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()

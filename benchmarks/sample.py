"""Cost of sampling: a 4-step student against its 50-step teacher, in one run.

Usage: python benchmarks/sample.py STUDENT [--clips N] [--repeats N] [--threads N]

STUDENT is a student's folder (`turbo-train export`) or a packaged name such as mini-turbo. Times
are medians of the repeats, teacher and student in turn.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from turbo_eval.models.load import load
from turbo_eval.models.protocol import Sampler
from turbo_eval.models.student import StudentTextToVideo, guidance_vector

PROMPT = "a red circle moving left on a beach"
CALLS = 20
STEPS = {"teacher": 50, "student": 4}


class Clock:
    """Seconds inside the networks of a pipeline, and evaluations of the UNet (one a clip)."""

    def __init__(self, pipeline: Any) -> None:
        self.seconds: dict[str, float] = {}
        self.evaluations = 0
        self._marks: dict[str, float] = {}
        parts = {"unet": pipeline.unet, "text": pipeline.text_encoder, "vae": pipeline.vae.decoder}
        for name, network in parts.items():
            network.register_forward_pre_hook(self._before(name))
            network.register_forward_hook(self._after(name))

    def reset(self) -> None:
        """Start again."""
        self.seconds, self.evaluations = {}, 0

    def _before(self, name: str) -> Any:
        def hook(_module: object, given: tuple[Any, ...]) -> None:
            if name == "unet":
                self.evaluations += len(given[0])
            self._marks[name] = time.perf_counter()

        return hook

    def _after(self, name: str) -> Any:
        def hook(*_: object) -> None:
            spent = time.perf_counter() - self._marks[name]
            self.seconds[name] = self.seconds.get(name, 0.0) + spent

        return hook


def draw(system: Any, clock: Clock, steps: int, clips: int) -> dict[str, float]:
    """Draw clips once: seconds in all, in each network, and between them."""
    clock.reset()
    sampler = Sampler(steps=steps, guidance=system.info.guidance)
    mark = time.perf_counter()
    system.generate([PROMPT] * clips, list(range(clips)), sampler)
    whole = time.perf_counter() - mark
    return {"all": whole, **clock.seconds, "between": whole - sum(clock.seconds.values())}


@torch.inference_mode()
def single_calls(teacher: Any, student: StudentTextToVideo) -> dict[str, float]:
    """Median seconds of one call on one clip, both networks in turn."""
    networks = {"teacher": teacher._load().unet, "student": student.pipeline().unet}
    unet = networks["student"]
    size, channels = unet.config.sample_size, unet.config.in_channels
    latents = torch.randn(1, channels, student.info.frames, size, size)
    text = torch.randn(1, 32, unet.config.cross_attention_dim)
    told: dict[str, Any] = {"teacher": {}, "student": {}}
    width = student.manifest["guidance_width"]
    if width is not None:
        told["student"] = {"timestep_cond": guidance_vector(student.info.guidance, width, 1)}
    seconds: dict[str, list[float]] = {name: [] for name in networks}
    for turn in range(CALLS + 2):
        for name, network in networks.items():
            mark = time.perf_counter()
            network(latents, torch.tensor([499]), text, **told[name])
            if turn >= 2:
                seconds[name].append(time.perf_counter() - mark)
    return {name: statistics.median(values) for name, values in seconds.items()}


def main() -> None:
    """Print the comparison as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("student")
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    student: Any = load(args.student)
    assert isinstance(student, StudentTextToVideo), "STUDENT is no student"
    name = student.manifest["teacher"]["name"]
    teacher: Any = load(name if not Path(name).is_dir() else "mini-teacher")
    calls = single_calls(teacher, student)
    systems = {"teacher": teacher, "student": student}
    clocks = {"teacher": Clock(teacher._load()), "student": Clock(student.pipeline())}
    runs: dict[str, list[dict[str, float]]] = {label: [] for label in systems}
    for turn in range(args.repeats + 1):
        for label, system in systems.items():
            # The first turn only warms up.
            steps = STEPS[label] if turn else 1
            drawn = draw(system, clocks[label], steps, args.clips)
            if turn:
                runs[label].append(drawn)
    found: dict[str, Any] = {"clips": args.clips, "repeats": args.repeats, "threads": args.threads}
    middle = {
        label: {key: statistics.median(run[key] for run in rows) for key in rows[0]}
        for label, rows in runs.items()
    }
    for label, clock in clocks.items():
        found[label] = {
            "steps": STEPS[label],
            "network evaluations a clip": clock.evaluations / args.clips,
            "seconds": {key: round(value, 4) for key, value in middle[label].items()},
            "seconds a call": round(calls[label], 5),
            "between the networks / in the unet": round(
                middle[label]["between"] / middle[label]["unet"], 4
            ),
        }
    one, two = middle["teacher"], middle["student"]
    found["ratios"] = {
        "network evaluations, teacher / student": clocks["teacher"].evaluations
        / clocks["student"].evaluations,
        "unet, teacher / student": round(one["unet"] / two["unet"], 2),
        "whole sampling, teacher / student": round(one["all"] / two["all"], 2),
        "one call, merged student / teacher": round(calls["student"] / calls["teacher"], 3),
    }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()

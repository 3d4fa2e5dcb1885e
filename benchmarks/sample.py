"""Cost of sampling: a 4-step student against its 50-step teacher, in one run.

Usage: python benchmarks/sample.py STUDENT [--clips N] [--threads N]

STUDENT is a student's folder (`turbo-train export`) or a packaged name such as mini-turbo.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch

from turbo_eval.models.load import load
from turbo_eval.models.protocol import Sampler
from turbo_eval.models.student import StudentTextToVideo, guidance_vector

PROMPT = "a red circle moving left on a beach"
REPEATS = 20


def counted(unet: Any) -> list[int]:
    """Counts network evaluations: one entry a call, worth the clips in it."""
    calls: list[int] = []
    unet.register_forward_pre_hook(lambda _m, args: calls.append(len(args[0])))
    return calls


def main() -> None:
    """Print the comparison as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("student")
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    student: Any = load(args.student)
    assert isinstance(student, StudentTextToVideo), "STUDENT is no student"
    name = student.manifest["teacher"]["name"]
    teacher: Any = load(name if not Path(name).is_dir() else "mini-teacher")
    prompts, seeds = [PROMPT] * args.clips, list(range(args.clips))
    found: dict[str, Any] = {"clips": args.clips, "threads": args.threads}
    for label, system, steps in (("teacher", teacher, 50), ("student", student, 4)):
        sampler = Sampler(steps=steps, guidance=system.info.guidance)
        system.generate(prompts[:1], seeds[:1], Sampler(steps=1, guidance=system.info.guidance))
        unet = (system.pipeline() if label == "student" else system._load()).unet
        calls = counted(unet)
        mark = time.perf_counter()
        system.generate(prompts, seeds, sampler)
        found[label] = {
            "steps": steps,
            "seconds": round(time.perf_counter() - mark, 3),
            "network evaluations a clip": sum(calls) / args.clips,
        }
        found[label]["seconds a call"] = single_call(unet, label == "student", student)
    found["ratios"] = {
        "network evaluations, teacher / student": found["teacher"]["network evaluations a clip"]
        / found["student"]["network evaluations a clip"],
        "whole sampling, teacher / student": round(
            found["teacher"]["seconds"] / found["student"]["seconds"], 2
        ),
        "one call, merged student / teacher": round(
            found["student"]["seconds a call"] / found["teacher"]["seconds a call"], 3
        ),
    }
    print(json.dumps(found, indent=1))


@torch.inference_mode()
def single_call(unet: Any, told: bool, student: StudentTextToVideo) -> float:
    """Fastest of some single calls on one clip, in seconds."""
    size, channels = unet.config.sample_size, unet.config.in_channels
    latents = torch.randn(1, channels, student.info.frames, size, size)
    text = torch.randn(1, 32, unet.config.cross_attention_dim)
    extra = {}
    if told:
        width = student.manifest["guidance_width"]
        extra = {"timestep_cond": guidance_vector(student.info.guidance, width, 1)}
    best = float("inf")
    for _ in range(REPEATS):
        mark = time.perf_counter()
        unet(latents, torch.tensor([499]), text, **extra)
        best = min(best, time.perf_counter() - mark)
    return round(best, 5)


if __name__ == "__main__":
    main()

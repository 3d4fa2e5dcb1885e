"""Cost of sampling at the published sizes: a 4-step student against its teacher, random weights.

Usage: python benchmarks/published.py [--teacher videocrafter2|modelscope] [--device cuda]
           [--dtype bfloat16] [--teacher-steps 50] [--repeats N]

Both systems draw one clip through the code that draws with real weights; only the reading of files
is left out. One UNet serves both (a student's merged network has the teacher's layers and one
small projection), as do text encoder and autoencoder. Times are medians of the repeats, both in
turn, after a turn of one step. With fewer teacher steps than 50, as a CPU asks for, what 50 would
take is reckoned from the time of one evaluation, and the output says so. On a GPU the peak of its
memory is shown, too.
"""

import argparse
import json
import logging
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from diffusers import DDIMScheduler
from flops import GUIDANCE_WIDTH, published_text, published_unet, published_vae
from torch import nn

from turbo_eval.models.latent_system import LatentTextToVideo
from turbo_eval.models.networks import Networks
from turbo_eval.models.noise import noise_alphas_cumprod
from turbo_eval.models.openclip_text import OpenClipWords
from turbo_eval.models.protocol import Sampler
from turbo_eval.models.published_systems import SYSTEMS
from turbo_eval.models.settings import Settings

PROMPT = "a red panda climbs a snowy tree"
STUDENTS = {"videocrafter2": "t2v-turbo-vc2", "modelscope": "t2v-turbo-ms"}
WHOLE = 50
"""Steps of a teacher in the papers."""


def build(teacher: str, device: str, dtype: torch.dtype) -> Networks:
    """The networks of a teacher and of its student in one, with random weights."""
    logging.disable(logging.WARNING)
    with torch.device("meta"):
        parts: list[Any] = [
            published_unet(teacher, time_cond_proj_dim=GUIDANCE_WIDTH),
            published_vae(),
            published_text(),
        ]
    torch.manual_seed(0)
    for number, part in enumerate(parts):
        parts[number] = part.to(dtype).to_empty(device=device).eval().requires_grad_(False)
        for tensor in (*parts[number].parameters(), *parts[number].buffers()):
            fill(tensor)
    unet, vae, text = parts
    betas = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    return Networks(
        unet=unet,
        vae=vae,
        text=text,
        tokenizer=OpenClipWords(77),
        scheduler=DDIMScheduler(**betas, clip_sample=False, set_alpha_to_one=False, steps_offset=1),
        rescale=0.7 if teacher == "videocrafter2" else None,
        prediction_type="epsilon",
        alphas_cumprod=noise_alphas_cumprod(),
    )


def fill(tensor: torch.Tensor) -> None:
    """Put in small random numbers, so that nothing overflows, or places, where they are whole."""
    count = tensor.numel()
    if not tensor.dtype.is_floating_point:
        tensor.copy_(torch.arange(count).view(tensor.shape))
        return
    # A drawn piece again and again: drawing all takes longer than what is timed.
    piece = torch.rand(1 << 16).sub(0.5).mul(0.04)
    tensor.copy_(piece.repeat(-(-count // len(piece)))[:count].view(tensor.shape))


class Clock:
    """Seconds inside each network, and evaluations of the UNet (one a clip)."""

    def __init__(self, networks: Networks, device: str) -> None:
        self.seconds: dict[str, float] = {}
        self.evaluations = 0
        self._device = device
        self._mark = 0.0
        named: dict[str, nn.Module] = {
            "unet": networks.unet, "vae": networks.vae.decoder, "text": networks.text
        }  # fmt: skip
        for name, network in named.items():
            network.register_forward_pre_hook(self._before)
            network.register_forward_hook(self._after(name))

    def now(self) -> float:
        """Seconds when all that was asked of the device is done."""
        if self._device != "cpu":
            torch.cuda.synchronize()
        return time.perf_counter()

    def _before(self, *_: object) -> None:
        self._mark = self.now()

    def _after(self, name: str) -> Any:
        def hook(_module: object, given: tuple[Any, ...], _out: object) -> None:
            self.seconds[name] = self.seconds.get(name, 0.0) + self.now() - self._mark
            if name == "unet":
                self.evaluations += len(given[0])

        return hook


def draw(system: LatentTextToVideo, clock: Clock, sampler: Sampler) -> dict[str, float]:
    """Draw one clip: seconds in all, in each network and between them, and evaluations."""
    clock.seconds, clock.evaluations = {}, 0
    begun = clock.now()
    system.generate([PROMPT], [0], sampler)
    whole = clock.now() - begun
    between = whole - sum(clock.seconds.values())
    return {"all": whole, **clock.seconds, "between": between, "evaluations": clock.evaluations}


def main() -> None:
    """Print the comparison as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--teacher", choices=sorted(STUDENTS), default="videocrafter2")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--teacher-steps", type=int, default=WHOLE)
    parser.add_argument("--repeats", type=int, default=1)
    args = parser.parse_args()
    with torch.inference_mode():
        networks = build(args.teacher, args.device, getattr(torch, args.dtype))
    clock = Clock(networks, args.device)
    steps = {"teacher": args.teacher_steps, "student": 4}
    drawn: dict[str, list[dict[str, float]]] = {label: [] for label in steps}
    systems = {}
    names = {"teacher": args.teacher, "student": STUDENTS[args.teacher]}
    for label, name in names.items():
        system = LatentTextToVideo(
            SYSTEMS[name], Path(), None, Settings(name, {}), device=args.device, dtype=args.dtype
        )
        system.__dict__["networks"] = networks
        systems[label] = system
    for turn in range(args.repeats + 1):
        for label, system in systems.items():
            guidance = SYSTEMS[names[label]].guidance
            # The first turn only warms up.
            sampler = Sampler(steps=steps[label] if turn else 1, guidance=guidance)
            one = draw(system, clock, sampler)
            if turn:
                drawn[label].append(one)
    middle = {
        label: {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        for label, runs in drawn.items()
    }
    teacher, student = middle["teacher"], middle["student"]
    rest = teacher["all"] - teacher["unet"] - teacher["between"]
    whole_unet = teacher["unet"] / args.teacher_steps * WHOLE
    whole = whole_unet + teacher["between"] / args.teacher_steps * WHOLE + rest
    found: dict[str, Any] = {
        "teacher": args.teacher, "device": args.device, "dtype": args.dtype,
        "threads": torch.get_num_threads(), "steps measured": steps, "repeats": args.repeats,
        "seconds": {k: {a: round(b, 3) for a, b in v.items()} for k, v in middle.items()},
        "seconds an evaluation": {
            k: round(v["unet"] / v["evaluations"], 3) for k, v in middle.items()
        },
        "between the networks / in the unet": {
            k: round(v["between"] / v["unet"], 5) for k, v in middle.items()
        },
        f"unet, teacher at {WHOLE} steps / student": round(whole_unet / student["unet"], 2),
        f"whole sampling, teacher at {WHOLE} steps / student": round(whole / student["all"], 2),
        "reckoned from fewer steps": args.teacher_steps != WHOLE,
        "text and decoding, share of the student's sampling": round(
            1 - (student["unet"] + student["between"]) / student["all"], 3
        ),
    }  # fmt: skip
    if args.device != "cpu":
        found["peak GiB"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()

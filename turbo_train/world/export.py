"""Write what the recipes trained into the folders that `turbo_eval` reads, with their cards."""

import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, TextToVideoSDPipeline, UNet3DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from turbo_eval.core.hashing import file_sha256
from turbo_eval.core.store import write_json_atomic
from turbo_eval.models.mini import CARD
from turbo_train.world.facts import FPS, FRAMES, SIZE
from turbo_train.world.fit import Progress
from turbo_train.world.teacher import BETA_END, BETA_START, TRAIN_STEPS

STEPS, GUIDANCE = 50, 5.0


def scheduler() -> DDIMScheduler:
    """The teacher's sampler: DDIM over ModelScope's schedule, for a v-predicting network."""
    return DDIMScheduler(
        num_train_timesteps=TRAIN_STEPS,
        beta_start=BETA_START,
        beta_end=BETA_END,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type="v_prediction",
    )


def _device_name(device: str) -> str:
    if device == "cpu":
        return f"CPU ({platform.machine()})"
    return torch.cuda.get_device_name(device)


def training_record(
    progress: Progress, *, data: str, seed: int, command: str, device: str = "cpu", **extra: object
) -> dict[str, Any]:
    """What a card says about one training run: data, steps, seed, command, device, time, curve."""
    curve = progress.losses
    every = max(1, len(curve) // 60)
    return {
        "data": data,
        "steps": progress.step,
        "seed": seed,
        "command": command,
        "device": f"{_device_name(device)}, torch {torch.__version__}",
        "seconds": round(progress.seconds, 1),
        "loss": curve[::every] + (curve[-1:] if (len(curve) - 1) % every else []),
        **extra,
    }


def _half(folder: Path) -> None:
    """Store every safetensors file of `folder` in float16: half the size, read back to float32."""
    from safetensors.torch import load_file, save_file

    for path in sorted(folder.rglob("*.safetensors")):
        tensors = {name: value.half().contiguous() for name, value in load_file(path).items()}
        save_file(tensors, path, metadata={"format": "pt"})


def forget_paths(folder: Path) -> None:
    """Take out of the configurations where the networks lay on the machine that trained them."""
    for path in sorted(folder.rglob("config.json")):
        config = json.loads(path.read_text(encoding="utf-8"))
        if config.pop("_name_or_path", None) is not None:
            write_json_atomic(path, config)


def export_teacher(
    folder: Path,
    *,
    vae: AutoencoderKL,
    tokenizer: CLIPTokenizer,
    encoder: CLIPTextModel,
    unet: UNet3DConditionModel,
    training: Mapping[str, Any],
    measured: Mapping[str, Any],
) -> dict[str, Any]:
    """Write the teacher as a diffusers pipeline in float16 plus `card.json`; returns the card."""
    folder.mkdir(parents=True, exist_ok=True)
    pipeline = TextToVideoSDPipeline(
        vae=vae, text_encoder=encoder, tokenizer=tokenizer, unet=unet, scheduler=scheduler()
    )
    pipeline.save_pretrained(folder)
    _half(folder)
    forget_paths(folder)
    files = {
        path.relative_to(folder).as_posix(): file_sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != CARD
    }
    card = {
        "name": "mini-teacher",
        "description": (
            "Text-to-video latent diffusion model of the synthetic mini world: ModelScope's "
            "pipeline class with small networks, trained from nothing."
        ),
        "info": {
            "width": SIZE,
            "height": SIZE,
            "frames": FRAMES,
            "fps": FPS,
            "steps": STEPS,
            "guidance": GUIDANCE,
            "licence": "Apache-2.0",
        },
        "parameters": {
            name: sum(p.numel() for p in module.parameters())
            for name, module in (("vae", vae), ("text_encoder", encoder), ("unet", unet))
        },
        "training": dict(training),
        "measured": dict(measured),
        "files": files,
    }
    write_json_atomic(folder / CARD, json.loads(json.dumps(card)))
    return card

"""The mini world from nothing: autoencoder, text encoder, teacher, each in its own folder.

A recipe that is run again resumes, or, when it is finished, only loads what it made. The defaults
are the settings of the shipped weights.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet3DConditionModel
from torch import distributed as dist
from transformers import CLIPTextModel, CLIPTokenizer

from turbo_eval.core.errors import PrerequisiteError
from turbo_eval.core.store import write_json_atomic
from turbo_train.world import teacher, text, vae
from turbo_train.world.export import export_teacher, training_record
from turbo_train.world.fit import rank

Say = Callable[[str], None]

VAE_STEPS, VAE_SEED = 6000, 1
DECODER_STEPS, DECODER_SEED = 5000, 4
TEXT_STEPS, TEXT_SEED = 700, 2
TEACHER = teacher.Settings(
    pool=12_000, image_steps=10_000, mixed_steps=1600, video_steps=4700, seed=3
)
RECORD = "record.json"


def _need(folder: Path, command: str) -> Path:
    if not (folder / RECORD).is_file():
        raise PrerequisiteError(
            f"{folder} holds nothing finished",
            why="an earlier recipe of the mini world has not run to its end",
            fix=f"type `turbo-train world {command}` with the same --folder",
        )
    return folder


def run_vae(
    folder: Path, *, steps: int = VAE_STEPS, seed: int = VAE_SEED, device: str = "cpu", say: Say
) -> None:
    """Train the autoencoder into `folder`/vae."""
    target = folder / "vae"
    model, progress = vae.train(target, steps=steps, seed=seed, device=device, say=say)
    measured = vae.measure(model)
    say(json.dumps(measured))
    model.save_pretrained(target / "model")
    record = training_record(
        progress,
        device=device,
        data="frames of the mini world's stream, held-out combinations left out",
        seed=seed,
        command=f"turbo-train world vae --steps {steps} --seed {seed}",
        measured=measured,
    )
    write_json_atomic(target / RECORD, record)


def run_text(
    folder: Path, *, steps: int = TEXT_STEPS, seed: int = TEXT_SEED, device: str = "cpu", say: Say
) -> None:
    """Train the tokenizer and the text encoder into `folder`/text."""
    target = folder / "text"
    tokenizer, encoder, measured, progress = text.train(
        target, steps=steps, seed=seed, device=device, say=say
    )
    say(json.dumps(measured))
    tokenizer.save_pretrained(target / "tokenizer")
    encoder.save_pretrained(target / "model")
    record = training_record(
        progress,
        device=device,
        data="captions of the mini world's stream",
        seed=seed,
        command=f"turbo-train world text --steps {steps} --seed {seed}",
        measured=measured,
    )
    write_json_atomic(target / RECORD, record)


def run_decoder(
    folder: Path,
    *,
    steps: int = DECODER_STEPS,
    seed: int = DECODER_SEED,
    device: str = "cpu",
    say: Say,
) -> None:
    """Train the decoder further, for the latents of `folder`/vae, into `folder`/decoder."""
    target = folder / "decoder"
    model = AutoencoderKL.from_pretrained(_need(folder / "vae", "vae") / "model").to(device)
    progress = vae.polish(model, target, steps=steps, seed=seed, say=say)
    measured = vae.measure(model)
    say(json.dumps(measured))
    model.save_pretrained(target / "model")
    record = training_record(
        progress,
        device=device,
        data="frames of the mini world's stream; encoder frozen",
        seed=seed,
        command=f"turbo-train world decoder --steps {steps} --seed {seed}",
        measured=measured,
    )
    write_json_atomic(target / RECORD, record)


def load_vae(folder: Path) -> AutoencoderKL:
    """The finished autoencoder of `folder`, with the polished decoder if there is one."""
    source = _need(folder / "vae", "vae")
    if (folder / "decoder" / RECORD).is_file():
        source = folder / "decoder"
    model = AutoencoderKL.from_pretrained(source / "model")
    return model.eval()


def load_text(folder: Path) -> tuple[CLIPTokenizer, CLIPTextModel]:
    """The finished tokenizer and text encoder of `folder`."""
    source = _need(folder / "text", "text")
    tokenizer = CLIPTokenizer.from_pretrained(source / "tokenizer")
    return tokenizer, CLIPTextModel.from_pretrained(source / "model").eval()


def run_teacher(
    folder: Path, *, settings: teacher.Settings = TEACHER, device: str = "cpu", say: Say
) -> None:
    """Train the teacher into `folder`/teacher; needs the autoencoder and the text encoder."""
    target = folder / "teacher"
    if "RANK" in os.environ and not dist.is_initialized():
        dist.init_process_group("gloo")
    tokenizer, encoder = load_text(folder)
    unet, progress = teacher.train(
        target, load_vae(folder).to(device), tokenizer, encoder.to(device), settings, say=say
    )
    if rank():
        return
    unet.save_pretrained(target / "model")
    record = training_record(
        progress,
        device=device,
        data=(
            f"{settings.pool} clips of the mini world's stream, a fresh caption every time; "
            f"{settings.image_steps} steps of {teacher.IMAGES} single frames, then "
            f"{settings.mixed_steps} steps of {teacher.CLIPS} clips, every "
            f"{teacher.STILL_EVERY}th of them on single frames again, then "
            f"{settings.video_steps} steps of clips alone"
        ),
        seed=settings.seed,
        command=(
            f"turbo-train world teacher --image-steps {settings.image_steps} "
            f"--mixed-steps {settings.mixed_steps} --video-steps {settings.video_steps} "
            f"--pool {settings.pool} --seed {settings.seed}"
        ),
    )
    write_json_atomic(target / RECORD, record)


def run_export(folder: Path, out: Path, *, measured: dict[str, Any] | None = None) -> None:
    """Write the finished recipes of `folder` as a packaged system into `out`."""
    tokenizer, encoder = load_text(folder)
    source = _need(folder / "teacher", "teacher")
    records = {
        part: json.loads((folder / part / RECORD).read_text(encoding="utf-8"))
        for part in ("vae", "decoder", "text", "teacher")
        if (folder / part / RECORD).is_file()
    }
    export_teacher(
        out,
        vae=load_vae(folder),
        tokenizer=tokenizer,
        encoder=encoder,
        unet=UNet3DConditionModel.from_pretrained(source / "model"),
        training=records,
        measured=measured or {},
    )


def thread_count(threads: int | None) -> None:
    """Use `threads` cores for tensor arithmetic (all when None)."""
    if threads:
        torch.set_num_threads(threads)

"""From a training run to something that can be used: a student's folder, or a plain pipeline."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from diffusers import LCMScheduler, TextToVideoSDPipeline
from safetensors.torch import save
from transformers import PreTrainedTokenizerBase

from turbo_eval.core.errors import ConfigError, InputError, UsageError, from_os_error
from turbo_eval.core.hashing import file_sha256
from turbo_eval.core.store import write_bytes_atomic, write_json_atomic
from turbo_eval.models.guidance import GUIDANCE_DIM
from turbo_eval.models.student import (
    FORMAT,
    LORA,
    MANIFEST,
    StudentTextToVideo,
    guidance_vector,
)
from turbo_train import checkpoint, config, teachers
from turbo_train.config import TrainConfig
from turbo_train.loop import RUN
from turbo_train.student import embedding_width

STEPS, GUIDANCE = 4, 7.5


def read_run(folder: Path) -> TrainConfig:
    """The settings of a run.

    Raises:
        UsageError: The folder is no training run.
    """
    path = folder / RUN
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UsageError(
            f"{folder} is no training run",
            why=f"it holds no readable {RUN}",
            fix="give the folder of `turbo-train run`",
        ) from None
    return config.check(values, source=str(path))


def sampling_of(settings: TrainConfig) -> dict[str, Any]:
    """How a student of this run is sampled."""
    if embedding_width(settings.recipe) is None:
        return {"kind": "ddim"}
    sampling: dict[str, Any] = {
        "kind": "consistency",
        "original_steps": settings.consistency.solver_steps,
    }
    if settings.recipe == "turbo_v2":
        sampling["motion"] = settings.motion.model_dump()
    return sampling


def export_student(
    run: Path,
    out: Path,
    *,
    name: str = "",
    step: int | None = None,
    guidance: float | None = None,
    half: bool = False,
    weights_dir: Path | None = None,
) -> dict[str, Any]:
    """Write the student of a run as a folder that `turbo-eval --model PATH` draws from.

    Args:
        run: Folder of `turbo-train run`.
        out: Where the student goes; made if needed.
        name: What reports call it; the configuration's name when empty.
        step: Which checkpoint; the newest when None.
        guidance: Its native guidance scale; when None the usual 7.5, or the end of the trained
            range that is nearest to it.
        half: Store the LoRA in float16.
        weights_dir: Where the teacher lies.

    Returns:
        The manifest.

    Raises:
        UsageError: No run, or no such checkpoint.
        InputError: The checkpoint is broken.
    """
    settings = read_run(run)
    steps = checkpoint.list_steps(run)
    chosen = steps[-1] if step is None and steps else step
    if chosen is None or chosen not in steps:
        known = ", ".join(map(str, steps)) or "none"
        raise UsageError(f"no checkpoint {chosen} in {run}", fix=f"there are: {known}")
    loaded = checkpoint.load(checkpoint.path_of(run, chosen), None)
    teacher = teachers.load(settings.teacher, weights_dir=weights_dir)
    sampling = sampling_of(settings)
    few = sampling["kind"] == "consistency"
    if guidance is None:
        spread = settings.consistency
        usual = min(max(GUIDANCE, spread.w_min), spread.w_max)
        guidance = usual if few else settings.chain.guidance
    record = {
        "config": config.frozen(settings),
        "steps": loaded.progress.step,
        "clips": loaded.progress.position * settings.batch_size,
        "seconds": round(loaded.progress.seconds, 1),
        "skipped": loaded.progress.skipped,
        "history": _thin(loaded.progress.history),
        "torch": torch.__version__,
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        lora = {k: (v.half() if half else v).contiguous() for k, v in loaded.lora.items()}
        write_bytes_atomic(out / LORA, save(lora))
        manifest = {
            "format": FORMAT,
            "name": name or settings.name,
            "description": settings.description,
            "recipe": settings.recipe,
            "teacher": {"name": settings.teacher, "fingerprint": teacher.fingerprint},
            "rank": settings.lora.rank,
            "guidance_width": embedding_width(settings.recipe),
            "sampling": sampling,
            "info": {
                "width": teacher.width,
                "height": teacher.height,
                "frames": teacher.frames,
                "fps": teacher.fps,
                "steps": STEPS if few else 50,
                "guidance": guidance,
                "licence": "Apache-2.0" if settings.teacher == "mini-teacher" else "the teacher's",
            },
            "training": record,
            "files": {LORA: file_sha256(out / LORA)},
        }
        write_json_atomic(out / MANIFEST, manifest)
    except OSError as error:
        raise from_os_error(error, out) from None
    return manifest


def _thin(history: list[dict[str, float]], most: int = 60) -> list[dict[str, float]]:
    every = max(1, -(-len(history) // most))
    return [{k: round(v, 6) for k, v in entry.items()} for entry in history[::every]]


def export_pipeline(
    student: Path, out: Path, *, guidance: float | None = None, weights_dir: Path | None = None
) -> None:
    """Write a student as a diffusers pipeline that needs nothing of this project.

    The LoRA is merged. The guidance scale is fixed: its projection is a constant vector before the
    time MLP, which is added to the first bias, so that the network is a plain UNet again. The
    scheduler is diffusers' LCMScheduler, whose last step returns clean latents; it picks other
    timesteps than T2V-Turbo's for some numbers of steps (999, 759, 499, 259 for 4).

    Args:
        student: A student's folder.
        out: Where the pipeline goes.
        guidance: The scale that is built in; the student's own when None.
        weights_dir: Where the teacher lies.

    Raises:
        ConfigError: The student samples with its teacher's sampler, or is a v2 student (whose
            guidance changes along the way).
    """
    system = StudentTextToVideo(student, weights_dir=weights_dir)
    sampling, width = system.manifest["sampling"], system.manifest["guidance_width"]
    if sampling["kind"] != "consistency" or width != GUIDANCE_DIM:
        raise ConfigError(
            f"{student} cannot become a plain pipeline",
            why="it is no consistency model with one fixed guidance scale",
            fix="use its folder with turbo-eval",
        )
    pipeline = system.pipeline()
    if not isinstance(pipeline.tokenizer, PreTrainedTokenizerBase):
        raise ConfigError(
            f"{student} cannot become a plain pipeline",
            why="diffusers alone has no network that is told a frame rate, as VideoCrafter2's is",
            fix="use its folder with turbo-eval",
        )
    scale = system.info.guidance if guidance is None else guidance
    build_in_guidance(pipeline.unet, scale)
    plain = TextToVideoSDPipeline(
        vae=pipeline.vae,
        text_encoder=pipeline.text_encoder,
        tokenizer=pipeline.tokenizer,
        unet=pipeline.unet,
        scheduler=lcm_scheduler(
            str(pipeline.scheduler.config.prediction_type), sampling["original_steps"]
        ),
    )
    temporary = out.with_name(f".{out.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    plain.save_pretrained(temporary)
    if out.exists():
        raise InputError(f"{out} exists", fix="choose another --out, or delete it")
    temporary.rename(out)


def lcm_scheduler(prediction_type: str, original_steps: int) -> LCMScheduler:
    """The scheduler of diffusers for consistency models, over the teachers' noise schedule."""
    return LCMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        original_inference_steps=original_steps,
        clip_sample=False,
        set_alpha_to_one=False,
        timestep_scaling=10.0,
        prediction_type=prediction_type,
    )


@torch.no_grad()
def build_in_guidance(unet: Any, guidance: float) -> None:
    """Fix the guidance scale of a student's network, in place: it is a plain UNet afterwards."""
    embedding = unet.time_embedding
    told = guidance_vector(guidance, GUIDANCE_DIM, 1).to(embedding.cond_proj.weight)
    shift = embedding.linear_1.weight @ (embedding.cond_proj.weight @ told[0])
    embedding.linear_1.bias += shift
    embedding.cond_proj = None
    unet.register_to_config(time_cond_proj_dim=None)

"""A distilled student: a teacher's pipeline, a LoRA, and how to sample from it.

A student's folder holds `student.json` (what it was distilled from, how, and how it is sampled) and
`lora.safetensors`. The teacher's weights are not repeated; their fingerprint is checked.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from turbo_eval.core.errors import ConfigError, PrerequisiteError, UsageError
from turbo_eval.core.hashing import blake
from turbo_eval.models.clip_settings import CLIP, NEGATIVE, asked, clip_content, negative_prompt
from turbo_eval.models.mini import check_files
from turbo_eval.models.pixels import pixels_of
from turbo_eval.models.protocol import Frames, ModelInfo, Sampler
from turbo_eval.models.running import RUNNING, content, place
from turbo_eval.models.settings import Settings
from turbo_eval.models.systems import find_system, system_fingerprint

MANIFEST = "student.json"
LORA = "lora.safetensors"
FORMAT = "turbo-eval student, version 1"
WEIGHTS = Path(__file__).resolve().parent.parent / "_weights"
MAX_STEPS = 50
_NEEDED = ("name", "teacher", "rank", "guidance_width", "sampling", "info", "files")
SETTINGS = (*CLIP, *RUNNING)
"""Settings of a few-step student; guidance is told to it, so there is no negative prompt."""


def known_settings(name: str) -> tuple[str, ...]:
    """The settings of a student that is shipped with the package."""
    return settings_of(read_manifest(WEIGHTS / name))


def settings_of(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """The settings of a student with this manifest."""
    few_steps = manifest["sampling"]["kind"] == "consistency"
    return SETTINGS if few_steps else (*SETTINGS, NEGATIVE)


def load_packaged(
    name: str, values: Mapping[str, str], *, weights_dir: Path | None, device: str, dtype: str
) -> "StudentTextToVideo":
    """Open a student that is shipped with the package, such as `mini-turbo`.

    Raises:
        PrerequisiteError: There is none of this name.
        UsageError: A setting is unknown.
    """
    folder = WEIGHTS / name
    return StudentTextToVideo(
        folder,
        name=name,
        settings=Settings(name, values),
        weights_dir=weights_dir,
        device=device,
        dtype=dtype,
    )


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a student.

    Raises:
        PrerequisiteError: There is none, it cannot be read, or it is of another version.
    """
    path = folder / MANIFEST
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        manifest: dict[str, Any] = found if isinstance(found, dict) else {}
    except (OSError, ValueError) as error:
        raise PrerequisiteError(
            f"no student in {folder}",
            why=f"{MANIFEST} cannot be read ({error})",
            fix="export one with `turbo-train export RUN`",
        ) from None
    if manifest.get("format") != FORMAT:
        raise PrerequisiteError(
            f"student {folder} has format {manifest.get('format')!r}",
            why=f"this version reads {FORMAT!r}",
            fix="export it again",
        )
    if lacking := [key for key in _NEEDED if key not in manifest]:
        raise PrerequisiteError(
            f"student {folder} cannot be used",
            why=f"its {MANIFEST} lacks {', '.join(lacking)}",
            fix="export it again",
        )
    return manifest


def guidance_vector(guidance: float, width: int, count: int, motion: float = 0.0) -> Any:
    """What the student is told about guidance: float32 [count, width].

    With twice the usual width the second half tells the motion guidance scale (v2).
    """
    import torch

    from turbo_eval.models.guidance import GUIDANCE_DIM
    from turbo_eval.models.noise import guidance_embedding

    told = guidance_embedding(torch.full((count,), guidance), GUIDANCE_DIM)
    if width == 2 * GUIDANCE_DIM:
        told = torch.cat([told, guidance_embedding(torch.full((count,), motion), GUIDANCE_DIM)], 1)
    return told


class StudentTextToVideo:
    """A student that was distilled here, of any teacher that can be (see `TextToVideo`)."""

    def __init__(
        self,
        folder: Path,
        *,
        name: str = "",
        settings: Settings | None = None,
        weights_dir: Path | None = None,
        device: str = "cpu",
        dtype: str = "float32",
    ) -> None:
        self._folder, self._device, self._dtype = folder, device, dtype
        self._manifest = read_manifest(folder)
        self._settings = (settings or Settings(str(folder), {})).only(settings_of(self._manifest))
        self._base = find_system(self._manifest["teacher"]["name"], weights_dir)
        facts = self._manifest["info"]
        own = ModelInfo(
            name=name or self._manifest["name"],
            width=facts["width"],
            height=facts["height"],
            frames=facts["frames"],
            fps=facts["fps"],
            steps=facts["steps"],
            guidance=facts["guidance"],
            weights=dict(self._manifest["files"]),
            licence=facts["licence"],
        )
        self._info = asked(own, self._settings)
        self._pipeline: Any = None

    @property
    def info(self) -> ModelInfo:
        """Facts of the student, from its manifest."""
        return self._info

    @property
    def manifest(self) -> Mapping[str, Any]:
        """The whole manifest."""
        return self._manifest

    def fingerprint(self) -> str:
        """Content key of LoRA, teacher, sampling and number format."""
        files = sorted(self._info.weights.items())
        teacher = self._manifest["teacher"]["fingerprint"]
        sampling = self._manifest["sampling"]
        more = content(self._settings) | clip_content(self._settings)
        key = [self._info.name, files, teacher, sampling, self._dtype, *([more] if more else [])]
        return blake(json.dumps(key).encode())

    def pipeline(self) -> Any:
        """The teacher's pipeline with the student's merged network in it; read once.

        Raises:
            PrerequisiteError: A file is missing or changed.
            ConfigError: The teacher is not the one that the student was distilled from.
        """
        if self._pipeline is not None:
            return self._pipeline
        check_files(self._folder, self._info.weights)
        wanted = self._manifest["teacher"]["fingerprint"]
        if system_fingerprint(self._base) != wanted:
            raise ConfigError(
                f"student {self._info.name} does not fit the teacher in {self._base}",
                why="it was distilled from other weights",
                fix="use the teacher it was distilled from, or distil it again",
            )
        import torch
        from safetensors.torch import load_file

        from turbo_eval.models.guidance import add_guidance_projection
        from turbo_eval.models.lora import add_lora, load_named_lora, without_adapters
        from turbo_eval.models.networks import open_pipeline
        from turbo_eval.models.videocrafter import tell_frame_rate

        pipeline: Any = open_pipeline(self._base)
        width = self._manifest["guidance_width"]
        if width is not None:
            add_guidance_projection(pipeline.unet, width)
        add_lora(pipeline.unet, self._manifest["rank"])
        load_named_lora(pipeline.unet, load_file(self._folder / LORA))
        without_adapters(pipeline.unet)
        if "fps" in self._settings.values:
            tell_frame_rate(pipeline.unet, max(1, round(self._info.fps)))
        dtype = getattr(torch, self._dtype)
        self._pipeline = place(pipeline, self._settings, device=self._device, dtype=dtype)
        return self._pipeline

    def generate(self, prompts: Sequence[str], seeds: Sequence[int], sampler: Sampler) -> Frames:
        """Draw one clip per (prompt, seed): uint8 [B, T, H, W, 3]; see `TextToVideo.generate`.

        Raises:
            UsageError: More steps than the student was distilled over; a negative prompt without
                guidance.
            InputError: The network gave numbers that are not finite.
        """
        import torch

        kind = self._manifest["sampling"]["kind"]
        most = self._manifest["sampling"].get("original_steps", MAX_STEPS)
        if kind == "consistency" and sampler.steps > most:
            raise UsageError(
                f"{sampler.steps} steps with {self._info.name}",
                why=f"it was distilled over {most} solver steps",
                fix=f"choose --steps 1 to {most}",
            )
        with torch.inference_mode():
            if kind == "consistency":
                latents = self._few_steps(prompts, seeds, sampler)
                pipeline = self.pipeline()
                video = pipeline.decode_latents(latents)
                frames = pipeline.video_processor.postprocess_video(video, output_type="np")
            else:
                frames = self._many_steps(prompts, seeds, sampler)
        return pixels_of(frames, self._info.name, self._dtype)

    def _noise(self, generators: Sequence[Any]) -> Any:
        """Standard normal latents, one clip a generator, on the CPU."""
        import torch

        unet = self.pipeline().unet
        size, info = unet.config.sample_size, self._info
        scale = self.pipeline().vae_scale_factor
        height = info.height // scale if info.height else size
        width = info.width // scale if info.width else size
        shape = (1, unet.config.in_channels, info.frames, height, width)
        return torch.cat([torch.randn(shape, generator=one) for one in generators])

    def _few_steps(self, prompts: Sequence[str], seeds: Sequence[int], sampler: Sampler) -> Any:
        """Clean latents by multistep consistency sampling; every draw belongs to one seed."""
        import torch

        from turbo_eval.models.scheduler import ConsistencyScheduler

        pipeline, device = self.pipeline(), self._device
        dtype = getattr(torch, self._dtype)
        sampling = self._manifest["sampling"]
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        latents = self._noise(generators).to(device)
        scheduler = ConsistencyScheduler(
            prediction_type=str(pipeline.scheduler.config.prediction_type),
            original_inference_steps=sampling["original_steps"],
        )
        scheduler.set_timesteps(sampler.steps)
        text = pipeline.encode_prompt(list(prompts), device, 1, False)[0].to(dtype)
        motion = sampling.get("motion") or {"scale": 0.0, "percentage": 0.0}
        denoised = latents
        for t in scheduler.timesteps.tolist():
            on = t >= 1000 * (1 - motion["percentage"])
            told = guidance_vector(
                sampler.guidance,
                self._manifest["guidance_width"],
                len(seeds),
                motion["scale"] if on else 0.0,
            )
            output = pipeline.unet(
                latents.to(dtype),
                torch.full((len(seeds),), t, device=device),
                text,
                timestep_cond=told.to(device, dtype),
            ).sample
            fresh = self._noise(generators).to(device)
            result = scheduler.step(output.float(), t, latents, fresh)
            latents, denoised = result.prev_sample, result.denoised
        return denoised.to(dtype)

    def _many_steps(self, prompts: Sequence[str], seeds: Sequence[int], sampler: Sampler) -> Any:
        """Frames by the teacher's own sampler with guidance (reward baselines)."""
        import torch

        negative = negative_prompt(self._settings, guided=sampler.guidance > 1)
        pipeline = self.pipeline()
        noise = self._noise([torch.Generator().manual_seed(seed) for seed in seeds])
        return pipeline(
            prompt=list(prompts),
            negative_prompt=[negative] * len(seeds),
            height=self._info.height or None,
            width=self._info.width or None,
            num_frames=self._info.frames,
            num_inference_steps=sampler.steps,
            guidance_scale=sampler.guidance,
            latents=noise.to(self._device, getattr(torch, self._dtype)),
            output_type="np",
        ).frames

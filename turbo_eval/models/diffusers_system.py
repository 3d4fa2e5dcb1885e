"""Any text-to-video pipeline of diffusers, from a folder on this machine.

`diffusers:FOLDER` or `diffusers:OWNER/REPOSITORY`; `model_index.json` decides the class, which
draws with its own length, size, rate, steps and guidance unless a setting says otherwise:
`diffusers:weights/CogVideoX-2b:frames=17,size=480x320`.

Every clip has a generator of its own on the CPU, seeded with the clip's seed; the first latents are
drawn from it, and so is all noise that a schedule adds later. So neither the batch nor the device
changes what is asked of the networks, and 16 bit rounds the same draws (a test watches torch).
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from turbo_eval.backbones.official.marks import checksum
from turbo_eval.core.errors import (
    InputError,
    UsageError,
)
from turbo_eval.core.hashing import content_key
from turbo_eval.models.clip_settings import CLIP, NEGATIVE, negative_prompt
from turbo_eval.models.diffusers_adapters import (
    Additions,
    add_lora,
    read_additions,
    set_schedule,
)
from turbo_eval.models.diffusers_families import Family, check_request
from turbo_eval.models.diffusers_folder import (
    Pipeline,
    find_folder,
    open_pipeline,
    setting_files,
    weight_files,
)
from turbo_eval.models.diffusers_native import native
from turbo_eval.models.diffusers_reading import (
    check_memory,
    frames_of,
    licence_of,
    read_pipeline,
    tile,
)
from turbo_eval.models.pixels import pixels_of
from turbo_eval.models.protocol import Frames, ModelInfo, Sampler
from turbo_eval.models.quiet import quiet_libraries
from turbo_eval.models.running import RUNNING, denoisers
from turbo_eval.models.settings import Settings

PREFIX: Final = "diffusers:"
SETTINGS: Final = (
    *CLIP, NEGATIVE, "motion_adapter", "lora", "lora_scale", "scheduler", *RUNNING
)  # fmt: skip
_NOT_CONTENT: Final = ("motion_adapter", "lora", "offload", "compile")
"""Settings that are no part of the key: files are known by their content, not by where they lie,
and offloading and compiling change where and how fast a clip is drawn, not what it is."""


def known_settings(name: str) -> tuple[str, ...]:  # noqa: ARG001 (all classes take the same)
    """The settings of a pipeline."""
    return SETTINGS


def open_diffusers(
    name: str, values: dict[str, str], *, weights_dir: Path | None, device: str, dtype: str
) -> "DiffusersTextToVideo":
    """Open a pipeline; files are checked now, weights are read when it first draws a clip.

    Args:
        name: `diffusers:FOLDER` or `diffusers:OWNER/REPOSITORY`.
        values: Settings, see `SETTINGS`.
        weights_dir: Where repositories lie; `weights` when None.
        device: Where the networks run.
        dtype: `float32`, `float16` or `bfloat16`.

    Raises:
        UsageError: The class draws no video from a prompt, or a setting cannot be.
        PrerequisiteError: A file is missing, cut or pickled.
    """
    settings = Settings(name, values).only(SETTINGS)
    additions = read_additions(settings)
    folder = find_folder(name.removeprefix(PREFIX), weights_dir)
    pipeline = open_pipeline(folder, adapter=additions.motion is not None)
    return DiffusersTextToVideo(pipeline, settings, additions, device=device, dtype=dtype)


class DiffusersTextToVideo:
    """A pipeline of diffusers (see `TextToVideo`)."""

    def __init__(
        self,
        pipeline: Pipeline,
        settings: Settings,
        additions: Additions,
        *,
        device: str,
        dtype: str,
    ) -> None:
        self._source, self._settings, self._additions = pipeline, settings, additions
        self._device, self._dtype = device, dtype
        self._offload, self._tiling = settings.flag("offload"), settings.flag("tiling")
        own = additions.defaults(native(pipeline.name, pipeline.folder))
        width, height = settings.size((own.width, own.height))
        frames = settings.whole("frames", own.frames)
        if settings.text(NEGATIVE) and not own.negative:
            raise UsageError(
                f"{pipeline.name} takes no negative prompt",
                why="its guidance is told to the network, which is not asked with another prompt",
                fix=f"leave {NEGATIVE} away",
            )
        check_request(pipeline.name, own, frames=frames, size=(width, height))
        self._family: Family = replace(
            own, frames=frames, width=width, height=height, fps=settings.number("fps", own.fps)
        )
        self._info: ModelInfo | None = None
        self._pipeline: Any = None

    @property
    def info(self) -> ModelInfo:
        """Facts of the pipeline; the checksums of its weights are computed once and kept."""
        if self._info is None:
            family, root = self._family, self._source.folder
            files = {
                p.relative_to(root).as_posix(): checksum(p) for p in weight_files(self._source)
            }
            files |= {path.name: checksum(path) for path in self._additions.files()}
            self._info = ModelInfo(
                name=self._settings.spelled,
                width=family.width,
                height=family.height,
                frames=family.returned(family.frames),
                fps=family.fps,
                steps=family.steps,
                guidance=family.guidance,
                weights=files,
                licence=licence_of(root),
                batch=family.batch,
            )
        return self._info

    def fingerprint(self) -> str:
        """Content key of weights, configurations, settings and number format."""
        root = self._source.folder
        small = [[p.relative_to(root).as_posix(), checksum(p)] for p in setting_files(self._source)]
        values = {k: v for k, v in self._settings.values.items() if k not in _NOT_CONTENT}
        added = [checksum(path) for path in self._additions.files()]
        weights = sorted(self.info.weights.items())
        return content_key(
            "diffusers", self._source.name, weights, small, values, added,
            self._additions.schedule, self._dtype,
        )  # fmt: skip

    def generate(self, prompts: Sequence[str], seeds: Sequence[int], sampler: Sampler) -> Frames:
        """Draw one clip per (prompt, seed): uint8 [B, T, H, W, 3]; see `TextToVideo.generate`.

        Raises:
            UsageError: The pipeline refuses the settings; a negative prompt without guidance.
            InputError: What it returned is no video, has another length, or is no number; its
                library finds the prompt or the clip unsafe.
        """
        import torch

        # The argument acts above 1 only, a guider at every scale but 1.
        told = self._family.guidance_in == "argument"
        guided = sampler.guidance > 1 if told else sampler.guidance != 1
        negative = negative_prompt(self._settings, guided=guided)
        pipeline, clips = self._load(), []
        for first in range(0, len(prompts), self._family.batch):
            part = slice(first, first + self._family.batch)
            generators = [torch.Generator().manual_seed(seed) for seed in seeds[part]]
            call = self._call(list(prompts[part]), sampler, negative)
            with torch.inference_mode():
                result = self._drawn(pipeline, call, generators)
            frames = frames_of(result, self._family, self._source.name)
            clips.append(self._checked(frames, len(generators)))
        return np.concatenate(clips)

    def _call(self, prompts: list[str], sampler: Sampler, negative: str) -> dict[str, Any]:
        """The arguments of one call, without the generators."""
        family = self._family
        if sampler.steps < family.fewest:
            raise UsageError(
                f"{self._source.name} with {sampler.steps} steps",
                why=f"it needs at least {family.fewest}",
                fix=f"choose --steps {family.fewest} or more",
            )
        call: dict[str, Any] = {
            **family.always,
            "prompt": _one_or_all(prompts),
            "height": family.height,
            "width": family.width,
            family.frames_key: family.frames,
            "num_inference_steps": sampler.steps,
            "output_type": "np",
        }
        if family.guidance_in == "argument":
            call["guidance_scale"] = sampler.guidance
        else:
            self._pipeline.guider = self._pipeline.guider.new(guidance_scale=sampler.guidance)
        if family.fps_key:
            call[family.fps_key] = family.fps
        if negative:
            call["negative_prompt"] = _one_or_all([negative] * len(prompts))
        if family.stages:
            steps = call.pop("num_inference_steps")
            call["pyramid_num_inference_steps_list"] = [steps] * family.stages
        return call

    def _drawn(self, pipeline: Any, call: dict[str, Any], generators: list[Any]) -> Any:
        family = self._family
        try:
            with quiet_libraries():
                return pipeline(**call, generator=_one_or_all(generators))
        except (ValueError, TypeError, NotImplementedError) as error:
            if family.needs and "Guardrail" in str(error):
                # One prompt among many; the others are drawn.
                raise InputError(
                    f"{self._source.name} refuses the prompt or what it drew from it",
                    why=str(error),
                    fix="leave the prompt out",
                ) from error
            raise UsageError(
                f"{self._source.name} in {self._source.folder} refuses to draw "
                f"{family.frames} frames of {family.width}x{family.height}",
                why=str(error),
                fix="change the settings (frames, size, --steps, --guidance)",
            ) from error

    def _checked(self, frames: NDArray[Any], count: int) -> Frames:
        family, name = self._family, self._source.name
        length = family.returned(family.frames)
        wanted = (count, length, family.height, family.width, 3)
        if frames.shape != wanted:
            raise InputError(
                f"{name} returned frames of shape {tuple(frames.shape)}",
                why=f"{wanted} was asked for (clips, frames, height, width, colours)",
                fix="choose a length and a size that it draws (frames=, size=)",
            )
        return pixels_of(frames, name, self._dtype)

    def _load(self) -> Any:
        if self._pipeline is not None:
            return self._pipeline
        import torch

        from turbo_eval.models.compiling import check_compiler, compile_networks

        if self._settings.flag("compile"):
            check_compiler(self._device)
        dtype = getattr(torch, self._dtype)
        if not self._offload:
            check_memory(self._source, self._device, dtype)
        with quiet_libraries():
            pipeline = read_pipeline(self._source, self._family, self._additions.motion, dtype)
            pipeline.set_progress_bar_config(disable=True)
            if self._additions.schedule:
                set_schedule(pipeline, self._additions.schedule)
            add_lora(pipeline, self._additions)
            if self._tiling or self._family.tiled:
                tile(pipeline, self._source.name)
            if self._settings.flag("compile"):
                compile_networks(*denoisers(pipeline), device=self._device)
            if self._offload and self._device != "cpu":
                pipeline.enable_model_cpu_offload(device=self._device)
            else:
                pipeline.to(self._device)
        self._pipeline = pipeline
        return pipeline


def _one_or_all(values: list[Any]) -> Any:
    """A list for a batch; for one clip its value, as some pipelines take no list."""
    return values[0] if len(values) == 1 else values

"""The published latent systems behind the protocol: teachers, a fine-tuned one, and students.

One object serves teachers and students of both families; what differs stands in `Published`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from turbo_eval.core.errors import InputError, PrerequisiteError, UsageError
from turbo_eval.core.hashing import content_key
from turbo_eval.models.clip_settings import CLIP, NEGATIVE, clip_size, negative_prompt
from turbo_eval.models.protocol import Frames, ModelInfo, Sampler
from turbo_eval.models.published import Published, checksums
from turbo_eval.models.quiet import quiet_libraries
from turbo_eval.models.running import RUNNING
from turbo_eval.models.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from turbo_eval.models.networks import Networks
    from turbo_eval.models.sampling import Denoise

COMMON: Final = (*CLIP, *RUNNING)
OWN: Final = {
    "teacher": (NEGATIVE, "sampler"),
    "tuned": (NEGATIVE, "sampler"),
    "lora": ("compat", "projection_seed"),
    "full": (),
}
"""Settings of each kind of system beside the common ones."""
_OPERATIONAL: Final = ("offload", "compile")
"""Settings that change where and how fast a clip is drawn, not what it is."""
_VERSION: Final = 1
"""Raised when the same settings would draw other clips."""


class LatentTextToVideo:
    """A published system (see `TextToVideo`); weights are read at the first clip.

    Args:
        system: Which.
        base: The teacher's checkpoint (VideoCrafter2) or folder (ModelScope).
        student: The student's file, None for a teacher.
        settings: What was typed after the name.
        device: Where the networks run.
        dtype: `float32`, `float16` or `bfloat16`; latents and noise are float32 whatever it is.

    Raises:
        UsageError: A setting is unknown or out of range.
    """

    def __init__(
        self,
        system: Published,
        base: Path,
        student: Path | None,
        settings: Settings,
        *,
        device: str = "cpu",
        dtype: str = "float32",
    ) -> None:
        settings.only((*COMMON, *OWN[system.kind]))
        self._system, self._base, self._student = system, base, student
        self._device, self._dtype, self._settings = device, dtype, settings
        self._size = clip_size(settings, (system.width, system.height))
        self._frames = settings.whole("frames", system.frames)
        self._fps = settings.number("fps", float(system.fps))
        self._authors = settings.choice("compat", ("authors",)) == "authors"
        self._own_rule = settings.choice("sampler", ("native", "solver")) != "solver"
        # The authors' demonstrations pick the steps of v1 from a longer table than it trained with.
        self._table = 200 if self._authors else system.table

    @property
    def _told(self) -> int | None:
        """Frames per second that the network is told."""
        if self._system.told is None:
            return None
        typed = "fps" in self._settings.values
        return max(1, round(self._fps)) if typed else self._system.told

    @property
    def _projection_seed(self) -> int | None:
        """Seed of the guidance projection that was not published; None for zeros."""
        if self._system.kind != "lora":
            return None
        if self._authors or "projection_seed" in self._settings.values:
            return self._settings.whole("projection_seed", 1)
        return None

    @property
    def notes(self) -> dict[str, str]:
        """Decisions that no file holds."""
        system, found = self._system, {}
        if system.kind == "lora":
            seed = self._projection_seed
            found["guidance projection"] = (
                "base weight not published: zeros"
                if seed is None
                else f"base weight not published: uniform, seed {seed}"
            )
        if system.few_step:
            found["timesteps"] = f"picked from a table of {self._table}"
        elif not self._own_rule:
            found["timesteps"] = "the distillation solver's table, without fresh noise"
        if self._told is not None:
            found["frame rate told"] = str(self._told)
        return found

    @cached_property
    def info(self) -> ModelInfo:
        """Facts of the system; checksums of its files are computed once and kept.

        Raises:
            PrerequisiteError: A file cannot be read.
        """
        system = self._system
        licences = [s.licence for s in (system.base, system.student) if s is not None]
        return ModelInfo(
            name=system.name,
            width=self._size[0],
            height=self._size[1],
            frames=self._frames,
            fps=self._fps,
            steps=system.steps,
            guidance=system.guidance,
            weights=checksums(system, self._base, self._student),
            licence="; ".join(dict.fromkeys(licences)),
            notes=self.notes,
            batch=2,
        )

    def fingerprint(self) -> str:
        """Content key of weights, settings and number format."""
        said = {k: v for k, v in self._settings.values.items() if k not in _OPERATIONAL}
        weights = sorted(self.info.weights.items())
        key = [self._system.name, weights, said, self.notes, self._dtype, _VERSION]
        return content_key("published", key)

    @cached_property
    def networks(self) -> "Networks":
        """The networks on their device, read at the first use.

        Raises:
            PrerequisiteError: A file is missing, damaged, holds code or another network; the
                student was trained on another teacher; the GPU is too small; `compile` is asked
                for and there is no compiler.
        """
        import torch

        from turbo_eval.models.compiling import check_compiler, compile_networks
        from turbo_eval.models.memory import check_fits
        from turbo_eval.models.networks import open_networks

        if self._settings.flag("compile"):
            check_compiler(self._device)
        seed = self._projection_seed
        try:
            found = open_networks(self._system, self._base, self._student, projection_seed=seed)
        except InputError as error:
            # No other clip would fare better, so a run is not to go on with the next.
            raise PrerequisiteError(error.what, why=error.why, fix=error.fix) from error
        dtype, offload = getattr(torch, self._dtype), self._settings.flag("offload")
        check_fits(found.parts, self._device, dtype, offload=offload)
        with quiet_libraries():
            for network in found.parts:
                network.requires_grad_(False)
                network.to("cpu" if offload else self._device, dtype)
        if self._settings.flag("tiling"):
            found.vae.enable_tiling()
        if self._settings.flag("compile"):
            compile_networks(found.unet, found.vae.decoder, device=self._device)
        return found

    @contextmanager
    def _present(self, network: Any) -> Iterator[Any]:
        """The network on its device; with offloading it leaves again."""
        if not self._settings.flag("offload"):
            yield network
            return
        network.to(self._device)
        try:
            yield network
        finally:
            network.to("cpu")

    def generate(self, prompts: Sequence[str], seeds: Sequence[int], sampler: Sampler) -> Frames:
        """Draw one clip per (prompt, seed): uint8 [B, T, H, W, 3]; see `TextToVideo.generate`.

        Raises:
            UsageError: More steps than the sampling rule has; a negative prompt without guidance.
            InputError: The network gave numbers that are not finite.
        """
        import torch

        if self._system.few_step and sampler.steps > self._table:
            raise UsageError(
                f"{sampler.steps} steps with {self._system.name}",
                why=f"its timesteps are picked from a table of {self._table}",
                fix=f"choose --steps 1 to {self._table}",
            )
        with torch.inference_mode():
            return self.decode(self.latents(prompts, seeds, sampler))

    def latents(self, prompts: Sequence[str], seeds: Sequence[int], sampler: Sampler) -> "Tensor":
        """Clean latents float32 [B, C, F, h, w] of one clip per (prompt, seed)."""
        from turbo_eval.models.sampling import Noise

        negative = negative_prompt(self._settings, guided=sampler.guidance != 1)
        networks = self.networks
        width, height = (side // networks.scale for side in self._size)
        channels = int(networks.unet.config.in_channels)
        draw = Noise(seeds, (channels, self._frames, height, width))
        with self._present(networks.text):
            text = networks.encode(prompts, self._device)
            few = self._system.few_step
            empty = None if few else networks.encode([negative] * len(seeds), self._device)
        with self._present(networks.unet):
            if few:
                return self._few_steps(text, draw, sampler)
            return self._many_steps(text, empty, draw, sampler)

    def _call(self, latents: "Tensor", times: "Tensor", text: "Tensor", **told: Any) -> "Tensor":
        if self._told is not None:
            told["fps"] = self._told
        result: Tensor = self.networks.unet(latents.to(text.dtype), times, text, **told).sample
        return result

    def _few_steps(self, text: "Tensor", draw: Any, sampler: Sampler) -> "Tensor":
        """Multistep consistency sampling; guidance is told to the network."""
        import torch

        from turbo_eval.models.noise import guidance_embedding
        from turbo_eval.models.sampling import consistency_sample
        from turbo_eval.models.scheduler import ConsistencyScheduler

        def told(value: float, layer: Any) -> "Tensor":
            width = int(layer.weight.shape[1])
            return guidance_embedding(torch.full((len(text),), value), width).to(text)

        embedding = self.networks.unet.time_embedding
        guidance = told(sampler.guidance, embedding.cond_proj)

        def denoise(latents: "Tensor", t: int) -> "Tensor":
            more = {}
            if self._system.motion is not None:
                scale, share = self._system.motion
                on = t >= 1000 * (1 - share)
                more["motion_cond"] = told(scale if on else 0.0, embedding.motion_cond_proj)
            times = torch.full((len(latents),), t, device=latents.device)
            return self._call(latents, times, text, timestep_cond=guidance, **more).float()

        scheduler = ConsistencyScheduler(self.networks.prediction_type, self._table)
        scheduler.set_timesteps(sampler.steps)
        return consistency_sample(denoise, scheduler, draw, self._device)

    def _many_steps(
        self, text: "Tensor", empty: "Tensor | None", draw: Any, sampler: Sampler
    ) -> "Tensor":
        """Its own sampler, or the solver's table, with classifier-free guidance."""
        from turbo_eval.models import sampling
        from turbo_eval.models.noise import latent_rescale

        networks, device = self.networks, self._device
        denoise: Denoise = sampling.guided(self._call, text, empty, sampler.guidance)
        if not self._own_rule:
            return sampling.ddim_sample(
                denoise, draw, device, sampling.solver_timesteps(sampler.steps)
            )
        if networks.rescale is None:
            return sampling.scheduler_sample(
                denoise, networks.scheduler, draw, device, steps=sampler.steps
            )
        return sampling.ddim_sample(
            denoise,
            draw,
            device,
            sampling.lvdm_timesteps(sampler.steps),
            rescale=latent_rescale(last=networks.rescale),
            eta=1.0,
        )

    def decode(self, latents: "Tensor") -> Frames:
        """Frames of latents, one at a time: uint8 [B, T, H, W, 3], rounded down as published.

        Raises:
            InputError: The latents or frames hold numbers that are not finite.
        """
        from turbo_eval.models.latent_decode import decode_frames

        vae = self.networks.vae
        with self._present(vae):
            return decode_frames(vae, latents, self._dtype, self._system.name)

"""The mini world's own text-to-video system: ModelScope's pipeline class with small networks.

The packaged folder is an ordinary diffusers pipeline (`TextToVideoSDPipeline`), so whatever works
here works on the large one. `card.json` beside it holds the facts and the checksums; reading them
imports no tensor library.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from turbo_eval.core.errors import PrerequisiteError
from turbo_eval.core.hashing import blake, file_sha256
from turbo_eval.models.clip_settings import CLIP, NEGATIVE, asked, clip_content, negative_prompt
from turbo_eval.models.pixels import pixels_of
from turbo_eval.models.protocol import Frames, ModelInfo, Sampler
from turbo_eval.models.quiet import quiet_libraries
from turbo_eval.models.running import RUNNING, content, place
from turbo_eval.models.settings import Settings

PACKAGED = Path(__file__).resolve().parent.parent / "_weights" / "world"
CARD = "card.json"
SETTINGS = (*CLIP, NEGATIVE, *RUNNING)
_DTYPES = {"float32", "float16", "bfloat16"}


def known_settings(name: str) -> tuple[str, ...]:  # noqa: ARG001 (all mini systems take the same)
    """The settings of a mini system."""
    return SETTINGS


def load(
    name: str, values: Mapping[str, str], *, weights_dir: Path | None, device: str, dtype: str
) -> "MiniTextToVideo":
    """Open a mini system; weights are read and checked when it first draws a clip.

    Args:
        name: `mini-teacher`.
        values: Settings that were typed after it, see `turbo_eval.models.clip_settings` and
            `turbo_eval.models.running`.
        weights_dir: A folder in the packaged layout. One without a card holds other weights, such
            as the judges', so the packaged system is used, as it is when None.
        device: Where the networks run.
        dtype: `float32`, `float16` or `bfloat16`; sampling noise is float32 whatever this is.

    Raises:
        PrerequisiteError: The packaged folder holds no card.
        UsageError: A setting is unknown or out of range.
    """
    folder = PACKAGED
    if weights_dir is not None and (weights_dir / CARD).is_file():
        folder = weights_dir
    settings = Settings(name, values)
    return MiniTextToVideo(name, folder, settings=settings, device=device, dtype=dtype)


def read_card(folder: Path) -> dict[str, Any]:
    """The card of the system in `folder`: facts, training record and `files` (name to sha256).

    Raises:
        PrerequisiteError: There is no card, or it is not JSON.
    """
    path = folder / CARD
    try:
        card: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PrerequisiteError(
            f"no mini weights in {folder}",
            why=f"{path.name} cannot be read ({error})",
            fix="reinstall turbo-eval, or train them with `turbo-train world all`",
        ) from error
    return card


def check_files(folder: Path, files: Mapping[str, str]) -> None:
    """Compare every file of `files` (name to sha256) with what lies in `folder`.

    Raises:
        PrerequisiteError: A file is missing or differs; it is named.
    """
    for name, wanted in files.items():
        path = folder / name
        if not path.is_file():
            raise PrerequisiteError(
                f"weights file {path} is missing",
                why="the card lists it",
                fix="reinstall turbo-eval, or export the weights again",
            )
        found = file_sha256(path)
        if found != wanted:
            raise PrerequisiteError(
                f"weights file {path} has a wrong checksum",
                why=f"sha256 {found[:12]}... instead of {wanted[:12]}...",
                fix="reinstall turbo-eval, or export the weights again",
            )


class MiniTextToVideo:
    """A small diffusers text-to-video pipeline, made for 64 x 64 clips (see `TextToVideo`).

    Its networks are convolutions and attention without a position table, so other sizes and lengths
    run, too; it has learned none of them.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        *,
        settings: Settings | None = None,
        device: str,
        dtype: str,
    ) -> None:
        self._settings = (settings or Settings(name, {})).only(SETTINGS)
        self._folder, self._device, self._dtype = folder, device, dtype
        self._card = read_card(folder)
        facts = self._card["info"]
        own = ModelInfo(
            name=name,
            width=facts["width"],
            height=facts["height"],
            frames=facts["frames"],
            fps=facts["fps"],
            steps=facts["steps"],
            guidance=facts["guidance"],
            weights=dict(self._card["files"]),
            licence=facts["licence"],
        )
        self._info = asked(own, self._settings)
        self._pipeline: Any = None

    @property
    def info(self) -> ModelInfo:
        """Facts of the system, from its card."""
        return self._info

    def fingerprint(self) -> str:
        """Content key of the weights and of the number format they run in."""
        files = sorted(self._info.weights.items())
        more = content(self._settings) | clip_content(self._settings)
        key = [self._info.name, files, self._dtype, *([more] if more else [])]
        return blake(json.dumps(key).encode())

    def _load(self) -> Any:  # noqa: ANN401 - diffusers pipelines are untyped
        if self._pipeline is None:
            # Before the libraries, whose import takes seconds.
            check_files(self._folder, self._info.weights)
            import torch
            from diffusers import TextToVideoSDPipeline

            with quiet_libraries():
                pipeline = TextToVideoSDPipeline.from_pretrained(
                    self._folder, local_files_only=True
                )
            dtype = getattr(torch, self._dtype)
            self._pipeline = place(pipeline, self._settings, device=self._device, dtype=dtype)
        return self._pipeline

    def generate(self, prompts: Sequence[str], seeds: Sequence[int], sampler: Sampler) -> Frames:
        """Draw one clip per (prompt, seed): uint8 [B, T, H, W, 3]; see `TextToVideo.generate`.

        Raises:
            UsageError: There is a negative prompt, but no guidance.
            InputError: The networks gave numbers that are not finite.
        """
        import torch

        negative = negative_prompt(self._settings, guided=sampler.guidance > 1)

        pipeline = self._load()
        info, channels = self._info, pipeline.unet.config.in_channels
        scale = pipeline.vae_scale_factor
        shape = (1, channels, info.frames, info.height // scale, info.width // scale)
        noise = torch.cat(
            [torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        )
        with torch.inference_mode():
            result = pipeline(
                prompt=list(prompts),
                negative_prompt=[negative] * len(seeds),
                height=info.height,
                width=info.width,
                num_frames=info.frames,
                num_inference_steps=sampler.steps,
                guidance_scale=sampler.guidance,
                latents=noise.to(self._device, getattr(torch, self._dtype)),
                output_type="np",
            )
        return pixels_of(result.frames, info.name, self._dtype)

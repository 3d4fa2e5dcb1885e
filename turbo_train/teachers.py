"""A teacher's parts, taken out of a folder in diffusers' layout and frozen.

ModelScopeT2V and the mini world's teacher are the same pipeline class; VideoCrafter2 is converted
first. One loader serves all.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from turbo_eval.core.errors import ConfigError
from turbo_eval.models.convert import CLASS
from turbo_eval.models.mini import CARD, check_files, read_card
from turbo_eval.models.networks import class_index, open_folder
from turbo_eval.models.systems import find_system, system_fingerprint


@dataclass(frozen=True, slots=True)
class TeacherParts:
    """What distillation needs of a teacher; every network is frozen.

    Attributes:
        name: The name a user typed.
        folder: Where the weights lie.
        fingerprint: Content key of the weights.
        unet: The denoiser, (latents, timesteps, text) -> prediction.
        vae: The autoencoder.
        encode_text: Captions -> hidden states [B, L, D] on the teacher's device.
        prediction_type: What the denoiser predicts.
        alphas_cumprod: abar, float32 [T].
        frames: Native number of frames.
        height: Native height in pixels.
        width: Native width in pixels.
        fps: Native frame rate.
    """

    name: str
    folder: Path
    fingerprint: str
    unet: Any
    vae: Any
    encode_text: Callable[[Sequence[str]], Tensor]
    prediction_type: str
    alphas_cumprod: Tensor
    frames: int
    height: int
    width: int
    fps: float

    @property
    def scaling(self) -> float:
        """Factor on the autoencoder's latents."""
        return float(self.vae.config.scaling_factor)

    def encode(self, pixels: Tensor, *, chunk: int = 8) -> Tensor:
        """Scaled latents of clips: the mean of the posterior.

        Args:
            pixels: [B, F, H, W, 3] in 0..255.
            chunk: Frames per call of the encoder.

        Returns:
            float32 [B, C, F, h, w].
        """
        device = next(self.vae.parameters()).device
        flat = pixels.flatten(0, 1).permute(0, 3, 1, 2)
        means = []
        with torch.no_grad():
            for part in flat.split(chunk):
                ready = (part.to(device).float() / 255).clamp(0, 1) * 2 - 1
                means.append(self.vae.encode(ready).latent_dist.mean.float())
        latents: Tensor = torch.cat(means).unflatten(0, pixels.shape[:2]) * self.scaling
        return latents.permute(0, 2, 1, 3, 4).contiguous()

    def decode(self, latents: Tensor) -> Tensor:
        """Frames from scaled latents, with a gradient.

        Args:
            latents: [N, C, h, w].

        Returns:
            [N, 3, H, W] in 0..1, clamped, in float32.
        """
        decoded: Tensor = self.vae.decode(latents / self.scaling).sample
        return (decoded.float() / 2 + 0.5).clamp(0, 1)


def load(name: str, *, weights_dir: Path | None = None, device: str = "cpu") -> TeacherParts:
    """Read a teacher.

    Args:
        name: One of `turbo_eval.models.systems.TEACHERS`, or a folder in diffusers' layout.
        weights_dir: Where named teachers other than the mini one lie.
        device: Where its networks run.

    Raises:
        UsageError, PrerequisiteError: See `find_system`; or a checksum of a card does not hold.
        ConfigError: The folder holds another class of pipeline.
    """
    folder = find_system(name, weights_dir)
    kind = class_index(folder).get("_class_name")
    if kind not in ("TextToVideoSDPipeline", "TextToVideoSDXPipeline", CLASS):
        raise ConfigError(
            f"teacher {folder} is a {kind}",
            why=f"distillation knows TextToVideoSDPipeline, {CLASS}",
        )
    if (folder / CARD).is_file():
        check_files(folder, read_card(folder)["files"])
    found = open_folder(folder)
    for part in (found.unet, found.vae, found.text):
        part.requires_grad_(False).eval().to(device)
    _suit(found.unet, device)
    info = read_card(folder)["info"] if (folder / CARD).is_file() else {}
    if kind == CLASS:
        # The rate is what the network is told; it is told the same in both of a teacher's calls.
        usual = {"frames": 16, "height": 320, "width": 512, "fps": 16}
    else:
        pixels = int(found.unet.config.sample_size) * found.scale
        usual = {"frames": 16, "height": pixels, "width": pixels, "fps": 8}
    info = {**usual, **info}
    return TeacherParts(
        name=name,
        folder=folder,
        fingerprint=system_fingerprint(folder),
        unet=found.unet,
        vae=found.vae,
        encode_text=lambda texts: found.encode(texts, next(found.text.parameters()).device),
        prediction_type=found.prediction_type,
        alphas_cumprod=found.alphas_cumprod.to(device),
        frames=int(info["frames"]),
        height=int(info["height"]),
        width=int(info["width"]),
        fps=float(info["fps"]),
    )


def _suit(unet: nn.Module, device: str) -> None:
    """On a CPU plain attention is faster for short sequences than the fused kernel."""
    if device == "cpu":
        from diffusers.models.attention_processor import AttnProcessor

        network: Any = unet
        network.set_attn_processor(AttnProcessor())

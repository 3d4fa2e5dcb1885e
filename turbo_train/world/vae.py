"""Recipe: train the mini world's video autoencoder (diffusers `AutoencoderKL`, 8x, 8 channels)."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from diffusers.models.downsampling import Downsample2D
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn

from turbo_train.world.fit import Plan, Progress, fit
from turbo_train.world.render import masks
from turbo_train.world.stream import item

CLIPS, FRAMES_PER_CLIP = 2, 2
LATENT_CHANNELS = 8
SPRITE_WEIGHT = 3.0
CHROMA_WEIGHT = 1.0
KL_WEIGHT = 1e-7
SCALE_CLIPS = 256
DISTURBANCE = 0.5


def build() -> AutoencoderKL:
    """The untrained autoencoder: 64 x 64 x 3 to 8 x 8 x 8."""
    vae = AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(16, 32, 48, 64),
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=4,
        sample_size=64,
        mid_block_add_attention=False,
    )
    start_as_blur(vae)
    return vae


@torch.no_grad()
def start_as_blur(vae: AutoencoderKL) -> None:
    """Begin with a network that passes a blurred picture through, in colour.

    From the usual random start, colour stays grey for thousands of steps. So every residual branch
    starts at zero, shortcuts and resizing layers start as identity or mean, and the posterior
    starts narrow.
    """
    for module in vae.modules():
        if isinstance(module, ResnetBlock2D):
            nn.init.zeros_(module.conv2.weight)
            nn.init.zeros_(module.conv2.bias)
            if module.conv_shortcut is not None:
                nn.init.dirac_(module.conv_shortcut.weight)
                module.conv_shortcut.weight += 0.1 * torch.randn_like(module.conv_shortcut.weight)
        elif isinstance(module, Downsample2D):
            nn.init.zeros_(module.conv.weight)
            for channel in range(module.conv.weight.shape[0]):
                module.conv.weight[channel, channel, :2, :2] = 0.25
        elif isinstance(module, Upsample2D):
            nn.init.dirac_(module.conv.weight)
    nn.init.dirac_(vae.encoder.conv_in.weight)
    vae.encoder.conv_in.weight += 0.1 * torch.randn_like(vae.encoder.conv_in.weight)
    vae.quant_conv.bias[LATENT_CHANNELS:] = -6.0


def batch(seed: int, step: int, clips: int = CLIPS) -> tuple[Tensor, Tensor]:
    """Frames [N, 3, 64, 64] in -1..1 and their loss weights [N, 1, 64, 64] for one step."""
    rng = np.random.default_rng([seed, step, 3])
    frames, weights = [], []
    for k in range(clips):
        entry = item(seed, step * clips + k)
        chosen = rng.choice(entry.scene.frames, FRAMES_PER_CLIP, replace=False)
        frames.append(entry.clip()[chosen])
        weights.append(1 + (SPRITE_WEIGHT - 1) * masks(entry.scene)[:, chosen].any(axis=0))
    pixels = torch.from_numpy(np.concatenate(frames)).permute(0, 3, 1, 2).float() / 127.5 - 1
    return pixels, torch.from_numpy(np.concatenate(weights)).float()[:, None]


def _edges(picture: Tensor) -> tuple[Tensor, Tensor]:
    return picture.diff(dim=-1), picture.diff(dim=-2)


def loss(vae: nn.Module, pixels: Tensor, weight: Tensor, blur: float = 0.0) -> Tensor:
    """Weighted L1 and L2 of pixels, L1 of edges, plus a small KL term; a scalar.

    `blur` disturbs the latents by noise of up to that many of their standard deviations.
    """
    device = next(vae.parameters()).device
    pixels, weight = pixels.to(device), weight.to(device)
    posterior = vae.encode(pixels).latent_dist  # type: ignore[operator]
    latents = posterior.sample()
    if blur:
        amount = blur * torch.rand(len(latents), 1, 1, 1).to(device)
        amount = amount * latents.std(dim=(0, 2, 3), keepdim=True)
        latents = latents + amount * torch.randn_like(latents)
    picture = vae.decode(latents).sample  # type: ignore[operator]
    gap = picture - pixels
    # The square pulls colours over quickly, the absolute value keeps edges sharp.
    error: Tensor = (weight * (gap.abs() + 2 * gap.square())).mean()
    # Without this term colour stays grey for thousands of steps: light and dark are easier to see.
    red, green, blue = gap.unbind(dim=1)
    hue = (red - green).square() + (blue - 0.5 * (red + green)).square()
    error = error + CHROMA_WEIGHT * (weight[:, 0] * hue).mean()
    for ours, theirs in zip(_edges(picture), _edges(pixels), strict=True):
        error = error + 0.5 * (ours - theirs).abs().mean()
    kl = 0.5 * (posterior.mean**2 + posterior.var - 1 - posterior.logvar)
    divergence: Tensor = kl.sum(dim=(1, 2, 3)).mean()
    return error + KL_WEIGHT * divergence


@torch.no_grad()
def measure(vae: AutoencoderKL, seed: int = 990_001, clips: int = 64) -> dict[str, float]:
    """Reconstruction on clips that training never saw: mean absolute error (0..255) and PSNR."""
    pixels, weight = (part.to(vae.device) for part in batch(seed, 0, clips))
    picture = vae.decode(vae.encode(pixels).latent_dist.mean).sample.clamp(-1, 1)
    error = (picture - pixels) * 127.5
    sprite = weight > 1
    return {
        "mae": float(error.abs().mean()),
        "sprite_mae": float((error.abs() * sprite).sum() / (sprite.sum() * 3)),
        "psnr": float(20 * torch.log10(255 / error.square().mean().sqrt())),
    }


@torch.no_grad()
def latent_scale(vae: AutoencoderKL, seed: int) -> float:
    """1 / standard deviation of the latents, so that the diffusion sees unit variance."""
    pixels, _ = batch(seed, 7_000_000, SCALE_CLIPS)
    return float(1 / vae.encode(pixels.to(vae.device)).latent_dist.mean.std())


def train(
    folder: Path,
    *,
    steps: int,
    seed: int,
    lr: float = 1e-3,
    device: str = "cpu",
    say: Callable[[str], None],
) -> tuple[AutoencoderKL, Progress]:
    """Train (or resume) the autoencoder in `folder`."""
    torch.manual_seed(seed)
    vae = build().to(device)
    progress = fit(
        vae,
        lambda step: loss(vae, *batch(seed, step)),
        Plan(steps=steps, lr=lr, seed=seed, folder=folder, ema=0.998),
        say=say,
        evaluate=measure,
        evaluate_every=1000,
    )
    vae.register_to_config(scaling_factor=round(latent_scale(vae, seed), 5))
    return vae, progress


def polish(
    vae: AutoencoderKL,
    folder: Path,
    *,
    steps: int,
    seed: int,
    lr: float = 1e-3,
    say: Callable[[str], None],
) -> Progress:
    """Train (or resume) only the decoder: better pictures from the same latents.

    The latents are disturbed, so that the decoder turns what a diffusion model nearly got right
    into a clean picture. They do not change, so this can run beside the teacher's training.
    """
    vae.requires_grad_(False)
    for part in (vae.decoder, vae.post_quant_conv):
        part.requires_grad_(True)
    progress = fit(
        vae,
        lambda step: loss(vae, *batch(seed, step), blur=DISTURBANCE),
        Plan(steps=steps, lr=lr, seed=seed, folder=folder, ema=0.998),
        say=say,
        evaluate=measure,
        evaluate_every=1000,
    )
    vae.requires_grad_(True)
    return progress

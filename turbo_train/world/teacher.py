"""Recipe: the mini teacher, a text-to-video latent diffusion model (`UNet3DConditionModel`).

Three phases in one run. First single frames: a batch of them shows many more scenes for the same
arithmetic, so words, shapes, colours and places are learned here, and the layers along time, which
have nothing to do on one frame, are left out (a step is 2.5 times faster). Then clips: motion and
camera, with every fourth step still on single frames. The layers along time start as the identity,
so the change is smooth. Last, clips alone, at higher noise and with captions that always tell the
action: that is what is learned last.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet3DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from diffusers.models.resnet import TemporalConvLayer
from diffusers.models.transformers.transformer_temporal import TransformerTemporalModel
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from turbo_train.world.captions import caption, random_said
from turbo_train.world.facts import FRAMES
from turbo_train.world.fit import Plan, Progress, fit, rank
from turbo_train.world.render import masks
from turbo_train.world.stream import item
from turbo_train.world.text import WIDTH, encode
from turbo_train.world.vae import LATENT_CHANNELS

TRAIN_STEPS = 1000
BETA_START, BETA_END = 0.00085, 0.012
DROP_CAPTION = 0.1
SPRITE_WEIGHT = 4.0
TIME_POWER, LAST_TIME_POWER = 0.7, 0.5
"""Times are drawn as 1000 u^p, u uniform: what a clip shows is decided at high noise."""
IMAGES, CLIPS = 64, 12
STILL_EVERY = 4
POOL_SEED_OFFSET = 40


@dataclass(frozen=True, slots=True)
class Settings:
    """Size of the teacher's training: pool of latent clips, steps of each phase, seed, rate."""

    pool: int
    image_steps: int
    mixed_steps: int
    video_steps: int
    seed: int
    lr: float = 1e-3


def build() -> UNet3DConditionModel:
    """The untrained video UNet over latents [B, 8, F, 8, 8]."""
    unet = UNet3DConditionModel(
        sample_size=8,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        down_block_types=("CrossAttnDownBlock3D",) * 2,
        up_block_types=("CrossAttnUpBlock3D",) * 2,
        block_out_channels=(48, 96),
        layers_per_block=1,
        norm_num_groups=16,
        cross_attention_dim=WIDTH,
        attention_head_dim=16,
    )
    # Sequences are short here: plain attention trains four times faster than the fused kernel on a
    # CPU in bfloat16. The data never repeat, so there is nothing for dropout to prevent.
    unet.set_attn_processor(AttnProcessor())
    for module in unet.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(module, TransformerTemporalModel):
            nn.init.zeros_(module.proj_out.weight)
            nn.init.zeros_(module.proj_out.bias)
    return unet


def _same(hidden: Tensor, *_args: object, **_kwargs: object) -> Tensor:
    return hidden


def _same_in_tuple(hidden: Tensor, *_args: object, **_kwargs: object) -> tuple[Tensor]:
    return (hidden,)


def use_time_layers(unet: nn.Module, on: bool) -> None:
    """Switch every layer along time of `unet` on, or off (the identity, without a gradient)."""
    for module in unet.modules():
        if isinstance(module, TemporalConvLayer | TransformerTemporalModel):
            # An instance attribute hides the method of the class; removing it brings that back.
            module.__dict__.pop("forward", None)
            if not on:
                quiet = _same if isinstance(module, TemporalConvLayer) else _same_in_tuple
                module.__dict__["forward"] = quiet


def alphas_cumprod() -> Tensor:
    """The noise schedule of ModelScopeT2V (scaled linear): float32 [1000]."""
    betas = torch.linspace(BETA_START**0.5, BETA_END**0.5, TRAIN_STEPS, dtype=torch.float64) ** 2
    return (1 - betas).cumprod(0).float()


@torch.no_grad()
def latent_pool(
    vae: AutoencoderKL, folder: Path, *, clips: int, seed: int, say: Callable[[str], None]
) -> NDArray[np.float16]:
    """Scaled latents of the first `clips` items of a stream: float16 [clips, 8, 8, 8, 8]."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"latents-{seed}-{clips}.npy"
    if not path.exists():
        result = np.zeros((clips, FRAMES, LATENT_CHANNELS, 8, 8), np.float16)
        scale = vae.config.scaling_factor
        for start in range(0, clips, 32):
            stack = np.stack([item(seed, k).clip() for k in range(start, min(start + 32, clips))])
            pixels = torch.from_numpy(stack).flatten(0, 1).permute(0, 3, 1, 2).float() / 127.5 - 1
            with torch.autocast(vae.device.type, torch.bfloat16):
                mean = vae.encode(pixels.to(vae.device)).latent_dist.mean.float() * scale
            result[start : start + len(stack)] = mean.unflatten(0, (-1, FRAMES)).cpu().numpy()
            if start % 3200 == 0:
                say(f"latent clips: {start} of {clips}")
        temporary = path.with_suffix(".tmp.npy")
        np.save(temporary, result)
        temporary.replace(path)
    return np.load(path)  # type: ignore[no-any-return]


def sprite_share(folder: Path, *, clips: int, seed: int) -> NDArray[np.float16]:
    """How much of each latent cell the sprites cover: float16 [clips, 8, 8, 8] in 0..1, cached."""
    path = folder / f"sprites-{seed}-{clips}.npy"
    if not path.exists():
        result = np.zeros((clips, FRAMES, 8, 8), np.float16)
        for k in range(clips):
            cover = masks(item(seed, k).scene).any(axis=0)
            result[k] = cover.reshape(FRAMES, 8, 8, 8, 8).mean(axis=(2, 4))
        temporary = path.with_suffix(".tmp.npy")
        np.save(temporary, result)
        temporary.replace(path)
    return np.load(path)  # type: ignore[no-any-return]


def _captions(
    indices: Sequence[int], seed: int, step: int, *, still: bool, act: bool = False
) -> list[str]:
    """A fresh caption of each pool item.

    A `still` shows neither action nor camera; with `act` every caption that names the sprites tells
    what they do.
    """
    rng = np.random.default_rng([seed, step, 5, *([rank()] if rank() else [])])
    texts = []
    for index in indices:
        scene = item(seed + POOL_SEED_OFFSET, int(index)).scene
        said = random_said(scene, rng)
        if still:
            said = type(said)(
                said.sprites, said.colors, False, said.scene, said.style, False, said.relation
            )
        elif act and said.sprites:
            said = replace(said, action=True)
        text = caption(scene, said, tuple(rng.random(6)))
        texts.append("" if rng.random() < DROP_CAPTION else text)
    return texts


def is_still(step: int, settings: Settings) -> bool:
    """Whether a step trains on single frames."""
    later = step - settings.image_steps
    mixed = later < settings.mixed_steps and later % STILL_EVERY == STILL_EVERY - 1
    return later < 0 or mixed


class Objective:
    """The diffusion loss of one step: v-prediction on latents of the pool."""

    def __init__(
        self,
        unet: nn.Module,
        tokenizer: CLIPTokenizer,
        encoder: CLIPTextModel,
        pool: NDArray[np.float16],
        sprites: NDArray[np.float16],
        settings: Settings,
    ) -> None:
        self.unet, self.tokenizer, self.encoder = unet, tokenizer, encoder
        self.pool, self.sprites, self.settings = pool, sprites, settings
        self.alphas = alphas_cumprod()

    def __call__(self, step: int) -> Tensor:
        """Loss of `step`; everything random comes from the seed and the step."""
        settings = self.settings
        still = is_still(step, settings)
        use_time_layers(self.unet, not still)
        mine = [rank()] if rank() else []
        rng = np.random.default_rng([settings.seed, step, 6, *mine])
        count = IMAGES if still else CLIPS
        indices = rng.integers(0, len(self.pool), count)
        latents = torch.from_numpy(self.pool[indices].astype(np.float32)).permute(0, 2, 1, 3, 4)
        share = torch.from_numpy(self.sprites[indices].astype(np.float32))[:, None]
        if still:
            frame = torch.from_numpy(rng.integers(0, latents.shape[2], count))
            latents = latents[torch.arange(count), :, frame][:, :, None]
            share = share[torch.arange(count), :, frame][:, :, None]
        last = step >= settings.image_steps + settings.mixed_steps
        texts = _captions(indices.tolist(), settings.seed, step, still=still, act=last)
        with torch.no_grad():
            hidden = encode(self.tokenizer, self.encoder, texts)
        # Stratified times: every batch covers the whole range, which calms the loss.
        strata = torch.from_numpy(rng.permutation(count)) + torch.rand(count)
        times = (strata / count) ** (LAST_TIME_POWER if last else TIME_POWER) * TRAIN_STEPS
        times = times.long().clamp(max=TRAIN_STEPS - 1)
        noise = torch.randn_like(latents)
        signal = self.alphas[times].sqrt()[:, None, None, None, None]
        spread = (1 - self.alphas[times]).sqrt()[:, None, None, None, None]
        noisy = signal * latents + spread * noise
        velocity = signal * noise - spread * latents
        device = hidden.device
        noisy, velocity, share = noisy.to(device), velocity.to(device), share.to(device)
        with torch.autocast(device.type, torch.bfloat16):
            predicted = self.unet(noisy, times.to(device), hidden).sample
        # Cells with a sprite count more: it fills an eighth of the picture and is asked for.
        weight = 1 + (SPRITE_WEIGHT - 1) * share
        error: Tensor = (weight * (predicted.float() - velocity).square()).mean()
        return error


def train(
    folder: Path,
    vae: AutoencoderKL,
    tokenizer: CLIPTokenizer,
    encoder: CLIPTextModel,
    settings: Settings,
    *,
    say: Callable[[str], None],
) -> tuple[UNet3DConditionModel, Progress]:
    """Train (or resume) the teacher in `folder` on a cached pool, where the encoders are."""
    pool = latent_pool(
        vae, folder, clips=settings.pool, seed=settings.seed + POOL_SEED_OFFSET, say=say
    )
    sprites = sprite_share(folder, clips=settings.pool, seed=settings.seed + POOL_SEED_OFFSET)
    torch.manual_seed(settings.seed)
    unet = build().to(encoder.device)
    progress = fit(
        unet,
        Objective(unet, tokenizer, encoder.eval(), pool, sprites, settings),
        Plan(
            steps=settings.image_steps + settings.mixed_steps + settings.video_steps,
            lr=settings.lr,
            seed=settings.seed,
            folder=folder,
        ),
        say=say,
    )
    use_time_layers(unet, True)
    return unet, progress

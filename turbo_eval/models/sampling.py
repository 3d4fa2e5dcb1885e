"""How latents are drawn, as loops over a function that predicts noise.

Every draw of noise belongs to one clip's generator on the CPU, so neither the batch nor the device
changes a clip. Latents are [B, C, F, H, W] in float32; timesteps are int64 [B] on 0..999.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from turbo_eval.core.errors import UsageError
from turbo_eval.models.noise import TRAIN_STEPS, noise_alphas_cumprod
from turbo_eval.models.scheduler import ConsistencyScheduler

Denoise = Callable[[Tensor, int], Tensor]
"""(latents, timestep) -> predicted noise, float32, of the latents' shape."""


class Noise:
    """Standard normal latents, one generator a clip.

    Args:
        seeds: One seed per clip.
        shape: Of one clip, [C, F, H, W].
    """

    def __init__(self, seeds: Sequence[int], shape: Sequence[int]) -> None:
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._shape = tuple(shape)

    def __call__(self) -> Tensor:
        """The next draw of every clip, float32 [B, C, F, H, W] on the CPU."""
        return torch.stack([torch.randn(self._shape, generator=g) for g in self._generators])


def guided(
    network: Callable[[Tensor, Tensor, Tensor], Tensor],
    text: Tensor,
    empty: Tensor | None,
    guidance: float,
) -> Denoise:
    """A teacher with classifier-free guidance, e = e_empty + s (e_text - e_empty), in one call.

    Args:
        network: (latents, timesteps [B], text) -> noise.
        text: Features of the prompts [B, L, D].
        empty: Features of the negative prompts; None without guidance.
        guidance: s; at 1 the negative prompts have no say and are not asked.
    """

    def denoise(latents: Tensor, timestep: int) -> Tensor:
        count = len(latents)
        if empty is None or guidance == 1:
            times = torch.full((count,), timestep, device=latents.device)
            return network(latents, times, text).float()
        times = torch.full((2 * count,), timestep, device=latents.device)
        both = network(torch.cat([latents, latents]), times, torch.cat([empty, text])).float()
        without, with_text = both.chunk(2)
        return without + guidance * (with_text - without)

    return denoise


def consistency_sample(
    denoise: Denoise, scheduler: ConsistencyScheduler, draw: Callable[[], Tensor], device: str
) -> Tensor:
    """Clean latents by multistep consistency sampling.

    Args:
        denoise: The student; it knows its guidance.
        scheduler: With `set_timesteps` called.
        draw: The next noise; called once for the start and once per step.
        device: Where the loop runs.

    Returns:
        float32 [B, C, F, H, W]: the last step's denoised latents.
    """
    latents = draw().to(device)
    denoised = latents
    for t in scheduler.timesteps.tolist():
        result: Any = scheduler.step(denoise(latents, t), t, latents, draw().to(device))
        latents, denoised = result.prev_sample, result.denoised
    return denoised


def lvdm_timesteps(steps: int, total: int = TRAIN_STEPS) -> list[int]:
    """VideoCrafter2's own table, rising: 1, 1 + c, 1 + 2c, ... with c = total // steps.

    Where `steps` does not divide `total` the table may be longer by one or more, as theirs is; an
    entry that would leave the schedule (1000 for 3 steps, where theirs fails) is left out.

    Raises:
        UsageError: More steps than half the schedule, where the table would leave it.
    """
    if not 1 <= steps <= total // 2:
        raise UsageError(
            f"{steps} steps with VideoCrafter2's sampler", fix=f"choose 1 to {total // 2}"
        )
    return [t + 1 for t in range(0, total - 1, total // steps)]


def solver_timesteps(steps: int, total: int = TRAIN_STEPS) -> list[int]:
    """The table of the distillation's solver, rising: c - 1, 2c - 1, ... with c = total // steps.

    Raises:
        UsageError: More steps than the schedule has.
    """
    if not 1 <= steps <= total:
        raise UsageError(f"{steps} solver steps", fix=f"choose 1 to {total}")
    return [(i + 1) * (total // steps) - 1 for i in range(steps)]


def ddim_sample(
    denoise: Denoise,
    draw: Callable[[], Tensor],
    device: str,
    times: Sequence[int],
    *,
    rescale: Tensor | None = None,
    eta: float = 0.0,
) -> Tensor:
    """Latents by DDIM on a table of timesteps.

    At timestep t with abar, the next lower one t' with abar' and
    sigma = eta sqrt((1 - abar') / (1 - abar) (1 - abar / abar')): x0 is
    (z - sqrt(1 - abar) e) / sqrt(abar) / r[t], and the next latents are
    sqrt(abar') r[t'] x0 + sqrt(1 - abar' - sigma^2) e + sigma noise. The last t' is 0, so a little
    noise stays in the result, as in VideoCrafter2's program.

    Args:
        denoise: The teacher, guided.
        draw: The next noise; called once for the start and, unless eta is 0, once per step.
        device: Where the loop runs.
        times: Rising, such as `lvdm_timesteps` or `solver_timesteps` gives.
        rescale: The factor r on the signal at each timestep (`latent_rescale`); None means 1.
        eta: Share of fresh noise; VideoCrafter2's published script uses 1.

    Returns:
        float32 [B, C, F, H, W].

    Source: VideoCrafter2 (arXiv 2401.09047), and DDIM (arXiv 2010.02502), equation 12.
    """
    table = noise_alphas_cumprod(dtype=torch.float64)
    factor = torch.ones(TRAIN_STEPS, dtype=torch.float64) if rescale is None else rescale.double()
    latents = draw().to(device)
    for t, lower in reversed(list(zip(times, [0, *times[:-1]], strict=True))):
        abar, before = table[t].item(), table[lower].item()
        sigma = eta * ((1 - before) / (1 - abar) * (1 - abar / before)) ** 0.5
        noise = denoise(latents, t)
        original = (latents - (1 - abar) ** 0.5 * noise) / abar**0.5 / factor[t].item()
        latents = before**0.5 * factor[lower].item() * original
        latents = latents + max(0.0, 1 - before - sigma**2) ** 0.5 * noise
        if eta:
            latents = latents + sigma * draw().to(device)
    return latents


def scheduler_sample(
    denoise: Denoise, scheduler: Any, draw: Callable[[], Tensor], device: str, *, steps: int
) -> Tensor:
    """Latents by one of diffusers' schedulers without fresh noise, such as ModelScope's DDIM.

    Args:
        denoise: The teacher, guided.
        scheduler: From the system's folder.
        draw: The start's noise.
        device: Where the loop runs.
        steps: Number of calls.

    Returns:
        float32 [B, C, F, H, W].
    """
    scheduler.set_timesteps(steps, device=device)
    latents: Tensor = draw().to(device) * scheduler.init_noise_sigma
    for t in scheduler.timesteps:
        noise = denoise(scheduler.scale_model_input(latents, t), int(t))
        latents = scheduler.step(noise, t, latents).prev_sample
    return latents

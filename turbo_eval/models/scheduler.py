"""Multistep consistency sampling as a diffusers scheduler."""

from dataclasses import dataclass
from typing import Any

import torch
from diffusers import ConfigMixin, SchedulerMixin
from diffusers.configuration_utils import register_to_config
from diffusers.utils import BaseOutput
from diffusers.utils.torch_utils import randn_tensor
from torch import Generator, Tensor

from turbo_eval.core.errors import UsageError
from turbo_eval.models.noise import (
    BETA_END,
    BETA_START,
    SIGMA_DATA,
    TIMESTEP_SCALING,
    TRAIN_STEPS,
    add_noise,
    boundary_scalings,
    expand_to,
    noise_alphas_cumprod,
    noise_betas,
    predict_original,
    prediction_type_of,
)


@dataclass
class ConsistencyOutput(BaseOutput):
    """What one step returns.

    Attributes:
        prev_sample: Input of the next step.
        denoised: The consistency function's value; that of the last step is the result.
    """

    prev_sample: Tensor
    denoised: Tensor


class ConsistencyScheduler(SchedulerMixin, ConfigMixin):
    """Sampling with few steps: denoise fully, add noise for the next timestep, and again.

    The result of sampling is the last step's `denoised`, never its `prev_sample`.

    Args:
        prediction_type: What the network predicts: `epsilon`, `sample` or `v_prediction`.
        original_inference_steps: Length of the table that timesteps are picked from: 50 is what
            T2V-Turbo was trained with; the authors' demonstrations pass 200.
        num_train_timesteps: Length of the noise schedule.
        beta_start: First variance.
        beta_end: Last variance.
        sigma_data: See `boundary_scalings`.
        timestep_scaling: See `boundary_scalings`.

    Raises:
        UsageError: Unknown prediction type.

    Source: T2V-Turbo (arXiv 2405.18750); Luo et al. (arXiv 2310.04378), algorithm 3.
    """

    order = 1

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        prediction_type: str = "epsilon",
        original_inference_steps: int = 50,  # noqa: ARG002 - kept in config
        num_train_timesteps: int = TRAIN_STEPS,
        beta_start: float = BETA_START,
        beta_end: float = BETA_END,
        sigma_data: float = SIGMA_DATA,  # noqa: ARG002 - kept in config
        timestep_scaling: float = TIMESTEP_SCALING,  # noqa: ARG002 - kept in config
    ) -> None:
        prediction_type_of(prediction_type)
        self.betas = noise_betas(num_train_timesteps, start=beta_start, end=beta_end)
        self.alphas_cumprod = noise_alphas_cumprod(
            num_train_timesteps, start=beta_start, end=beta_end
        )
        self.init_noise_sigma = 1.0
        self.num_inference_steps: int | None = None
        self.timesteps = torch.arange(num_train_timesteps - 1, -1, -1)
        self._order: dict[int, int] = {}

    def __len__(self) -> int:
        return int(self.config.num_train_timesteps)

    def set_timesteps(
        self,
        num_inference_steps: int,
        device: torch.device | str | None = None,
        original_inference_steps: int | None = None,
    ) -> None:
        """Choose the timesteps of a run; they are in `timesteps`, falling, int64 [n].

        From the table c - 1, 2c - 1, ... with c = T // original_inference_steps, every k-th entry
        is taken from the end, with k = original_inference_steps // n: 999, 759, 519, 279 for 4.

        Args:
            num_inference_steps: n, network calls per sample.
            device: Where `timesteps` lies.
            original_inference_steps: In place of the configured one.

        Raises:
            UsageError: n is below 1 or above the length of the table, or the table is longer than
                the noise schedule.
        """
        table = original_inference_steps or int(self.config.original_inference_steps)
        total, n = int(self.config.num_train_timesteps), num_inference_steps
        if not 1 <= table <= total:
            raise UsageError(
                f"{table} original inference steps",
                why=f"the noise schedule has {total}",
                fix=f"choose between 1 and {total}",
            )
        if not 1 <= n <= table:
            raise UsageError(
                f"{n} inference steps",
                why=f"the table that they are picked from has {table} entries",
                fix=f"choose between 1 and {table}",
            )
        spacing, stride = total // table, table // n
        steps = [(table - i * stride) * spacing - 1 for i in range(n)]
        self.num_inference_steps = n
        self.timesteps = torch.tensor(steps, dtype=torch.int64, device=device)
        self._order = {t: i for i, t in enumerate(steps)}

    def scale_model_input(self, sample: Tensor, timestep: Any = None) -> Tensor:  # noqa: ARG002
        """The network's input: `sample` as it is."""
        return sample

    def step(
        self,
        model_output: Tensor,
        timestep: int | Tensor,
        sample: Tensor,
        noise: Tensor | None = None,
        *,
        generator: Generator | list[Generator] | None = None,
        return_dict: bool = True,
    ) -> ConsistencyOutput | tuple[Tensor, Tensor]:
        """Denoise once and go to the next timestep.

        With one step in all, `prev_sample` is `denoised`. Otherwise noise is added for the next
        timestep, in the last step for the same timestep once more: a value that nobody uses, but
        its noise is drawn, so that generators end in the same state as the authors'.

        Args:
            model_output: What the network predicted, [B, C, F, H, W].
            timestep: One of `timesteps`.
            sample: The network's input z_t, same shape.
            noise: Standard normal in place of a draw.
            generator: Where noise is drawn from otherwise.
            return_dict: False returns a plain pair.

        Returns:
            `ConsistencyOutput`, in the number format of `sample`.

        Raises:
            UsageError: `set_timesteps` was not called, or `timestep` is not in its list.
        """
        t = int(timestep)
        if t not in self._order:
            listed = ", ".join(str(known) for known in self._order) or "none: call set_timesteps"
            raise UsageError(f"timestep {t} is not part of this run", fix=f"there are {listed}")
        steps = list(self._order)
        following = steps[min(self._order[t] + 1, len(steps) - 1)]
        at = torch.full((len(sample),), t, dtype=torch.int64, device=sample.device)
        original = predict_original(
            model_output, sample, at, self.alphas_cumprod, str(self.config.prediction_type)
        )
        c_skip, c_out = boundary_scalings(
            at,
            sigma_data=self.config.sigma_data,
            timestep_scaling=self.config.timestep_scaling,
        )
        exact = expand_to(c_out, sample) * original + expand_to(c_skip, sample) * sample
        denoised = exact.to(sample.dtype)
        prev_sample = denoised
        if len(steps) > 1:
            if noise is None:
                noise = randn_tensor(
                    sample.shape, generator=generator, device=sample.device, dtype=sample.dtype
                )
            then = torch.full_like(at, following)
            prev_sample = add_noise(exact, noise, then, self.alphas_cumprod).to(sample.dtype)
        if not return_dict:
            return prev_sample, denoised
        return ConsistencyOutput(prev_sample=prev_sample, denoised=denoised)

    def add_noise(self, original_samples: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Noisy latents at `timesteps` [B]; see `turbo_eval.models.noise.add_noise`."""
        return add_noise(original_samples, noise, timesteps, self.alphas_cumprod)

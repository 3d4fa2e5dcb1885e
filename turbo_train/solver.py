"""The DDIM solver that carries the teacher's guided prediction over one skipped interval."""

from typing import Self

import torch
from torch import Tensor

from turbo_eval.core.errors import UsageError
from turbo_eval.models.noise import expand_to


class DDIMSolver:
    """DDIM (arXiv 2010.02502) on the equally spaced timesteps of consistency distillation.

    With r = T // N, index i steps from timestep (i + 1) r - 1 down to i r - 1, and index 0 to
    timestep 0 (not to the clean latents). The tables of the lower end are float64 although the
    schedule is float32, as in the authors' program, so `step` returns float64.

    Args:
        alphas_cumprod: abar of the teacher, float32 [T].
        num_steps: N, the number of intervals: 50 in T2V-Turbo, 200 in v2.
        scale_arr: A factor on the signal per timestep (`latent_rescale`); None, as in T2V-Turbo,
            means 1 everywhere.
        eta: Noise added by `step`: 0 is deterministic.

    Attributes:
        timesteps: int64 [N], the upper ends, rising: r - 1, 2 r - 1, ...
        alphas_cumprod: float32 [N], abar at the upper ends.
        alphas_cumprod_prev: float64 [N], abar at the lower ends.
        sigmas: float64 [N], standard deviations of the noise that `eta` adds.
        scale, scale_prev: float64 [N], the signal's factor at both ends.
        step_ratio: r.

    Raises:
        UsageError: `num_steps` is not in 1..T, or `scale_arr` is shorter than the schedule.
    """

    def __init__(
        self,
        alphas_cumprod: Tensor,
        num_steps: int,
        *,
        scale_arr: Tensor | None = None,
        eta: float = 0.0,
    ) -> None:
        train_steps = len(alphas_cumprod)
        if not 1 <= num_steps <= train_steps:
            raise UsageError(
                f"a solver of {num_steps} steps",
                why=f"the teacher's schedule has {train_steps} timesteps",
                fix=f"choose between 1 and {train_steps}",
            )
        if scale_arr is not None and len(scale_arr) < train_steps:
            raise UsageError(
                f"a rescale table of {len(scale_arr)} entries",
                why=f"the teacher's schedule has {train_steps} timesteps",
            )
        abar = alphas_cumprod.detach()
        self.num_steps = num_steps
        self.eta = eta
        self.step_ratio = train_steps // num_steps
        steps = torch.arange(1, num_steps + 1, device=abar.device)
        self.timesteps = steps * self.step_ratio - 1
        self._lower = torch.cat([self.timesteps.new_zeros(1), self.timesteps[:-1]])
        self._table = abar
        self.alphas_cumprod = abar[self.timesteps]
        self.alphas_cumprod_prev = abar[self._lower].double()
        left = (1 - self.alphas_cumprod_prev) / (1 - self.alphas_cumprod)
        kept = self.alphas_cumprod / self.alphas_cumprod_prev
        self.sigmas = eta * (left * (1 - kept)).sqrt()
        self.rescales = scale_arr is not None
        factors = torch.ones(train_steps) if scale_arr is None else scale_arr.detach()
        factors = factors.to(abar.device, torch.float64)
        self.scale, self.scale_prev = factors[self.timesteps], factors[self._lower]

    def to(self, device: torch.device | str) -> Self:
        """Move the tables to a device, in place; returns the solver."""
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(self, name, value.to(device))
        return self

    def step(
        self, pred_x0: Tensor, pred_noise: Tensor, index: Tensor, *, noise: Tensor | None = None
    ) -> Tensor:
        """Latents at the lower end of each interval.

        sqrt(abar_prev) x0 + sqrt(1 - abar_prev) noise; with a rescale table x0 is first multiplied
        by scale_prev / scale, and with `eta` sigma times fresh noise is added. As in the authors'
        program the coefficient of `pred_noise` is not reduced by sigma^2.

        Args:
            pred_x0: Guided clean latents [B, ...].
            pred_noise: Guided noise [B, ...].
            index: int64 [B], intervals 0..N-1.
            noise: What to add when `eta` is not 0; drawn when None.

        Returns:
            float64 [B, ...].
        """
        before = expand_to(self.alphas_cumprod_prev[index], pred_x0)
        if self.rescales:
            pred_x0 = expand_to((self.scale_prev / self.scale)[index], pred_x0) * pred_x0
        result = before.sqrt() * pred_x0 + (1.0 - before).sqrt() * pred_noise
        if self.eta:
            fresh = torch.randn_like(pred_noise) if noise is None else noise
            result = result + expand_to(self.sigmas[index], fresh) * fresh
        return result

    def reverse_step(self, pred_x0: Tensor, pred_noise: Tensor, index: Tensor) -> Tensor:
        """One step of inversion: from the lower end of each interval to its upper end.

        The lower end is max(t - r, 0), with t the upper one; the noise prediction is held fixed,
        so this undoes `step` for exact predictions.

        Args:
            pred_x0: The latents at the lower end [B, ...] (the name is that of `step`, so that
                both are called alike).
            pred_noise: The teacher's noise prediction for them [B, ...].
            index: int64 [B], intervals 0..N-1.

        Returns:
            The latents at `timesteps[index]`, in the precision of the arguments (at least that of
            the schedule).

        Source: v2 of T2V-Turbo (arXiv 2410.05677), motion guidance.
        """
        latents = pred_x0
        upper = self.timesteps[index]
        after = expand_to(self._table[upper], latents)
        before = expand_to(self._table[(upper - self.step_ratio).clamp(min=0)], latents)
        signal = (latents - (1.0 - before).sqrt() * pred_noise) * (after / before).sqrt()
        return signal + (1.0 - after).sqrt() * pred_noise

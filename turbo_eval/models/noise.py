"""Noise schedule, predictions and conditioning of the latent video models, as pure functions.

Everything here is shared by sampling (`turbo_eval.models.scheduler`) and by distillation
(`turbo_train.consistency`). Latents are [B, C, F, H, W]; any shape [B, ...] works. Timesteps are
int64 training steps 0..999. `alphas_cumprod` is written abar below; alpha = sqrt(abar) and
sigma = sqrt(1 - abar).
"""

from typing import Final, Literal, cast

import torch
from torch import Tensor

from turbo_eval.core.errors import UsageError, unknown

TRAIN_STEPS: Final = 1000
BETA_START: Final = 0.00085
BETA_END: Final = 0.012
SIGMA_DATA: Final = 0.5
TIMESTEP_SCALING: Final = 10.0
PREDICTION_TYPES: Final = ("epsilon", "sample", "v_prediction")
PredictionType = Literal["epsilon", "sample", "v_prediction"]


def noise_betas(
    steps: int = TRAIN_STEPS,
    *,
    start: float = BETA_START,
    end: float = BETA_END,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """The variances of VideoCrafter2 and ModelScopeT2V: linear in their square roots.

    diffusers calls this schedule `scaled_linear`; lvdm calls the same one `linear`.

    Args:
        steps: Length T of the schedule.
        start: First variance.
        end: Last variance.
        dtype: float32 equals the scheduler's table, float64 lvdm's own.

    Returns:
        Betas [T] on 0..1.
    """
    return torch.linspace(start**0.5, end**0.5, steps, dtype=dtype) ** 2


def noise_alphas_cumprod(
    steps: int = TRAIN_STEPS,
    *,
    start: float = BETA_START,
    end: float = BETA_END,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """The share of signal variance left after t + 1 steps of noise, abar [T], falling from 1.

    Arguments as in `noise_betas`. With the defaults abar is 0.99915 at 0 and 0.00466 at 999; the
    float32 and the float64 table differ by up to 1e-6 relative.
    """
    return torch.cumprod(1.0 - noise_betas(steps, start=start, end=end, dtype=dtype), dim=0)


def latent_rescale(
    mid_step: int = 400, last: float = 0.7, *, length: int = TRAIN_STEPS, first: float = 1.0
) -> Tensor:
    """VideoCrafter2's factor on the signal at each timestep (its `scale_arr`): float64.

    Only sampling the VideoCrafter2 teacher by itself uses it; distillation does not. The table is
    `mid_step` entries longer than the schedule, as in published checkpoints; only the first
    `length` entries mean something.

    Args:
        mid_step: Where the linear fall ends.
        last: The value from there on (0.7 for VideoCrafter2).
        length: Length of the flat part.
        first: The value at timestep 0.

    Returns:
        [mid_step + length].
    """
    fall = torch.linspace(first, last, mid_step, dtype=torch.float64)
    return torch.cat([fall, torch.full((length,), last, dtype=torch.float64)])


def expand_to(values: Tensor, like: Tensor) -> Tensor:
    """Values [B] with trailing axes of length 1, so that they multiply `like` [B, ...]."""
    return values.reshape(values.shape + (1,) * (like.ndim - values.ndim))


def _alpha_sigma(timesteps: Tensor, alphas_cumprod: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    table = alphas_cumprod.to(like.device)
    at = timesteps.to(like.device)
    alpha, sigma = table.sqrt()[at], (1.0 - table).sqrt()[at]
    return expand_to(alpha, like), expand_to(sigma, like)


def prediction_type_of(name: str) -> PredictionType:
    """The checked name of what a network predicts.

    Raises:
        UsageError: The name is none of `PREDICTION_TYPES`.
    """
    if name not in PREDICTION_TYPES:
        raise unknown("prediction type", name, PREDICTION_TYPES)
    return cast(PredictionType, name)


def predict_original(
    model_output: Tensor,
    sample: Tensor,
    timesteps: Tensor,
    alphas_cumprod: Tensor,
    prediction_type: str,
) -> Tensor:
    """The clean latents that a network's output implies (x0).

    Args:
        model_output: What the network returned, [B, ...].
        sample: Its noisy input z_t, [B, ...].
        timesteps: int64 [B].
        alphas_cumprod: abar, float32 [T]; the result has at least this precision.
        prediction_type: `epsilon`: (z - sigma m) / alpha. `sample`: m. `v_prediction`:
            alpha z - sigma m.

    Returns:
        [B, ...], neither clipped nor thresholded.

    Raises:
        UsageError: Unknown prediction type.

    Source: T2V-Turbo (arXiv 2405.18750) and Salimans and Ho (arXiv 2202.00512) for v.
    """
    kind = prediction_type_of(prediction_type)
    if kind == "sample":
        return model_output
    alpha, sigma = _alpha_sigma(timesteps, alphas_cumprod, sample)
    if kind == "epsilon":
        return (sample - sigma * model_output) / alpha
    return alpha * sample - sigma * model_output


def predict_noise(
    model_output: Tensor,
    sample: Tensor,
    timesteps: Tensor,
    alphas_cumprod: Tensor,
    prediction_type: str,
) -> Tensor:
    """The noise that a network's output implies; arguments and errors as in `predict_original`.

    `epsilon`: m. `sample`: (z - alpha m) / sigma. `v_prediction`: alpha m + sigma z.
    """
    kind = prediction_type_of(prediction_type)
    if kind == "epsilon":
        return model_output
    alpha, sigma = _alpha_sigma(timesteps, alphas_cumprod, sample)
    if kind == "sample":
        return (sample - alpha * model_output) / sigma
    return alpha * model_output + sigma * sample


def add_noise(
    original: Tensor,
    noise: Tensor,
    timesteps: Tensor,
    alphas_cumprod: Tensor,
    *,
    round_table: bool = False,
) -> Tensor:
    """Noisy latents z_t = alpha x0 + sigma noise, in the number format of `original`.

    Args:
        original: Clean latents x0, [B, ...].
        noise: Standard normal, same shape.
        timesteps: int64 [B].
        alphas_cumprod: abar [T].
        round_table: Round abar to the format of `original` before its square roots are taken. The
            authors' program does so; with bfloat16 latents z_t moves by up to 0.06.

    Returns:
        [B, ...].
    """
    table = alphas_cumprod.to(original.dtype) if round_table else alphas_cumprod
    alpha, sigma = _alpha_sigma(timesteps, table, original)
    return (alpha * original + sigma * noise).to(original.dtype)


def velocity(original: Tensor, noise: Tensor, timesteps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    """The target of v-prediction, alpha noise - sigma x0; arguments as in `add_noise`."""
    alpha, sigma = _alpha_sigma(timesteps, alphas_cumprod, original)
    return alpha * noise - sigma * original


def boundary_scalings(
    timesteps: Tensor,
    *,
    sigma_data: float = SIGMA_DATA,
    timestep_scaling: float = TIMESTEP_SCALING,
) -> tuple[Tensor, Tensor]:
    """The factors of the consistency function f = c_skip z + c_out x0.

    With s = timestep_scaling * t: c_skip = sigma_data^2 / (s^2 + sigma_data^2) and
    c_out = s / sqrt(s^2 + sigma_data^2). At t = 0 they are exactly 1 and 0, so f(z, 0) = z.

    Args:
        timesteps: Training steps, any shape, integer or float.
        sigma_data: Standard deviation of the data.
        timestep_scaling: Factor on t.

    Returns:
        (c_skip, c_out), of the shape of `timesteps`, float32 (float64 for float64 timesteps).

    Source: T2V-Turbo, equation 3; Luo et al., Latent Consistency Models (arXiv 2310.04378).
    """
    t = timesteps if timesteps.dtype == torch.float64 else timesteps.to(torch.float32)
    scaled = t * timestep_scaling
    total = scaled**2 + sigma_data**2
    return sigma_data**2 / total, scaled / total**0.5


def guidance_embedding(w: Tensor, dim: int) -> Tensor:
    """Sinusoids of a guidance scale: [sin(1000 w f), cos(1000 w f)].

    f_j = exp(-ln(10000) j / (dim // 2 - 1)). This differs from the embedding of timesteps in the
    order, in the factor 1000 and in the divisor. 1000 w reaches 15000, so the arithmetic is
    float32 whatever comes in: cast the result, never `w`.

    Args:
        w: Guidance scales [B].
        dim: Width, at least 4; an odd width ends with a zero.

    Returns:
        float32 [B, dim] on -1..1.

    Raises:
        UsageError: `dim` is below 4, or `w` is not a vector.

    Source: the LCM paper's implementation, which T2V-Turbo follows.
    """
    if dim < 4:
        raise UsageError(
            f"guidance embedding of width {dim}", why="the frequencies need a width of 4 or more"
        )
    if w.ndim != 1:
        raise UsageError(
            f"guidance scales of shape {tuple(w.shape)}",
            why="one scale per sample is needed, shape [B]",
        )
    half = dim // 2
    rate = torch.log(torch.tensor(10000.0)) / (half - 1)
    frequencies = torch.exp(torch.arange(half, dtype=torch.float32) * -rate).to(w.device)
    angles = (w.float() * 1000.0)[:, None] * frequencies[None, :]
    embedding = torch.cat([angles.sin(), angles.cos()], dim=1)
    return torch.nn.functional.pad(embedding, (0, dim % 2))

"""The mathematics of consistency distillation: the function, its conversions and its losses.

Schedule, scalings, conversions and the guidance embedding are shared with sampling and live in
`turbo_eval.models.noise`; this module is their public place for training.
"""

from torch import Tensor

from turbo_eval.models.noise import (
    PREDICTION_TYPES,
    SIGMA_DATA,
    TIMESTEP_SCALING,
    TRAIN_STEPS,
    add_noise,
    boundary_scalings,
    expand_to,
    guidance_embedding,
    noise_alphas_cumprod,
    noise_betas,
    predict_noise,
    predict_original,
    velocity,
)

__all__ = [
    "PREDICTION_TYPES",
    "SIGMA_DATA",
    "TIMESTEP_SCALING",
    "TRAIN_STEPS",
    "add_noise",
    "boundary_scalings",
    "consistency_output",
    "expand_to",
    "guidance_embedding",
    "guide",
    "l2",
    "noise_alphas_cumprod",
    "noise_betas",
    "predict_noise",
    "predict_original",
    "pseudo_huber",
    "velocity",
]


def consistency_output(
    original: Tensor,
    sample: Tensor,
    timesteps: Tensor,
    *,
    sigma_data: float = SIGMA_DATA,
    timestep_scaling: float = TIMESTEP_SCALING,
) -> Tensor:
    """The consistency function f(z_t, t) = c_skip(t) z_t + c_out(t) x0.

    Args:
        original: x0 as predicted at t, [B, ...]; see `predict_original`.
        sample: z_t, [B, ...].
        timesteps: int64 [B].
        sigma_data: See `boundary_scalings`.
        timestep_scaling: See `boundary_scalings`.

    Returns:
        [B, ...]; exactly `sample` where t is 0 (and `original` is finite). It is as precise as
        the most precise argument.

    Source: T2V-Turbo (arXiv 2405.18750), section 2.
    """
    c_skip, c_out = boundary_scalings(
        timesteps, sigma_data=sigma_data, timestep_scaling=timestep_scaling
    )
    return expand_to(c_skip, sample) * sample + expand_to(c_out, sample) * original


def guide(conditional: Tensor, unconditional: Tensor, w: Tensor) -> Tensor:
    """Classifier-free guidance in the form of LCM: cond + w (cond - uncond).

    It equals the form of Imagen at scale w + 1. Distillation guides x0 and noise each by itself.

    Args:
        conditional: Prediction with the caption, [B, ...].
        unconditional: Prediction with the empty caption, same shape.
        w: Scales [B].

    Returns:
        [B, ...].
    """
    return conditional + expand_to(w, conditional) * (conditional - unconditional)


def pseudo_huber(prediction: Tensor, target: Tensor, c: float) -> Tensor:
    """The mean of sqrt((p - q)^2 + c^2) - c over all elements, computed in float32.

    Args:
        prediction: Any shape.
        target: Same shape.
        c: Where the loss turns from quadratic to linear; T2V-Turbo trains with 0.001.

    Returns:
        Scalar >= 0, up to rounding.
    """
    difference = prediction.float() - target.float()
    return ((difference**2 + c**2).sqrt() - c).mean()


def l2(prediction: Tensor, target: Tensor) -> Tensor:
    """The mean squared difference over all elements, computed in float32: a scalar."""
    return ((prediction.float() - target.float()) ** 2).mean()

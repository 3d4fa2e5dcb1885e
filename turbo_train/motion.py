"""Motion guidance of T2V-Turbo v2: a reference clip's temporal attention steers the teacher.

Source: T2V-Turbo-v2 (arXiv 2410.05677), section 3.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from turbo_eval.core.errors import UsageError
from turbo_eval.models.noise import expand_to
from turbo_train.solver import DDIMSolver

LOSS_SCALE = 100.0
SCORE_SCALE = 100.0


def effective_scale(
    index: Tensor, allowed: Tensor, *, num_steps: int, scale: float, percentage: float = 0.5
) -> Tensor:
    """The motion guidance scale of each sample, 0 where guidance is off: float32 [B].

    Args:
        index: Solver intervals, int64 [B].
        allowed: Whether the sample has a reference, bool [B].
        num_steps: N of the solver.
        scale: The scale where guidance is on.
        percentage: The noisy share of the intervals in which it is on: index >= (1 - p) N.
    """
    active = allowed & (index >= (1 - percentage) * num_steps)
    return scale * active.to(torch.float32)


def guide_noise(
    pred_noise: Tensor, score: Tensor, scale: Tensor, timesteps: Tensor, alphas_cumprod: Tensor
) -> Tensor:
    """Noise that moves towards the reference's motion: eps - scale sqrt(1 - alpha) score.

    alpha is sqrt(abar), as in the authors' program. x0 stays as it is, which makes the minus sign
    a descent.

    Args:
        pred_noise: Guided noise [B, ...].
        score: The gradient of the motion loss, same shape.
        scale: [B], from `effective_scale`.
        timesteps: int64 [B].
        alphas_cumprod: abar [T].
    """
    alpha = alphas_cumprod.sqrt()[timesteps]
    factor = expand_to(scale * (1.0 - alpha).sqrt(), pred_noise)
    return pred_noise - factor * score


def attention_loss(reference: Tensor, generated: Tensor, *, rank: int = 1) -> Tensor:
    """Mean squared difference at the `rank` largest entries of each row of the reference map.

    Args:
        reference: Attention probabilities [N, Q, K]; keys last.
        generated: Same shape; gradients flow through it.
        rank: How many keys per query count.

    Returns:
        Scalar.
    """
    where = reference.topk(rank, dim=-1).indices
    difference = generated.gather(-1, where) - reference.gather(-1, where)
    return (difference**2).mean()


def motion_loss(reference: Sequence[Tensor], generated: Sequence[Tensor]) -> Tensor:
    """The mean of `attention_loss` over layers, times 100: a scalar.

    Raises:
        UsageError: The two have different numbers of maps, or none.
    """
    if not reference or len(reference) != len(generated):
        raise UsageError(
            f"motion loss of {len(reference)} and {len(generated)} attention maps",
            why="both clips need one map per temporal layer",
        )
    losses = [attention_loss(r, g) for r, g in zip(reference, generated, strict=True)]
    return LOSS_SCALE * torch.stack(losses).mean()


class _Recorder:
    """An attention processor that keeps its probabilities [B * heads, Q, K]."""

    def __init__(self, kept: list[Tensor]) -> None:
        self._kept = kept

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        **_: Any,
    ) -> Tensor:
        source = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query = attn.head_to_batch_dim(attn.to_q(hidden_states))
        key = attn.head_to_batch_dim(attn.to_k(source))
        value = attn.head_to_batch_dim(attn.to_v(source))
        probabilities = attn.get_attention_scores(query, key, attention_mask)
        self._kept.append(probabilities)
        mixed: Tensor = attn.to_out[0](attn.batch_to_head_dim(probabilities @ value))
        return mixed


def temporal_layers(unet: nn.Module) -> list[nn.Module]:
    """First self-attention of each temporal transformer on the way up, in order of evaluation.

    In VideoCrafter2 these are output blocks 3 to 11, all that have one; the first level (blocks 0
    to 2) has none there. In smaller networks the authors' count of blocks means the same thing
    only by chance, so pass your own choice to `record_attention` where it matters.
    """
    return [
        module
        for name, module in unet.named_modules()
        if name.startswith("up_blocks.") and ".temp_attentions." in name and name.endswith("attn1")
    ]


@contextmanager
def record_attention(layers: Iterable[nn.Module]) -> Iterator[list[Tensor]]:
    """Collect the attention maps of diffusers attention layers while the context is open.

    Yields:
        A list that grows by one map [B * heads, Q, K] per layer and call.
    """
    kept: list[Tensor] = []
    chosen: list[Any] = list(layers)
    before = [layer.processor for layer in chosen]
    for layer in chosen:
        layer.processor = _Recorder(kept)
    try:
        yield kept
    finally:
        for layer, processor in zip(chosen, before, strict=True):
            layer.processor = processor


def motion_score(
    teacher: Callable[[Tensor], Tensor],
    layers: Sequence[nn.Module],
    noisy: Tensor,
    reference: Tensor,
) -> tuple[Tensor, Tensor]:
    """The gradient of the motion loss with respect to z_t, times 100.

    Args:
        teacher: The frozen network at the timestep and text of the clip, latents -> prediction.
        layers: Its temporal self-attentions, from `temporal_layers`.
        noisy: z_t [B, C, F, H, W].
        reference: The inverted reference clip at the same timestep.

    Returns:
        (score, prediction for z_t), both detached, of the shape of `noisy`.
    """
    with torch.no_grad(), record_attention(layers) as kept:
        teacher(reference)
        wanted = list(kept)
    with torch.enable_grad(), record_attention(layers) as kept:
        z = noisy.detach().requires_grad_(True)
        prediction = teacher(z)
        loss = SCORE_SCALE * motion_loss(wanted, kept)
        (score,) = torch.autograd.grad(loss, z)
    return score, prediction.detach()


@torch.no_grad()
def invert(
    teacher: Callable[[Tensor, Tensor], Tensor], solver: DDIMSolver, latents: Tensor, steps: int
) -> Tensor:
    """Carry clean latents up to noise by the solver's reverse steps.

    Args:
        teacher: (latents, timesteps int64 [B]) -> noise.
        solver: The solver.
        latents: Clean latents [B, C, F, H, W].
        steps: How many steps, from interval 0 on.

    Returns:
        The latents after each step, [steps, B, C, F, H, W]; the last are at
        `solver.timesteps[steps - 1]`.
    """
    seen, current = [], latents
    for position in range(steps):
        index = torch.full((len(latents),), position, device=latents.device)
        noise = teacher(current, solver.timesteps[index])
        current = solver.reverse_step(current, noise, index)
        seen.append(current)
    return torch.stack(seen)

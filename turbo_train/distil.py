"""One step of consistency distillation from a teacher: every value from latents to target."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from turbo_eval.core.errors import ConfigError
from turbo_train.consistency import (
    add_noise,
    consistency_output,
    guide,
    predict_noise,
    predict_original,
)
from turbo_train.solver import DDIMSolver

# (latents, timesteps, text features) -> prediction
Teacher = Callable[[Tensor, Tensor, Tensor], Tensor]
# (latents, timesteps, text features, guidance embedding) -> prediction
Student = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Distillation:
    """Schedule, solver and kinds of prediction of one training run.

    Args:
        alphas_cumprod: abar of the teacher, float32 [T].
        solver: The solver over it.
        prediction_type: What teacher and student predict.
        skip: Timesteps per distilled interval; the solver's own interval when None.
        round_table: See `add_noise`; True reproduces the authors' program in bfloat16.

    Raises:
        ConfigError: `skip` differs from the solver's interval, so that the solver would arrive
            at another timestep than the one that the target is evaluated at.
    """

    alphas_cumprod: Tensor
    solver: DDIMSolver
    prediction_type: str = "epsilon"
    skip: int | None = None
    round_table: bool = False

    def __post_init__(self) -> None:
        if self.skip is not None and self.skip != self.solver.step_ratio:
            raise ConfigError(
                f"intervals of {self.skip} timesteps",
                why=f"the solver of {self.solver.num_steps} steps has {self.solver.step_ratio}",
                fix=f"set both to {self.solver.step_ratio}, or leave the interval out",
            )

    def start(self, index: Tensor) -> Tensor:
        """The timesteps that the student starts from, int64 [B]."""
        return self.solver.timesteps[index]

    def end(self, index: Tensor) -> Tensor:
        """The timesteps that the solver arrives at, int64 [B]; 0 for index 0."""
        return (self.start(index) - self.solver.step_ratio).clamp(min=0)

    def original(self, output: Tensor, sample: Tensor, timesteps: Tensor) -> Tensor:
        """x0 as a network's output implies it; see `predict_original`."""
        return predict_original(
            output, sample, timesteps, self.alphas_cumprod, self.prediction_type
        )

    def noise(self, output: Tensor, sample: Tensor, timesteps: Tensor) -> Tensor:
        """The noise that a network's output implies; see `predict_noise`."""
        return predict_noise(output, sample, timesteps, self.alphas_cumprod, self.prediction_type)


@dataclass(frozen=True, slots=True)
class Prediction:
    """The student's side of a step; gradients flow through `model_pred`.

    Attributes:
        start: Timesteps [B].
        noisy: z_t, the student's input.
        output: What the student's network returned.
        original: x0 that it implies.
        model_pred: The consistency function, in at least float32.
    """

    start: Tensor
    noisy: Tensor
    output: Tensor
    original: Tensor
    model_pred: Tensor


@dataclass(frozen=True, slots=True)
class Target:
    """The teacher's side of a step; nothing here carries gradients.

    Attributes:
        end: Timesteps [B] that the solver arrives at.
        conditional: The teacher's output with the caption.
        unconditional: The teacher's output with the empty caption.
        guided_x0: x0 after guidance.
        guided_noise: Noise after guidance (and motion guidance, where there is some).
        x_prev: Latents at `end`, float64.
        output: What the student's network returned there.
        target: The consistency function there, float64.
    """

    end: Tensor
    conditional: Tensor
    unconditional: Tensor
    guided_x0: Tensor
    guided_noise: Tensor
    x_prev: Tensor
    output: Tensor
    target: Tensor


def predict(
    student: Student,
    run: Distillation,
    latents: Tensor,
    noise: Tensor,
    index: Tensor,
    text: Tensor,
    guidance: Tensor,
) -> Prediction:
    """The student's jump from z_t to clean latents.

    Args:
        student: The network that is trained.
        run: Schedule and solver.
        latents: Clean latents, scaled, [B, C, F, H, W].
        noise: Standard normal, same shape.
        index: Solver intervals, int64 [B].
        text: Text features [B, L, D].
        guidance: Guidance embedding [B, E].
    """
    start = run.start(index)
    noisy = add_noise(latents, noise, start, run.alphas_cumprod, round_table=run.round_table)
    output = student(noisy, start, text, guidance)
    original = run.original(output, noisy, start)
    return Prediction(start, noisy, output, original, consistency_output(original, noisy, start))


@torch.no_grad()
def make_target(
    teacher: Teacher,
    student: Student,
    run: Distillation,
    noisy: Tensor,
    index: Tensor,
    text: Tensor,
    empty_text: Tensor,
    w: Tensor,
    guidance: Tensor,
    *,
    change_noise: Callable[[Tensor], Tensor] | None = None,
) -> Target:
    """What the student should have returned, by one guided solver step of the teacher.

    Both calls of the teacher are one batch. The student's own value at the arrival is the target
    (no averaged copy, as in the authors' program); pass an averaged network as `student` for one.

    Args:
        teacher: The frozen network.
        student: The network whose value at the arrival is the target.
        run: Schedule and solver.
        noisy: z_t, [B, C, F, H, W].
        index: Solver intervals, int64 [B].
        text: Text features [B, L, D].
        empty_text: Those of the empty caption, [B, L, D].
        w: Guidance scales [B].
        guidance: Their embedding [B, E].
        change_noise: Applied to the guided noise before the solver's step (motion guidance).
    """
    start, end = run.start(index), run.end(index)
    both = teacher(
        torch.cat([noisy, noisy]), torch.cat([start, start]), torch.cat([text, empty_text])
    )
    conditional, unconditional = both.chunk(2)
    scale = w.to(noisy.dtype)
    guided_x0 = guide(
        run.original(conditional, noisy, start), run.original(unconditional, noisy, start), scale
    )
    guided_noise = guide(
        run.noise(conditional, noisy, start), run.noise(unconditional, noisy, start), scale
    )
    if change_noise is not None:
        guided_noise = change_noise(guided_noise)
    x_prev = run.solver.step(guided_x0, guided_noise, index)
    output = student(x_prev.to(noisy.dtype), end, text, guidance)
    target = consistency_output(run.original(output, x_prev, end), x_prev, end)
    return Target(end, conditional, unconditional, guided_x0, guided_noise, x_prev, output, target)

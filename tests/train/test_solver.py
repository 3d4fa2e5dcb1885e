import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from turbo_eval.core.errors import ConfigError, UsageError
from turbo_eval.models.noise import latent_rescale
from turbo_train.consistency import add_noise, noise_alphas_cumprod
from turbo_train.distil import Distillation, make_target, predict
from turbo_train.motion import (
    attention_loss,
    effective_scale,
    guide_noise,
    invert,
    motion_loss,
)
from turbo_train.solver import DDIMSolver

ABAR = noise_alphas_cumprod()


def draw(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x0, noise = torch.randn(2, count, 4, 2, 3, 3, generator=generator, dtype=torch.float64)
    return x0, noise


def test_timesteps_and_ends() -> None:
    solver = DDIMSolver(ABAR, 50)
    assert solver.timesteps[:3].tolist() == [19, 39, 59]
    assert solver.timesteps[-1] == 999
    assert solver.alphas_cumprod_prev.dtype == torch.float64
    assert solver.alphas_cumprod_prev[0] == ABAR[0].double()
    assert solver.alphas_cumprod_prev[1] == ABAR[19].double()
    assert DDIMSolver(ABAR, 3).timesteps.tolist() == [332, 665, 998]


@given(st.sampled_from([1, 8, 50, 200, 1000]), st.integers(0, 999), st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_exact_predictions_land_on_the_noising_path(steps: int, pick: int, seed: int) -> None:
    solver = DDIMSolver(ABAR, steps)
    x0, noise = draw(1, seed)
    index = torch.tensor([pick % steps])
    start = solver.timesteps[index]
    lower = torch.where(index > 0, start - solver.step_ratio, torch.zeros_like(start))
    wanted = add_noise(x0, noise, lower, ABAR.double())
    assert torch.allclose(solver.step(x0, noise, index), wanted, rtol=1e-9, atol=1e-9)
    if index > 0:
        there = add_noise(x0, noise, start, ABAR.double())
        back = solver.reverse_step(wanted, noise, index)
        assert torch.allclose(back, there, rtol=1e-5, atol=1e-5)


def test_rescaling_and_fresh_noise() -> None:
    table = latent_rescale()
    assert table.shape == (1400,)
    assert (table[0].item(), table[399].item(), table[999].item()) == pytest.approx((1, 0.7, 0.7))
    x0, noise = draw(1, 0)
    index = torch.tensor([4])
    plain = DDIMSolver(ABAR, 50)
    scaled = DDIMSolver(ABAR, 50, scale_arr=table)
    ratio = table[79] / table[99]
    assert torch.allclose(scaled.step(x0, noise, index), plain.step(ratio * x0, noise, index))
    loud = DDIMSolver(ABAR, 50, eta=0.5)
    added = loud.step(x0, noise, index, noise=torch.ones_like(noise)) - plain.step(x0, noise, index)
    assert torch.allclose(added, loud.sigmas[4].expand_as(added))
    torch.manual_seed(0)
    assert not torch.equal(loud.step(x0, noise, index), loud.step(x0, noise, index))


def test_solver_moves_its_tables() -> None:
    assert DDIMSolver(ABAR, 4).to("meta").timesteps.device.type == "meta"


@pytest.mark.parametrize("steps", [0, 1001])
def test_solver_refuses_a_number_of_steps(steps: int) -> None:
    with pytest.raises(UsageError, match="1000"):
        DDIMSolver(ABAR, steps)
    with pytest.raises(UsageError, match="rescale"):
        DDIMSolver(ABAR, 50, scale_arr=torch.ones(5))


def test_a_perfect_teacher_makes_a_perfect_target() -> None:
    """With a network that knows x0, prediction and target are x0 wherever t > 0."""
    run = Distillation(ABAR, DDIMSolver(ABAR, 50), prediction_type="sample", skip=20)
    x0, noise = (t.float() for t in draw(2, 1))
    index, w = torch.tensor([0, 30]), torch.tensor([5.0, 14.0])
    text, embedding = torch.zeros(2, 7, 8), torch.zeros(2, 16)
    sizes = []

    def teacher(z: torch.Tensor, t: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        sizes.append(len(z))
        return torch.cat([x0, x0])

    def student(
        z: torch.Tensor, t: torch.Tensor, features: torch.Tensor, guidance: torch.Tensor
    ) -> torch.Tensor:
        return x0

    seen = predict(student, run, x0, noise, index, text, embedding)
    assert torch.allclose(seen.model_pred, x0, atol=1e-4)
    made = make_target(teacher, student, run, seen.noisy, index, text, text, w, embedding)
    assert sizes == [4]  # both calls are one batch
    assert made.end.tolist() == [0, 599]
    assert torch.equal(made.target[0], made.x_prev[0])  # the boundary condition
    assert torch.allclose(made.target[1], x0[1].double(), atol=1e-4)
    moved = make_target(
        teacher, student, run, seen.noisy, index, text, text, w, embedding,
        change_noise=lambda eps: eps + 1,
    )  # fmt: skip
    assert torch.equal(moved.guided_x0, made.guided_x0)
    assert (moved.x_prev - made.x_prev).abs().min() > 0


def test_an_interval_of_another_length_is_refused() -> None:
    with pytest.raises(ConfigError, match="20"):
        Distillation(ABAR, DDIMSolver(ABAR, 50), skip=5)


def test_motion_guidance_by_hand() -> None:
    index, allowed = torch.tensor([10, 30, 30]), torch.tensor([True, True, False])
    scale = effective_scale(index, allowed, num_steps=50, scale=0.05)
    assert scale.tolist() == pytest.approx([0, 0.05, 0])
    eps, score = torch.zeros(3, 1), torch.ones(3, 1)
    guided = guide_noise(eps, score, scale, torch.tensor([219, 619, 619]), ABAR)
    factor = (1 - ABAR[619].sqrt()).sqrt().item()
    assert guided.flatten().tolist() == pytest.approx([0, -0.05 * factor, 0])


def test_motion_loss_looks_at_the_largest_entries() -> None:
    reference = torch.tensor([[[0.1, 0.7, 0.2]]])
    generated = torch.tensor([[[0.5, 0.4, 0.1]]])
    assert attention_loss(reference, generated).item() == pytest.approx(0.09)
    assert attention_loss(reference, generated, rank=2).item() == pytest.approx((0.09 + 0.01) / 2)
    both = motion_loss([reference, reference], [generated, reference])
    assert both.item() == pytest.approx(100 * 0.09 / 2)
    with pytest.raises(UsageError):
        motion_loss([reference], [])


def test_inversion_with_a_constant_noise_follows_the_path() -> None:
    x0, noise = draw(1, 5)
    solver = DDIMSolver(ABAR, 50)
    start = add_noise(x0, noise, torch.tensor([0]), ABAR.double())
    seen: list[int] = []

    def teacher(z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        seen.append(int(t))
        return noise

    path = invert(teacher, solver, start, 3)
    assert seen == [19, 39, 59]
    wanted = add_noise(x0, noise, torch.tensor([59]), ABAR.double())
    assert torch.allclose(path[-1], wanted, atol=1e-5)

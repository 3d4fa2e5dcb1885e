from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from turbo_eval.core.errors import UsageError
from turbo_eval.models.scheduler import ConsistencyScheduler


@pytest.mark.parametrize(
    ("table", "steps", "wanted"),
    [
        (50, 1, [999]),
        (50, 4, [999, 759, 519, 279]),
        (50, 8, [999, 879, 759, 639, 519, 399, 279, 159]),
        (200, 4, [999, 749, 499, 249]),
        (25, 3, [999, 679, 359]),
    ],
)
def test_timesteps(table: int, steps: int, wanted: list[int]) -> None:
    scheduler = ConsistencyScheduler(original_inference_steps=table)
    scheduler.set_timesteps(steps)
    assert scheduler.timesteps.tolist() == wanted
    other = ConsistencyScheduler()
    other.set_timesteps(steps, "cpu", original_inference_steps=table)
    assert other.timesteps.tolist() == wanted


@given(st.integers(1, 1000), st.data())
@settings(max_examples=40, deadline=None)
def test_timesteps_fall_and_stay_inside(table: int, data: st.DataObject) -> None:
    steps = data.draw(st.integers(1, table))
    scheduler = ConsistencyScheduler(original_inference_steps=table)
    scheduler.set_timesteps(steps)
    found = scheduler.timesteps
    assert len(found) == steps
    assert bool((found.diff() < 0).all())
    assert 0 <= int(found[-1]) <= int(found[0]) <= 999


@pytest.mark.parametrize(("steps", "table"), [(51, 50), (0, 50), (4, 1001)])
def test_impossible_numbers_of_steps_are_refused(steps: int, table: int) -> None:
    with pytest.raises(UsageError):
        ConsistencyScheduler().set_timesteps(steps, original_inference_steps=table)


def test_a_perfect_network_is_denoised_and_noised_again() -> None:
    scheduler = ConsistencyScheduler(prediction_type="sample")
    scheduler.set_timesteps(2)
    x0, z, noise = torch.randn(3, 2, 4, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    result = scheduler.step(x0, 999, z, noise)
    assert torch.allclose(result.denoised, x0, atol=1e-5)
    abar = scheduler.alphas_cumprod[499]
    wanted = abar.sqrt() * result.denoised + (1 - abar).sqrt() * noise
    assert torch.allclose(result.prev_sample, wanted, atol=1e-6)
    # The last step adds noise for its own timestep; nobody uses it.
    last = scheduler.step(x0, torch.tensor(499), result.prev_sample, noise, return_dict=False)
    assert torch.allclose(last[1], x0, atol=1e-5)
    again = abar.sqrt() * last[1] + (1 - abar).sqrt() * noise
    assert torch.allclose(last[0], again, atol=1e-6)


def test_one_step_draws_nothing_and_several_draw_once_each() -> None:
    x = torch.zeros(1, 4, 2, 3, 3)
    generator = torch.Generator().manual_seed(1)
    before = generator.get_state()
    scheduler = ConsistencyScheduler()
    scheduler.set_timesteps(1)
    result = scheduler.step(x, 999, x, generator=generator)
    assert torch.equal(result.prev_sample, result.denoised)
    assert torch.equal(generator.get_state(), before)
    scheduler.set_timesteps(2)
    for timestep in scheduler.timesteps:
        scheduler.step(x, timestep, x, generator=generator)
    reference = torch.Generator().manual_seed(1)
    for _ in range(2):
        torch.randn(x.shape, generator=reference)
    assert torch.equal(generator.get_state(), reference.get_state())


def test_unknown_timestep_and_prediction_type() -> None:
    x = torch.zeros(1, 1)
    with pytest.raises(UsageError, match="set_timesteps"):
        ConsistencyScheduler().step(x, 999, x)
    with pytest.raises(UsageError, match="epsilon"):
        ConsistencyScheduler(prediction_type="eps")


def test_half_precision_stays_half_and_is_computed_in_float() -> None:
    scheduler = ConsistencyScheduler()
    scheduler.set_timesteps(4)
    x, noise = torch.randn(2, 1, 4, 2, 3, 3, generator=torch.Generator().manual_seed(2))
    half = scheduler.step(x.half(), 279, x.half(), noise.half())
    full = scheduler.step(x.half().float(), 279, x.half().float(), noise.half().float())
    assert half.denoised.dtype == torch.float16
    assert torch.equal(half.denoised, full.denoised.half())


def test_it_saves_and_loads_as_diffusers_schedulers_do(tmp_path: Path) -> None:
    scheduler = ConsistencyScheduler(original_inference_steps=200, prediction_type="v_prediction")
    scheduler.save_pretrained(tmp_path)
    back = ConsistencyScheduler.from_pretrained(tmp_path)
    assert back.config.original_inference_steps == 200
    assert back.config.prediction_type == "v_prediction"
    assert len(back) == 1000
    x = torch.ones(2, 1)
    assert back.scale_model_input(x, 3) is x
    noisy = back.add_noise(x, torch.zeros_like(x), torch.tensor([0, 999]))
    assert torch.allclose(noisy.flatten() ** 2, back.alphas_cumprod[[0, 999]])

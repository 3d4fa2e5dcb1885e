import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from turbo_eval.core.errors import UsageError
from turbo_train.consistency import (
    PREDICTION_TYPES,
    add_noise,
    boundary_scalings,
    consistency_output,
    guidance_embedding,
    guide,
    l2,
    noise_alphas_cumprod,
    predict_noise,
    predict_original,
    pseudo_huber,
    velocity,
)

ABAR = noise_alphas_cumprod()
TIMESTEPS = st.lists(st.integers(0, 999), min_size=1, max_size=4)


def pair(timesteps: list[int], seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x0, noise = torch.randn(2, len(timesteps), 4, 2, 3, 3, generator=generator, dtype=torch.float64)
    return x0, noise, torch.tensor(timesteps)


def test_schedule_has_the_published_values() -> None:
    published = {0: 0.99915, 19: 0.98224396, 259: 0.65897524, 499: 0.27766943, 999: 0.0046601}
    for timestep, value in published.items():
        assert ABAR[timestep].item() == pytest.approx(value, rel=1e-5)
    assert ABAR.dtype == torch.float32
    assert ABAR.shape == (1000,)
    exact = noise_alphas_cumprod(dtype=torch.float64)
    assert ((ABAR - exact) / exact).abs().max() < 1e-6


def test_scalings_by_hand() -> None:
    c_skip, c_out = boundary_scalings(torch.tensor([0, 1, 19, 999]))
    assert (c_skip[0].item(), c_out[0].item()) == (1.0, 0.0)
    assert c_skip[1].item() == pytest.approx(0.25 / 100.25, rel=1e-6)
    assert c_out[1].item() == pytest.approx(10 / math.sqrt(100.25), rel=1e-6)
    assert c_skip[2].item() == pytest.approx(6.925e-6, rel=1e-3)
    assert c_out[3].item() == pytest.approx(1.0)
    other, _ = boundary_scalings(torch.tensor([2]), sigma_data=1.0, timestep_scaling=5.0)
    assert other.item() == pytest.approx(1 / 101, rel=1e-6)


@given(TIMESTEPS, st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_at_timestep_zero_the_function_is_the_identity(timesteps: list[int], seed: int) -> None:
    x0, sample, t = pair(timesteps, seed)
    out = consistency_output(x0, sample, torch.zeros_like(t))
    assert torch.equal(out, sample)


@given(TIMESTEPS, st.integers(0, 2**31), st.sampled_from(PREDICTION_TYPES))
@settings(max_examples=40, deadline=None)
def test_conversions_invert_the_noising(timesteps: list[int], seed: int, kind: str) -> None:
    x0, noise, t = pair(timesteps, seed)
    abar = ABAR.double()
    sample = add_noise(x0, noise, t, abar)
    output = {"epsilon": noise, "sample": x0, "v_prediction": velocity(x0, noise, t, abar)}[kind]
    back = predict_original(output, sample, t, abar, kind)
    assert torch.allclose(back, x0, rtol=1e-9, atol=1e-9)
    assert torch.allclose(predict_noise(output, sample, t, abar, kind), noise, atol=1e-9)


def test_unknown_prediction_type_names_the_nearest() -> None:
    x = torch.zeros(1, 1)
    with pytest.raises(UsageError, match="epsilon"):
        predict_original(x, x, torch.tensor([1]), ABAR, "epsilom")
    with pytest.raises(UsageError, match="v_prediction"):
        predict_noise(x, x, torch.tensor([1]), ABAR, "v_predict")


def test_rounding_the_table_is_asked_for_and_visible() -> None:
    x0, noise, t = pair([100, 500, 900], 3)
    x0, noise = x0.bfloat16(), noise.bfloat16()
    exact = add_noise(x0.float(), noise.float(), t, ABAR)
    ours = add_noise(x0, noise, t, ABAR)
    theirs = add_noise(x0, noise, t, ABAR, round_table=True)
    assert ours.dtype == theirs.dtype == torch.bfloat16
    assert (ours - exact).abs().max() < (theirs - exact).abs().max()


def test_guidance_embedding_by_hand() -> None:
    emb = guidance_embedding(torch.tensor([0.001, 0.0]), 4)
    # Width 4: frequencies 1 and 1/10000; 1000 w is 1.
    wanted = [math.sin(1), math.sin(1e-4), math.cos(1), math.cos(1e-4)]
    assert emb[0].tolist() == pytest.approx(wanted, rel=1e-5)
    assert emb[1].tolist() == [0.0, 0.0, 1.0, 1.0]
    odd = guidance_embedding(torch.tensor([7.5]), 33)
    assert odd.shape == (1, 33)
    assert odd[0, -1] == 0
    assert torch.equal(guidance_embedding(torch.tensor([7.5]).double(), 32), odd[:, :32])


@pytest.mark.parametrize(("w", "dim"), [(torch.ones(1), 3), (torch.ones(2, 1), 256)])
def test_guidance_embedding_refuses(w: torch.Tensor, dim: int) -> None:
    with pytest.raises(UsageError):
        guidance_embedding(w, dim)


def test_guidance_is_imagens_at_one_more() -> None:
    cond, uncond = torch.tensor([[3.0]]), torch.tensor([[1.0]])
    assert guide(cond, uncond, torch.tensor([7.5])).item() == 1.0 + 8.5 * 2.0


def test_losses_by_hand() -> None:
    prediction, target = torch.tensor([3.0, 0.0]), torch.tensor([0.0, 0.0])
    assert l2(prediction, target).item() == 4.5
    assert pseudo_huber(prediction, target, 4.0).item() == 0.5
    assert pseudo_huber(target, target, 0.001).item() == 0
    assert pseudo_huber(prediction.bfloat16(), target.double(), 4.0).dtype == torch.float32


@given(st.floats(-5, 5), st.floats(0.001, 1.0))
@settings(max_examples=40, deadline=None)
def test_huber_lies_below_the_absolute_difference(difference: float, c: float) -> None:
    loss = pseudo_huber(torch.tensor([difference]), torch.zeros(1), c).item()
    assert -1e-6 <= loss <= abs(difference) + 1e-6

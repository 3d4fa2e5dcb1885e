"""The pretended accelerator refuses what a real one refuses, and computes what a CPU computes."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from tests.elsewhere import Elsewhere, Pretending, WrongDeviceError

HERE = torch.arange(6.0).reshape(2, 3)


def test_numbers_and_gradients_are_the_cpus() -> None:
    layer = torch.nn.Linear(3, 2)
    layer(HERE).square().sum().backward()
    assert layer.weight.grad is not None
    expected = layer.weight.grad.clone()
    layer.zero_grad()
    with Pretending():
        layer.to("meta")
        layer(HERE.to("meta")).square().sum().backward()
        found = layer.weight.grad
        assert isinstance(found, Elsewhere)
        torch.testing.assert_close(found.cpu(), expected)


@pytest.mark.parametrize(
    "mistake",
    [
        lambda there: there + HERE,
        lambda there: torch.cat([there, HERE]),
        lambda there: HERE[there[0].long()],
        lambda there: torch.randn(
            2, device=there.device, generator=torch.Generator().manual_seed(0)
        ),
    ],
)
def test_mixed_devices_are_refused(mistake: Callable[[Any], Any]) -> None:
    with Pretending():
        there = HERE.to("meta")
        with pytest.raises(WrongDeviceError):
            mistake(there)


def test_numbers_leave_only_through_the_cpu() -> None:
    with Pretending():
        there = HERE.to("meta")
        with pytest.raises(TypeError, match="numpy"):
            there.numpy()
        with pytest.raises(NotImplementedError, match="not by a list"):
            there[:, [0, 2]]
        assert there.cpu().numpy().tolist() == HERE.tolist()

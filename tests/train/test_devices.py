"""Every recipe away from the CPU, as far as that can be told without a GPU."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.elsewhere import Elsewhere, Pretending, undisturbed
from tests.train.conftest import Stream
from turbo_eval.models import networks
from turbo_eval.models.lora import lora_parameters
from turbo_train import config, recipes, teachers
from turbo_train.setup import make_parts
from turbo_train.student import train_mode

FRAMES = 8
IMAGE, VIDEO = {"image": {"mini-image": 1.0}}, {"video": {"mini-video": 1.0}}
CHAIN = {"chain": {"steps": 4, "guidance": 2.0}}
AVERAGED = {"consistency": {"solver_steps": 4, "target_ema": 0.9}}


@pytest.fixture
def trained(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[float]]:
    """Trains one step; returns the losses and a gradient."""
    monkeypatch.setattr("turbo_train.teachers.open_folder", undisturbed(networks.open_folder))

    def step(recipe: str, device: str, rewards: dict[str, Any], **more: Any) -> list[float]:
        settings = config.check(
            {
                "recipe": recipe,
                "teacher": str(tiny_folder),
                "name": "test",
                "steps": 1,
                "batch_size": 2,
                "lora": {"rank": 2},
                "accelerator": {"mixed_precision": "no", "gradient_checkpointing": True},
                "rewards": {
                    "image": {},
                    "video": {},
                    "image_frames": 2,
                    "video_frames": FRAMES,
                    **rewards,
                },
                **more,
            },
            source="the test",
        )
        teacher = teachers.load(settings.teacher, device=device)
        parts = make_parts(settings, teacher, weights_dir=None, device=device)
        weights = lora_parameters(parts.plain)
        optimizer = torch.optim.AdamW(weights, lr=1e-3)
        train_mode(parts.plain, settings.compat)
        if settings.consistency.target_ema:
            parts.average = [weight.detach().clone() for weight in weights]
        batch = Stream(frames=FRAMES).batch(0, 2)
        losses = recipes.get(settings.recipe)(parts, batch, torch.Generator().manual_seed(3))
        torch.stack([loss.float() for loss in losses.values()]).sum().backward()
        optimizer.step()
        assert all(isinstance(weight.data, Elsewhere) == (device != "cpu") for weight in weights)
        last = weights[-1].grad
        assert last is not None
        return [*(float(loss.detach()) for loss in losses.values()), float(last.abs().sum())]

    return step


@pytest.mark.parametrize(
    ("recipe", "rewards", "more"),
    [
        ("vcm", {}, AVERAGED),
        ("turbo", {**IMAGE, **VIDEO}, AVERAGED),
        ("turbo_v2", {**IMAGE, **VIDEO}, {}),
        ("instructvideo", IMAGE, CHAIN),
        ("draft", IMAGE, CHAIN),
    ],
)
def test_a_step_elsewhere_is_the_step_here(
    trained: Callable[..., list[float]], recipe: str, rewards: Any, more: Any
) -> None:
    here = trained(recipe, "cpu", rewards, **more)
    with Pretending():
        there = trained(recipe, "meta", rewards, **more)
    assert there == pytest.approx(here, rel=1e-4)

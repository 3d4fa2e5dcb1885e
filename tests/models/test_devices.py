"""Systems away from the CPU, as far as that can be told without a GPU."""

import numpy as np
import pytest
from diffusers import TextToVideoSDPipeline

from tests.elsewhere import Pretending, undisturbed
from turbo_eval.models import networks
from turbo_eval.models.load import load
from turbo_eval.models.protocol import Sampler


@pytest.mark.parametrize("name", ["mini-teacher", "mini-turbo"])
def test_clips_are_the_same_elsewhere(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(
        TextToVideoSDPipeline,
        "from_pretrained",
        undisturbed(TextToVideoSDPipeline.from_pretrained),
    )
    monkeypatch.setattr(networks, "open_pipeline", undisturbed(networks.open_pipeline))
    asked = (["a red circle moving left"], [3], Sampler(steps=2, guidance=5.0))
    here = load(name).generate(*asked)
    with Pretending():
        there = load(name, device="meta").generate(*asked)
    assert np.abs(here.astype(int) - there.astype(int)).max() <= 1

"""Further families end to end; `make families` runs these."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.models.further_pipelines import FURTHER, FURTHER_REQUESTS
from tests.models.more_pipelines import MORE, MORE_REQUESTS
from turbo_eval.models import Sampler, load
from turbo_eval.models.diffusers_families import FAMILIES

pytestmark = pytest.mark.families

ALL = {**MORE, **FURTHER}
REQUESTS = {**MORE_REQUESTS, **FURTHER_REQUESTS}


@pytest.mark.parametrize("name", ALL)
def test_a_family_draws_from_a_folder(name: str, tmp_path: Path) -> None:
    torch.manual_seed(7)
    ALL[name]().save_pretrained(tmp_path / name, safe_serialization=True)
    frames, (width, height) = REQUESTS[name]
    system = load(f"diffusers:{tmp_path / name}:frames={frames},size={width}x{height}")
    # Text2Video-Zero moves the latents at its 45th step from the end.
    sampler = Sampler(steps=max(2, FAMILIES[name].fewest), guidance=3.0)
    pair = system.generate(["a cat", "a dog runs"], [1, 2], sampler)
    assert pair.shape == (2, frames, height, width, 3)
    assert (system.info.frames, system.info.width) == (frames, width)
    assert pair.std() > 5
    alone = system.generate(["a dog runs"], [2], sampler)
    assert np.abs(pair[1].astype(int) - alone[0]).max() <= 1
    other = system.generate(["a dog runs"], [3], sampler)
    assert (other != alone).mean() > 0.5

"""Further families end to end; `make families` runs these."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.models import cosmos_pipelines
from tests.models.cosmos_pipelines import COSMOS, COSMOS_REQUESTS
from tests.models.further_pipelines import FURTHER, FURTHER_REQUESTS
from tests.models.more_pipelines import MORE, MORE_REQUESTS
from turbo_eval.core.errors import InputError
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


@pytest.fixture
def guardrail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library that Cosmos needs, as if it were installed."""
    (tmp_path / "cosmos_guardrail.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("cosmos2_5_predict", "cosmos3_omni", "cosmos_text2world"):
        module = importlib.import_module(f"diffusers.pipelines.cosmos.pipeline_{name}")
        monkeypatch.setattr(module, "CosmosSafetyChecker", cosmos_pipelines.Checker)
    cosmos_pipelines.ASKED.clear()


@pytest.mark.usefixtures("guardrail")
@pytest.mark.parametrize("name", COSMOS)
def test_cosmos_draws_and_is_always_checked(name: str, tmp_path: Path) -> None:
    torch.manual_seed(7)
    folder = tmp_path / name
    COSMOS[name]().save_pretrained(folder, safe_serialization=True)
    index = json.loads((folder / "model_index.json").read_text())
    if None not in index["safety_checker"]:
        # As it is saved with the library; its copy in the folder is not read.
        index["safety_checker"] = ["cosmos_guardrail", "CosmosSafetyChecker"]
        (folder / "model_index.json").write_text(json.dumps(index))
        for path in (folder / "safety_checker").iterdir():
            path.write_bytes(b"")
    frames, (width, height) = COSMOS_REQUESTS[name]
    system = load(f"diffusers:{folder}:frames={frames},size={width}x{height}")
    sampler = Sampler(steps=2, guidance=3.0)
    pair = system.generate(["a cat", "a dog runs"], [1, 2], sampler)
    assert pair.shape == (2, frames, height, width, 3)
    assert pair.std() > 5
    for asked in ("a cat", "a dog runs", f"uint8 ({frames}, {height}, {width}, 3)"):
        assert asked in cosmos_pipelines.ASKED
    alone = system.generate(["a dog runs"], [2], sampler)
    assert np.abs(pair[1].astype(int) - alone[0]).max() <= 1
    with pytest.raises(InputError, match="refuses the prompt.*blue whale") as caught:
        system.generate(["a blue whale"], [1], sampler)
    assert "\n" not in str(caught.value)

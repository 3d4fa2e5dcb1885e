"""Our RAFT beside the one inside VBench's own package (collected where that is installed)."""

import importlib
import sys
from argparse import Namespace
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from turbo_eval.backbones.official import raft
from turbo_eval.backbones.official.files import BY_ID
from turbo_eval.backbones.official.raft import Flow, Raft
from turbo_eval.backbones.official.random_weights import make_state


@pytest.fixture
def official(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    folder = Path(str(distribution("vbench").locate_file("vbench/third_party/RAFT/core")))
    # Its package cannot be imported as a whole without libraries of 2023; this part can.
    package = ModuleType("official_raft")
    package.__path__ = [str(folder)]
    monkeypatch.setitem(sys.modules, "official_raft", package)
    yield importlib.import_module("official_raft.raft").RAFT
    for name in [name for name in sys.modules if name.startswith("official_raft.")]:
        del sys.modules[name]


def test_names_shapes_and_flow_are_the_official_ones(
    official: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Settings(Namespace):
        def __contains__(self, name: object) -> bool:
            return name in vars(self)

    theirs = official(Settings(small=False, mixed_precision=False, alternate_corr=False)).eval()
    state = make_state(BY_ID["raft"], 101)
    assert {n: t.shape for n, t in theirs.state_dict().items()} == {
        n: t.shape for n, t in state.items()
    }
    theirs.load_state_dict(state)
    judge = Flow()
    ours = judge.build(state)
    assert isinstance(ours, Raft)
    monkeypatch.setattr(raft, "UPDATES", 3)
    pictures = torch.rand(2, 3, 136, 128, generator=torch.Generator().manual_seed(1)) * 255
    with torch.inference_mode():
        _, expected = theirs(pictures[:1], pictures[1:], iters=3, test_mode=True)
        scaled = 2 * (pictures / 255.0) - 1.0
        features = ours.features(scaled)
        found = ours.flow(scaled[:1], features[:1], features[1:])
    peak = float(expected.abs().max())
    assert peak > 0.1
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * peak)

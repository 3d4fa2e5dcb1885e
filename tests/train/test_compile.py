"""`accelerator.compile`: the same numbers and the same names as without it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.train.conftest import Brightness, Stream
from turbo_eval.core.errors import PrerequisiteError
from turbo_eval.models.compiling import check_compiler, compile_networks
from turbo_eval.models.lora import named_lora
from turbo_train import checkpoint, config, loop, setup
from turbo_train.setup import make_accelerator


@pytest.mark.slow
def test_a_small_network_is_built_and_keeps_its_names() -> None:
    """The default compiler on a few layers; a whole student takes minutes (`make compiled`)."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(8, 16), nn.SiLU(), nn.Linear(16, 4))
    sample = torch.randn(3, 8)
    names, plain = list(network.state_dict()), network(sample)
    plain.square().mean().backward()
    grads = [p.grad.clone() for p in network.parameters() if p.grad is not None]
    network.zero_grad()
    compile_networks(network, device="cpu")
    assert network._compiled_call_impl is not None
    built = network(sample)
    built.square().mean().backward()
    torch.testing.assert_close(built, plain, rtol=1e-5, atol=1e-6)
    assert list(network.state_dict()) == names
    assert len(grads) == 4
    for parameter, grad in zip(network.parameters(), grads, strict=True):
        torch.testing.assert_close(parameter.grad, grad, rtol=1e-4, atol=1e-6)


@pytest.mark.compiled
def test_a_compiled_student_equals_an_eager_one(make: Callable[..., Any]) -> None:
    """Built by the default compiler: outputs, and the gradient of every adapter."""
    _, parts = make(lora={"rank": 2, "dropout": 0.0})
    student = parts.plain
    generator = torch.Generator().manual_seed(0)
    latents, text, told = (
        torch.randn(shape, generator=generator)
        for shape in ((1, 8, 4, 8, 8), (1, 6, 128), (1, 256))
    )
    found = []
    for compiled in (False, True):
        if compiled:
            compile_networks(student, device="cpu")
        output = student(latents, torch.tensor([500]), text, timestep_cond=told).sample
        output.square().mean().backward()
        grads = {name: p.grad.clone() for name, p in student.named_parameters() if p.requires_grad}
        student.zero_grad()
        found.append((output.detach(), grads))
    (one, before), (two, after) = found
    torch.testing.assert_close(two, one, rtol=1e-4, atol=1e-5)
    assert before.keys() == after.keys()
    for name, grad in before.items():
        torch.testing.assert_close(after[name], grad, rtol=1e-3, atol=1e-6)


@pytest.mark.compiled
def test_a_run_with_compiled_networks_ends_like_one_without(
    make: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole step (merged calls, recomputed blocks, rewards), captured but not built."""
    plain_compile = nn.Module.compile
    monkeypatch.setattr(nn.Module, "compile", lambda self: plain_compile(self, backend="eager"))
    found, names = [], []
    for compiled in (False, True):
        settings, parts = make(
            "turbo",
            image={"bright": Brightness()},
            steps=2,
            lora={"rank": 2, "dropout": 0.0},
            accelerator={
                "mixed_precision": "no",
                "gradient_checkpointing": True,
                "compile": compiled,
            },
        )
        folder = tmp_path / str(compiled)
        assert count_of_compiled(parts) == (3 if compiled else 0)
        accelerator = make_accelerator(settings, "cpu")
        progress = loop.train(
            settings, parts, Stream(), folder, accelerator=accelerator, say=print, live=False
        )
        found.append((progress.history, named_lora(parts.plain)))
        loaded = checkpoint.load(checkpoint.path_of(folder, 2), config.frozen(settings))
        names.append(list(loaded.lora))
    (eager, one), (fast, two) = found
    for before, after in zip(eager, fast, strict=True):
        for name, value in before.items():
            assert after[name] == pytest.approx(value, rel=2e-4), name
    for name, weight in one.items():
        # Adam's first steps are as large for the smallest gradients as for the largest.
        torch.testing.assert_close(two[name], weight, rtol=1e-3, atol=2e-4)
    assert names[0] == names[1]
    assert not any("_orig_mod" in name for name in names[1])


def count_of_compiled(parts: Any) -> int:
    networks = (parts.plain, parts.teacher.unet, parts.teacher.vae.decoder)
    return sum(network._compiled_call_impl is not None for network in networks)


def test_a_missing_compiler_is_told_before_anything_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    settings = config.load("mini-vcm", ["accelerator.compile=true", "teacher=none-such"])
    with pytest.raises(PrerequisiteError, match=r"needs a C\+\+ compiler.*no g\+\+ here"):
        setup.start(settings, tmp_path / "run", device="cpu", say=print)
    assert not (tmp_path / "run").exists()


def test_which_compiler_is_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "mine"
    program.write_text("")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CXX", "mine -O1")
    check_compiler("cpu")
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(PrerequisiteError, match="needs triton"):
        check_compiler("cuda:0")

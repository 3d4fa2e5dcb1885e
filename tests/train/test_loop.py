"""The loop: bit-equal after a stop, guarded against what goes wrong, the same for every recipe."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.train.conftest import Brightness, Info, Stream
from turbo_eval.core.errors import ConfigError, InputError, PrerequisiteError
from turbo_eval.models.lora import named_lora
from turbo_train import checkpoint, loop
from turbo_train.config import TrainConfig
from turbo_train.recipes.common import Parts
from turbo_train.setup import make_accelerator

Make = Callable[..., tuple[TrainConfig, Parts]]
REWARDS = {"image": {"bright": Brightness()}, "video": {"brightness": Brightness(Info("video"))}}
CASES: list[tuple[str, dict[str, Any]]] = [
    ("vcm", {}),
    ("vcm", {"consistency": {"target_ema": 0.9, "loss": "l2"}, "accumulate": 2}),
    ("turbo", REWARDS),
    ("turbo", {**REWARDS, "compat": "authors"}),
    ("turbo_v2", {**REWARDS, "consistency": {"solver_steps": 4}}),
    ("instructvideo", {"image": REWARDS["image"], "chain": {"steps": 4, "guidance": 2.0}}),
    ("draft", {"image": REWARDS["image"], "chain": {"steps": 2, "guidance": 1.0}}),
]


def go(settings: TrainConfig, parts: Parts, folder: Path, lines: list[str] | None = None) -> Any:
    accelerator = make_accelerator(settings, "cpu")
    told = [] if lines is None else lines
    return loop.train(
        settings, parts, Stream(), folder, accelerator=accelerator, say=told.append, live=False
    )


@pytest.mark.slow
@pytest.mark.parametrize(("recipe", "options"), CASES)
def test_a_stopped_and_resumed_run_ends_bit_equal(
    recipe: str, options: dict[str, Any], make: Make, tmp_path: Path
) -> None:
    settings, parts = make(recipe, **options)
    before = {name: value.clone() for name, value in named_lora(parts.plain).items()}
    straight = go(settings, parts, tmp_path / "straight")
    after = named_lora(parts.plain)
    assert any(not torch.equal(after[name], before[name]) for name in after)

    short = settings.model_copy(update={"steps": 2})
    _, first = make(recipe, **options)
    go(short, first, tmp_path / "resumed")
    _, second = make(recipe, **options)
    lines: list[str] = []
    resumed = go(settings, second, tmp_path / "resumed", lines)
    assert lines[0] == "resumed at step 2 of 4"
    for name, value in named_lora(second.plain).items():
        assert torch.equal(value, after[name]), name
    assert resumed.history == straight.history
    one, two = (checkpoint.path_of(tmp_path / side, 4) for side in ("straight", "resumed"))
    for file in ("lora.safetensors", "average.safetensors"):
        assert (one / file).exists() == (two / file).exists()
        if (one / file).exists():
            assert (one / file).read_bytes() == (two / file).read_bytes()


def test_losses_are_told_as_they_are_and_rewards_as_rewards(make: Make, tmp_path: Path) -> None:
    settings, parts = make("turbo", **REWARDS, rewards={"image": {"bright": 4.0}})
    go(settings.model_copy(update={"steps": 1}), parts, tmp_path)
    (line,) = (tmp_path / "log.jsonl").read_text().splitlines()
    told = json.loads(line)
    assert told.keys() == {
        "step", "distillation", "reward/bright", "reward/brightness", "grad_norm"
    }  # fmt: skip
    # Brightness is on 0..1: neither its scale nor its sign as a loss shows.
    assert 0 < told["reward/bright"] < 1
    assert 0 < told["reward/brightness"] < 1


class Later(Brightness):
    """A reward that turns into NaN at its third call."""

    calls = 0

    def score(self, pixels: Tensor, prompts: Any) -> Tensor:
        Later.calls += 1
        return super().score(pixels, prompts) + (math.nan if Later.calls > 2 else 0.0)


def test_a_reward_that_breaks_stops_the_run_and_keeps_the_checkpoint(
    make: Make, tmp_path: Path
) -> None:
    Later.calls = 0
    settings, parts = make("turbo", image={"later": Later()})
    with pytest.raises(InputError, match="reward 'later' is not finite"):
        go(settings, parts, tmp_path)
    assert checkpoint.list_steps(tmp_path) == [2]


def test_an_exploding_gradient_stops_the_run() -> None:
    norms = [1.0] * loop.USUAL
    loop._check_norm(10.0, norms, 60)
    with pytest.raises(InputError, match=r"norm is 5e\+03"):
        loop._check_norm(5e3, norms, 61)
    with pytest.raises(InputError, match="norm is nan"):
        loop._check_norm(math.nan, [], 0)


def test_another_configuration_is_refused(make: Make, tmp_path: Path) -> None:
    settings, parts = make()
    go(settings.model_copy(update={"steps": 2}), parts, tmp_path)
    other, parts = make(seed=6)
    with pytest.raises(ConfigError, match="seed: 5, now 6"):
        go(other, parts, tmp_path)


def test_a_full_memory_names_the_knobs(make: Make) -> None:
    settings, _ = make("turbo", **REWARDS)
    with pytest.raises(PrerequisiteError) as caught, loop.out_of_memory(settings):
        raise torch.OutOfMemoryError("tried to allocate 2 GiB")
    text = str(caught.value)
    for knob in ("batch_size=1", "gradient_checkpointing=true", "image_frames=1", "lora.rank=1"):
        assert knob in text


def test_a_full_memory_is_known_on_a_cpu_and_other_errors_pass(make: Make) -> None:
    settings, _ = make("turbo", **REWARDS)
    with pytest.raises(PrerequisiteError, match="out of memory"), loop.out_of_memory(settings):
        torch.empty(2**55)
    with pytest.raises(RuntimeError, match="size"), loop.out_of_memory(settings):
        torch.zeros(2) + torch.zeros(3)


def test_eight_bits_need_their_package(make: Make) -> None:
    settings, parts = make(optimizer={"bits": 8})
    with pytest.raises(PrerequisiteError, match="bitsandbytes"):
        loop.make_optimizer(list(parts.plain.parameters()), settings.optimizer)


def test_a_repeated_step_leaves_one_line_in_the_log(make: Make, tmp_path: Path) -> None:
    settings, parts = make(save_every=2)
    go(settings.model_copy(update={"steps": 2}), parts, tmp_path)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 3, "distillation": 1}\n{"step": 4, "dist')
    _, parts = make(save_every=2)
    go(settings, parts, tmp_path)
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 4]

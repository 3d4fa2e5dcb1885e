"""InstructVideo's network and sampler against what the authors' program computed.

data/instructvideo_unet.json was written by a script outside the repository that executes the
authors' `UNetSD_LoRA` and `DiffusionDDIMReward` (VGen, commit 4014d1f) as they are published, with
stand-ins for the libraries that only make them faster (memory-efficient attention by its formula,
no checkpointing), in evaluation mode, on a CPU in float32:

- `config` are the arguments of a small network (one width of text in the whole decoder, where the
  published class has 1024 written in);
- `shapes` are its state dict's names and shapes; its values are `drawn` from the names;
- `calls` are its answers to `inputs`, with the LoRA in its branches and, as `merged`, after their
  own merging;
- `sampled` are the latents of their DDIM in 20 steps at guidance 3;
- `published` is the number of the names of the network at its published size, and the SHA-256 of
  the sorted lines `NAME SHAPE`.
"""

import hashlib
import json
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, UNet3DConditionModel
from torch import Tensor

from turbo_eval.models.sampling import guided, scheduler_sample
from turbo_eval.models.vgen import lora_names, merge_onto, vgen_modules, whole_unet

RECORDED: dict[str, Any] = json.loads(
    (Path(__file__).parent / "data" / "instructvideo_unet.json").read_text(encoding="utf-8")
)
NETWORK = 1e-5


def uniform(name: str, shape: Iterable[int]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Numbers in -1..1 that depend on a name alone: whole-number arithmetic, the same for ever."""
    sides = tuple(shape)
    bits = np.arange(int(np.prod(sides)), dtype=np.uint64)
    bits += np.uint64(zlib.crc32(name.encode()) << 24)
    for factor, shift in ((0x9E3779B97F4A7C15, 29), (0xBF58476D1CE4E5B9, 32)):
        bits *= np.uint64(factor)
        bits ^= bits >> np.uint64(shift)
    numbers = (bits >> np.uint64(40)).astype(np.float64) / 2**23 - 1
    return numbers.reshape(sides).astype(np.float32)


def drawn(name: str, shape: Iterable[int]) -> Tensor:
    """A weight: by its fan-in, so that no layer is idle; around 1 where it scales (norms)."""
    sides = tuple(shape)
    numbers = torch.from_numpy(uniform(name, sides))
    if len(sides) == 1:
        return 0.2 * numbers + (1.0 if name.endswith(".weight") else 0.0)
    scaled: Tensor = numbers * (2.0 / float(np.prod(sides[1:]))) ** 0.5
    return scaled


def inputs(call: int) -> tuple[Tensor, Tensor, Tensor]:
    """Latents [2, 4, 3, 8, 8], timesteps [2] and text [2, 5, width] of a recorded call."""
    width = RECORDED["config"]["context_dim"] if RECORDED else 0
    latents = torch.from_numpy(uniform(f"latents {call}", (2, 4, 3, 8, 8))) * 2
    text = torch.from_numpy(uniform(f"text {call}", (2, 5, width))) * 2
    return latents, torch.tensor([[951, 1], [501, 251]][call]), text


def small() -> UNet3DConditionModel:
    """diffusers' network of the recorded configuration, without numbers worth keeping."""
    config = RECORDED["config"]
    levels = len(config["dim_mult"])
    attends = [0.5**level in config["attn_scales"] for level in range(levels)]
    network: UNet3DConditionModel = UNet3DConditionModel(
        down_block_types=tuple("CrossAttnDownBlock3D" if a else "DownBlock3D" for a in attends),
        up_block_types=tuple("CrossAttnUpBlock3D" if a else "UpBlock3D" for a in attends[::-1]),
        block_out_channels=tuple(config["dim"] * width for width in config["dim_mult"]),
        layers_per_block=config["num_res_blocks"],
        cross_attention_dim=config["context_dim"],
        attention_head_dim=config["head_dim"],
    )
    return network.eval()


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return {name: drawn(name, shape) for name, shape in RECORDED["shapes"].items()}


@pytest.fixture(scope="module")
def merged(state: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("unet")
    small().save_config(folder)
    return whole_unet(state, folder)


def apart(ours: Tensor, theirs: Any) -> float:
    """The largest difference over the largest value."""
    wanted = torch.tensor(theirs).reshape(ours.shape)
    return float((ours - wanted).abs().max() / wanted.abs().max())


@torch.no_grad()
def test_the_network_answers_as_theirs_does(merged: Any) -> None:
    for call, recorded in enumerate(RECORDED["calls"]):
        latents, times, text = inputs(call)
        ours = merged(latents, times, text).sample
        for theirs in (recorded["branches"], recorded["merged"]):
            assert apart(ours, theirs) < NETWORK
        # Enough goes on in it to tell a wrong name from a right one.
        assert ours.std() > 0.1


@torch.no_grad()
def test_a_file_of_lora_alone_makes_the_same_network(merged: Any, state: dict[str, Tensor]) -> None:
    network: Any = small()
    modules = vgen_modules(network.config)
    plain = {}
    for module in modules:
        for leaf in ("weight", "bias"):
            tensor = state.get(f"{module.lvdm}.{leaf}")
            if tensor is not None:
                squeezed = module.squeeze and leaf == "weight"
                plain[f"{module.ours}.{leaf}"] = tensor.flatten(1) if squeezed else tensor
    network.load_state_dict(plain, strict=True)
    latents, times, text = inputs(0)
    theirs = RECORDED["calls"][0]["merged"]
    assert apart(network(latents, times, text).sample, theirs) > 0.05
    merge_onto(network, {name: tensor for name, tensor in state.items() if "_lora." in name})
    assert apart(network(latents, times, text).sample, theirs) < NETWORK
    for name, tensor in merged.state_dict().items():
        assert torch.equal(network.state_dict()[name], tensor)


@torch.no_grad()
def test_twenty_steps_end_where_theirs_end(merged: Any) -> None:
    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
        clip_sample=False, set_alpha_to_one=False, steps_offset=1,
    )  # fmt: skip
    start, _, text = inputs(0)
    _, _, empty = inputs(1)
    seen: list[int] = []

    def network(latents: Tensor, times: Tensor, features: Tensor) -> Tensor:
        seen.append(int(times[0]))
        found: Tensor = merged(latents, times, features).sample
        return found

    denoise = guided(network, text, empty, RECORDED["guidance"])
    ours = scheduler_sample(denoise, scheduler, lambda: start, "cpu", steps=20)
    assert seen == list(range(951, 0, -50)) == RECORDED["timesteps"]
    assert apart(ours, RECORDED["sampled"]) < 1e-4


def test_every_name_and_shape_of_the_published_size() -> None:
    with torch.device("meta"):
        network = UNet3DConditionModel()
    modules = vgen_modules(network.config)
    named = {f"{m.ours}.{leaf}": (m, leaf) for m in modules for leaf in ("weight", "bias")}
    lines = []
    for name, parameter in network.state_dict().items():
        module, leaf = named[name]
        widened = module.squeeze and leaf == "weight"
        lines.append(f"{module.lvdm}.{leaf} {[*parameter.shape, *([1] if widened else [])]}")
    for module, up, down in lora_names(modules):
        weight = network.get_submodule(module.ours).weight
        assert isinstance(weight, Tensor)
        lines += [f"{up} {[weight.shape[0], 4]}", f"{down} {[4, weight.shape[1]]}"]
    found = hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
    assert (len(lines), found) == tuple(RECORDED["published"])

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet3DConditionModel
from torch import Tensor, nn

from turbo_eval.core.errors import ConfigError, InputError, TurboError, UsageError
from turbo_eval.models.guidance import add_guidance_projection
from turbo_eval.models.lora import (
    adapted,
    add_lora,
    check_released,
    expected_shapes,
    load_list,
    load_named_lora,
    load_released,
    lora_parameters,
    merge,
    merged_weight,
    named_lora,
    released_order,
    unmerge,
    without_adapters,
)
from turbo_eval.models.videocrafter import VideoCrafterUNet, unet_from_lvdm

TINY: dict[str, Any] = {
    "in_channels": 4,
    "out_channels": 4,
    "down_block_types": ("CrossAttnDownBlock3D", "DownBlock3D"),
    "up_block_types": ("UpBlock3D", "CrossAttnUpBlock3D"),
    "block_out_channels": (32, 64),
    "layers_per_block": 1,
    "cross_attention_dim": 8,
    "attention_head_dim": 8,
}
LVDM: dict[str, Any] = {
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 32,
    "attention_resolutions": [1],
    "num_res_blocks": 1,
    "channel_mult": [1, 2],
    "num_head_channels": 8,
    "context_dim": 8,
    "time_cond_proj_dim": 16,
}


class Small(nn.Module):
    """One layer of each kind, and two that get no adapter."""

    def __init__(self) -> None:
        super().__init__()
        self.flat = nn.Conv2d(4, 12, 3, stride=2, padding=1)
        self.time = nn.Conv3d(12, 12, (3, 1, 1), padding=(1, 0, 0))
        self.norm = nn.LayerNorm(12)
        self.line = nn.Conv1d(12, 12, 1)
        self.out = nn.Linear(12, 10, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        frames = self.flat(x.transpose(1, 2).flatten(0, 1))
        clip = frames.unflatten(0, (len(x), -1)).transpose(1, 2)
        pooled = self.time(clip).mean((2, 3, 4))
        return self.out(self.line(self.norm(pooled)[..., None])[..., 0])  # type: ignore[no-any-return]


def small(seed: int = 0) -> tuple[Small, Tensor]:
    torch.manual_seed(seed)
    return Small().eval(), torch.randn(2, 4, 3, 6, 6)


def randomised(model: nn.Module, rank: int) -> list[Tensor]:
    torch.manual_seed(7)
    shapes = [s for _, up, down in expected_shapes(model, rank) for s in (up, down)]
    return [0.1 * torch.randn(shape) for shape in shapes]


def crafter(**options: Any) -> VideoCrafterUNet:
    torch.manual_seed(0)
    unet: VideoCrafterUNet = VideoCrafterUNet(**TINY, **options)
    return unet.eval()  # type: ignore[no-any-return]


def call(unet: Any, **options: Any) -> Tensor:
    torch.manual_seed(1)
    x, text = torch.randn(1, 4, 3, 8, 8), torch.randn(1, 5, 8)
    with torch.no_grad():
        result: Tensor = unet(x, torch.tensor([500]), text, **options).sample
    return result


def test_which_layers_get_which_ranks() -> None:
    model, _ = small()
    assert list(expected_shapes(model, 8)) == [
        ("flat", (12, 4, 1, 1), (4, 4, 3, 3)),
        ("time", (12, 8, 1, 1, 1), (8, 12, 3, 1, 1)),
        ("out", (10, 8), (8, 12)),
    ]
    add_lora(model, 8)
    assert [tuple(p.shape) for p in lora_parameters(model)] == [
        s for _, up, down in expected_shapes(model, 8) for s in (up, down)
    ]
    trained = {id(p) for p in model.parameters() if p.requires_grad}
    assert trained == {id(p) for p in lora_parameters(model)}


def test_start_changes_nothing_and_is_drawn_as_the_authors_do() -> None:
    model, x = small()
    before = model(x)
    add_lora(model, 8)
    assert torch.equal(model(x), before)
    assert not any(module.training for module in model.modules())
    wide = add_lora(nn.Sequential(nn.Linear(2000, 500)), 50)
    up, down = lora_parameters(wide)
    assert up.abs().max() == 0
    assert down.std().item() == pytest.approx(1 / 50, rel=0.02)


def test_the_branch_has_no_scale_and_dropout_acts_on_its_output() -> None:
    model = nn.Sequential(nn.Linear(6, 5, bias=False))
    add_lora(model, 3, dropout=0.5)
    load_list(model, [torch.ones(5, 3), torch.ones(3, 6)])
    ((_, layer),) = adapted(model)
    base = layer.get_base_layer()
    x = torch.ones(400, 6)
    model.eval()
    assert torch.allclose(model(x) - base(x), torch.full((400, 5), 18.0))
    model.train()
    torch.manual_seed(0)
    branch = model(x) - base(x)
    # Elements of the output are dropped or doubled; dropping inputs would give values between.
    near = torch.stack([branch.abs() < 1e-3, (branch - 36).abs() < 1e-3])
    assert bool(near.any(0).all())
    assert 0.4 < near[0].float().mean() < 0.6


def test_dropout_of_convolutions() -> None:
    model, x = small()
    add_lora(model, 4, dropout=0.5)
    load_list(model, randomised(model, 4))
    layers = dict(adapted(model))
    model.train()
    clip = torch.randn(1, 12, 3, 4, 4)
    assert torch.equal(layers["time"](clip), layers["time"](clip))  # none in 3-D convolutions
    frame = torch.randn(1, 4, 8, 8)
    assert not torch.equal(layers["flat"](frame), layers["flat"](frame))


def test_merge_unmerge_and_export() -> None:
    model, x = small()
    plain = copy.deepcopy(model)
    add_lora(model, 8)
    tensors = randomised(model, 8)
    load_list(model, tensors)
    apart = model(x)
    assert not torch.allclose(apart, plain(x))
    originals = merge(model)
    assert torch.allclose(model(x), apart, atol=1e-6)
    with pytest.raises(ConfigError, match="merged already"):
        merge(model)
    unmerge(model, originals)
    assert torch.equal(model(x), apart)
    with pytest.raises(ConfigError):
        unmerge(model, originals)
    without_adapters(model)
    assert model.state_dict().keys() == plain.state_dict().keys()
    assert torch.allclose(model(x), apart, atol=1e-6)
    released = load_released(copy.deepcopy(plain), tensors)
    for key, value in released.state_dict().items():
        assert torch.equal(value, model.state_dict()[key])


def test_merged_weight_by_hand() -> None:
    weight = torch.zeros(2, 1, 1, 2)
    up, down = torch.tensor([1.0, 2.0]).reshape(2, 1, 1, 1), torch.tensor([3.0, 4.0])
    merged = merged_weight(weight, up, down.reshape(1, 1, 1, 2))
    assert merged.flatten().tolist() == [3, 4, 6, 8]
    assert merged_weight(weight.half(), up, down.reshape(1, 1, 1, 2)).dtype == torch.float16


def test_named_weights_round_trip_and_refuse() -> None:
    model, x = small()
    add_lora(model, 2)
    load_list(model, randomised(model, 2))
    saved = {name: tensor.clone() for name, tensor in named_lora(model).items()}
    other = add_lora(small()[0], 2)
    load_named_lora(other, saved)
    assert torch.equal(other(x), model(x))
    with pytest.raises(InputError, match="names"):
        load_named_lora(other, {})
    saved["out.lora_A.weight"] = torch.zeros(3, 3)
    with pytest.raises(InputError, match=r"out\.lora_A"):
        load_named_lora(other, saved)


def test_lists_that_do_not_fit_are_refused_and_change_nothing() -> None:
    model, _ = small()
    before = copy.deepcopy(model.state_dict())
    tensors = randomised(model, 4)
    swapped = [*tensors[2:4], *tensors[:2], *tensors[4:]]
    transposed = [*tensors[:4], tensors[5], tensors[4]]
    broken: list[Any] = [tensors[:-1], swapped, transposed, [*tensors[:-1], "text"]]
    for bad in broken:
        with pytest.raises(TurboError):
            load_released(model, bad)
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key])
    with pytest.raises(InputError, match="flat"):
        check_released(model, swapped)
    mapping = {f"{i:04d}": tensor for i, tensor in reversed(list(enumerate(tensors)))}
    assert [name for name, _, _ in check_released(model, mapping)] == released_order(model)
    with pytest.raises(InputError):  # another rank than the adapters have
        load_list(add_lora(small()[0], 8), tensors)


def test_bad_arguments() -> None:
    model, _ = small()
    with pytest.raises(UsageError, match="rank"):
        add_lora(model, 0)
    with pytest.raises(UsageError, match="dropout"):
        add_lora(model, 4, dropout=1.0)
    with pytest.raises(ConfigError, match="add_lora"):
        lora_parameters(model)
    add_lora(model, 4)
    with pytest.raises(ConfigError, match="already"):
        add_lora(model, 4)
    with pytest.raises(ConfigError, match="grouped"):
        add_lora(nn.Sequential(nn.Conv2d(4, 4, 3, groups=2)), 2)


def test_guidance_projection_starts_at_zero_and_stands_in_its_place() -> None:
    torch.manual_seed(0)
    unet = UNet3DConditionModel(**TINY).eval()
    before = call(unet)
    add_guidance_projection(unet, 16)
    assert torch.equal(call(unet, timestep_cond=torch.randn(1, 16)), before)
    fresh = UNet3DConditionModel(**TINY, time_cond_proj_dim=16)
    assert released_order(unet) == released_order(fresh)
    assert unet.config.time_cond_proj_dim == 16
    assert add_guidance_projection(unet, 16) is unet
    with pytest.raises(ConfigError, match="16"):
        add_guidance_projection(unet, 32)
    with pytest.raises(ConfigError, match="Small"):
        add_guidance_projection(Small())


def test_a_released_list_brings_its_guidance_projection() -> None:
    for teacher, student in (
        (crafter(), crafter(time_cond_proj_dim=16)),
        (UNet3DConditionModel(**TINY), UNet3DConditionModel(**TINY, time_cond_proj_dim=16)),
    ):
        tensors = randomised(student, 8)
        load_released(teacher, tensors)
        position = released_order(student).index("time_embedding.cond_proj")
        up, down = tensors[2 * position : 2 * position + 2]
        assert torch.equal(teacher.time_embedding.cond_proj.weight, up @ down)


def test_videocrafters_order_is_not_that_of_its_tree() -> None:
    order = crafter(time_cond_proj_dim=16).released_order()
    assert order[:6] == [
        "time_embedding.linear_1",
        "time_embedding.linear_2",
        "time_embedding.fps_embedding.linear_1",
        "time_embedding.fps_embedding.linear_2",
        "time_embedding.cond_proj",
        "conv_in",
    ]
    assert len(order) == len(set(order))
    assert not {"transformer_in.proj_in", "transformer_in.proj_out"} & set(order)
    block = "down_blocks.0.attentions.0.transformer_blocks.0"
    assert order.index(f"{block}.ff.net.2") < order.index(f"{block}.attn2.to_q")


def lvdm_state(unet: VideoCrafterUNet) -> dict[str, Tensor]:
    state, found = unet.state_dict(), {}
    for module in unet.released_modules():
        for part in ("weight", "bias"):
            tensor = state.get(f"{module.ours}.{part}")
            if tensor is not None:
                wide = module.squeeze and part == "weight"
                found[f"{module.lvdm}.{part}"] = tensor[..., None] if wide else tensor
    assert len(found) == len(state)
    return found


def test_lvdm_checkpoints_are_renamed_and_checked(tmp_path: Path) -> None:
    source = crafter(time_cond_proj_dim=16)
    state = lvdm_state(source)
    unet = unet_from_lvdm(state, LVDM)
    embedding = torch.randn(1, 16)
    wanted = call(source, fps=8, timestep_cond=embedding)
    assert torch.equal(call(unet, fps=8, timestep_cond=embedding), wanted)
    rates = torch.tensor([8])
    assert torch.equal(call(unet, fps=rates, timestep_cond=embedding), wanted)
    assert not torch.equal(call(unet, fps=16, timestep_cond=embedding), wanted)
    unet.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["time_cond_proj_dim"] == 16
    back = VideoCrafterUNet.from_pretrained(tmp_path)
    assert torch.allclose(call(back, fps=8, timestep_cond=embedding), wanted, atol=1e-5)
    assert "act_fn" not in back.config

    teacher = {key: value for key, value in state.items() if key != "time_cond_proj.weight"}
    student = unet_from_lvdm(teacher, LVDM)
    assert torch.equal(call(student, timestep_cond=embedding), call(student))
    bare = unet_from_lvdm(teacher, {**LVDM, "time_cond_proj_dim": None})
    with pytest.raises(ConfigError, match="guidance"):
        call(bare, timestep_cond=embedding)
    with pytest.raises(ConfigError, match="motion"):
        call(bare, motion_cond=embedding)


def test_checkpoints_that_do_not_fit_are_refused() -> None:
    state = lvdm_state(crafter())
    plain = {**LVDM, "time_cond_proj_dim": None}
    with pytest.raises(InputError, match="out.2.weight"):
        unet_from_lvdm({k: v for k, v in state.items() if k != "out.2.weight"}, plain)
    with pytest.raises(InputError, match="conv_out.bias"):
        unet_from_lvdm({k: v for k, v in state.items() if k != "out.2.bias"}, plain)
    with pytest.raises(InputError, match="surplus"):
        unet_from_lvdm({**state, "surplus": torch.zeros(1)}, plain)
    with pytest.raises(InputError, match="conv_in"):
        unet_from_lvdm({**state, "input_blocks.0.0.weight": torch.zeros(1)}, plain)
    with pytest.raises(ConfigError, match="model_channels"):
        unet_from_lvdm(state, {})
    with pytest.raises(ConfigError, match="use_linear"):
        unet_from_lvdm(state, {**plain, "use_linear": False})

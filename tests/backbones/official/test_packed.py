"""Packed linear layers: numbers of plain ones, which layers are packed, what happens without."""

from types import SimpleNamespace
from typing import Any

import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from turbo_eval.backbones.official import frames, packed
from turbo_eval.backbones.official.packed import LEAST, Packed, linear_gelu, linear_of, pack
from turbo_eval.backbones.official.viclip_network import Attention

needs_operator = pytest.mark.skipif(not packed.available(), reason="this PyTorch cannot pack")


@needs_operator
@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=3),
    st.integers(1, 70),
    st.integers(1, 70),
    st.booleans(),
    st.integers(0, 2**31),
)
def test_the_numbers_are_those_of_the_plain_layer(
    rows: list[int], inside: int, outside: int, bias: bool, seed: int
) -> None:
    torch.manual_seed(seed)
    layer = nn.Linear(inside, outside, bias=bias).requires_grad_(False)
    x = torch.randn(*rows, inside)
    other = Packed(layer)
    torch.testing.assert_close(other(x), layer(x), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(linear_gelu(other, x), F.gelu(layer(x)), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(linear_gelu(layer, x), F.gelu(layer(x)))


@needs_operator
def test_rows_that_are_not_contiguous_are_read_in_their_order() -> None:
    layer = nn.Linear(8, 4).requires_grad_(False)
    x = torch.randn(8, 3, 5).permute(1, 2, 0)
    torch.testing.assert_close(Packed(layer)(x), layer(x), rtol=1e-5, atol=1e-6)


class Parent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.large = nn.Linear(256, LEAST // 256)
        self.again = self.large
        self.small = nn.Linear(8, 8)
        self.attention = nn.MultiheadAttention(256, 4, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        seen = self.attention(x, x, x, need_weights=False)[0]
        result: Tensor = self.small(self.again(self.large(seen))[..., :8])
        return result


@needs_operator
def test_large_layers_are_packed_and_no_others() -> None:
    torch.manual_seed(0)
    network: Any = Parent().eval().requires_grad_(False)
    x = torch.randn(2, 3, 256)
    before = network(x)
    assert pack(network) is network
    assert isinstance(network.large, Packed)
    assert network.again is network.large
    assert type(network.small) is nn.Linear
    assert isinstance(network.get_submodule("attention.out_proj"), nn.Linear)
    torch.testing.assert_close(network(x), before, rtol=1e-5, atol=1e-6)


@needs_operator
def test_half_precision_and_other_devices_stay_plain() -> None:
    network = nn.Sequential(
        nn.Linear(256, 256, dtype=torch.bfloat16), nn.Linear(256, 256, device="meta")
    )
    assert all(type(layer) is nn.Linear for layer in pack(network))  # type: ignore[attr-defined]


@needs_operator
def test_the_gelu_of_timm_is_part_of_the_product() -> None:
    torch.manual_seed(0)
    network: Any = timm.create_model("vit_tiny_patch16_224", num_classes=0, img_size=32).eval()
    network.requires_grad_(False)
    pictures = torch.rand(2, 3, 32, 32)
    before = network(pictures)
    pack(network)
    assert isinstance(network.blocks[0].mlp.act, nn.Identity)
    torch.testing.assert_close(network(pictures), before, rtol=1e-4, atol=1e-5)


@needs_operator
def test_an_approximate_gelu_stays_where_it_is() -> None:
    mlp = timm.layers.Mlp(256, 256, act_layer=lambda: nn.GELU("tanh")).eval().requires_grad_(False)
    x = torch.randn(3, 256)
    before = mlp(x)
    pack(mlp)
    assert isinstance(mlp.act, nn.GELU)
    torch.testing.assert_close(mlp(x), before, rtol=1e-5, atol=1e-6)


@needs_operator
@pytest.mark.parametrize("wanted", [None, 1])
def test_a_joint_matrix_becomes_two_layers(wanted: int | None) -> None:
    torch.manual_seed(0)
    attention = Attention(256, 4).eval().requires_grad_(False)
    x = torch.randn(2, 5, 256)
    before = attention(x, wanted, False)
    pack(attention)
    assert [type(part) for part in attention.parts] == [Packed, Packed]
    assert "in_proj_weight" not in attention.state_dict()
    torch.testing.assert_close(attention(x, wanted, False), before, rtol=1e-5, atol=1e-6)


def test_a_layer_of_a_matrix_copies_nothing() -> None:
    weight, bias = torch.randn(3, 5), torch.randn(3)
    layer = linear_of(weight, bias)
    assert layer.weight.data_ptr() == weight.data_ptr()
    torch.testing.assert_close(layer(torch.ones(5)), weight.sum(1) + bias)


@pytest.mark.parametrize(
    "operators",
    [
        SimpleNamespace(),
        SimpleNamespace(
            _reorder_linear_weight=lambda weight: weight,
            _linear_pointwise=lambda x, weight, bias, *_: F.linear(x, weight, bias) + 0.1,
        ),
    ],
    ids=["missing", "other numbers"],
)
def test_without_a_good_operator_everything_stays_plain(
    operators: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed, "_operators", lambda: operators)
    packed.available.cache_clear()
    try:
        assert not packed.available()
        network = pack(nn.Sequential(nn.Linear(256, 256)))
        assert type(network.get_submodule("0")) is nn.Linear
    finally:
        packed.available.cache_clear()


class OneLayer(frames.Judge):
    role = "frame_features"

    def build(self, *states: dict[str, Tensor]) -> nn.Module:
        layer = nn.Linear(256, 256)
        layer.load_state_dict(states[0])
        return nn.Sequential(layer)

    def look(self, network: nn.Module, clip: Any, prompt: Any) -> Any:
        return {"features": network(torch.ones(1, 256)).float().numpy()}


@needs_operator
def test_judges_pack_in_both_number_types(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(256, 256)
    torch.save(layer.state_dict(), tmp_path / "w.pth")
    monkeypatch.setattr(frames, "find", lambda *_: tmp_path / "w.pth")
    whole, reduced = OneLayer(), OneLayer(dtype="bfloat16")
    assert isinstance(whole.network().get_submodule("0"), Packed)
    assert isinstance(reduced.network().get_submodule("0"), Packed)
    wanted = layer(torch.ones(1, 256)).detach().numpy()
    clip: Any = None
    assert whole.extract(clip, clip)["features"] == pytest.approx(wanted, abs=1e-5)
    found = reduced.extract(clip, clip)["features"]
    assert found == pytest.approx(wanted, abs=3e-2)
    assert found != pytest.approx(wanted, abs=1e-5)


class Mixed(nn.Module):
    """The head keeps float32, and switches autocast off for it."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(256, 256), nn.LayerNorm(256), nn.Linear(256, 256))
        self.head = Head()

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(x).float()
        with torch.autocast("cpu", enabled=False):
            result: Tensor = self.head(x)
        return result


class Head(nn.Module):
    full_precision = True

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(256, 256))

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.inner(x)
        return result


needs_bfloat16 = pytest.mark.skipif(
    not packed.available(torch.bfloat16), reason="this PyTorch cannot pack bfloat16"
)


@needs_bfloat16
def test_bfloat16_is_what_autocast_computes_and_heads_keep_float32() -> None:
    torch.manual_seed(0)
    network = Mixed().eval().requires_grad_(False)
    x = torch.randn(5, 256)
    exact = network.head(x)
    with torch.autocast("cpu", torch.bfloat16):
        wanted, body = network(x), network.body(x)
        pack(network, torch.bfloat16)
        assert network.body(x).dtype == torch.bfloat16
        torch.testing.assert_close(network.body(x), body, rtol=2e-2, atol=2e-2)
        found = network(x)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, wanted, rtol=2e-2, atol=2e-2)
    torch.testing.assert_close(network.head(x), exact, rtol=1e-5, atol=1e-5)


@needs_bfloat16
def test_no_rows_give_no_rows_of_the_type() -> None:
    empty = Packed(nn.Linear(8, 4).requires_grad_(False), torch.bfloat16)(torch.zeros(0, 8))
    assert (empty.shape, empty.dtype) == ((0, 4), torch.bfloat16)

"""Linear layers for the CPU whose weights lie in the order that its product reads them in.

PyTorch multiplies by a plain matrix and packs it again at every call; oneDNN, which PyTorch
brings, can pack it once and apply bias and GELU on the way. That is 1.2 to 1.4 times faster in
float32 for a transformer's layers, 3 times for a few rows against a vocabulary, and differs from
the plain product by rounding only. PyTorch's own compiler calls the same operator, but it is not
documented: where it is missing or says something else, the plain layers stay.

In bfloat16 the layers compute what autocast makes of a linear layer: numbers in bfloat16, sums in
float32. Autocast would convert a frozen matrix anew at every call.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEAST: Final = 1 << 16
"""Numbers of a matrix that is worth packing."""


class Packed(nn.Module):
    """A frozen linear layer with a packed matrix; no gradient flows through it.

    Args:
        plain: The layer, float32 on the CPU. Its matrix is copied.
        dtype: float32 or bfloat16, of the product and of what comes out.
    """

    def __init__(self, plain: nn.Linear, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.out_features = plain.out_features
        self._dtype = dtype
        # No parameter and no buffer: a packed matrix can be neither saved nor moved.
        self.weight = _operators()._reorder_linear_weight(plain.weight.detach().to(dtype))
        self.bias = None if plain.bias is None else plain.bias.detach().to(dtype)
        self._gelu = False

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] to [..., out]."""
        return self._apply_packed(x, "gelu" if self._gelu else "none")

    def with_gelu(self, x: Tensor) -> Tensor:
        """The exact GELU of what `forward` returns."""
        return self._apply_packed(x, "gelu")

    def absorb_gelu(self) -> None:
        """Let `forward` apply the exact GELU, too."""
        self._gelu = True

    def _apply_packed(self, x: Tensor, activation: str) -> Tensor:
        if not x.numel():
            return x.new_empty(*x.shape[:-1], self.out_features, dtype=self._dtype)
        result: Tensor = _operators()._linear_pointwise(
            x.to(self._dtype), self.weight, self.bias, activation, [], "none"
        )
        return result


def linear_of(weight: Tensor, bias: Tensor) -> nn.Linear:
    """A layer of a matrix [out, in] and a bias [out], which are taken and not copied."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    layer.weight, layer.bias = nn.Parameter(weight, False), nn.Parameter(bias, False)
    return layer


def linear_gelu(layer: nn.Module, x: Tensor) -> Tensor:
    """The exact GELU of a linear layer's output, in one go where the layer is packed.

    Args:
        layer: `nn.Linear` or `Packed`.
        x: [..., in].

    Returns:
        [..., out].
    """
    return layer.with_gelu(x) if isinstance(layer, Packed) else F.gelu(layer(x))


def pack(network: nn.Module, dtype: torch.dtype = torch.float32) -> nn.Module:
    """Pack the linear layers of a frozen float32 network on the CPU, in place.

    A module that keeps its matrices in another way can make layers of them in `before_packing`.
    Matrices of fewer than `LEAST` numbers stay as they are, as does everything where the operator
    is missing. A matrix that an embedding shares is kept for the embedding, too.

    Args:
        network: In evaluation mode; it can be neither trained, moved nor saved afterwards.
        dtype: Of the products. With bfloat16, modules whose class says `full_precision` keep
            float32: they switch autocast off.

    Returns:
        The same network.
    """
    if not available(dtype):
        return network
    for module in list(network.modules()):
        before: Callable[[], None] | None = getattr(module, "before_packing", None)
        if before is not None:
            before()
    wide = {
        id(part)
        for module in network.modules()
        if getattr(module, "full_precision", False)
        for part in module.modules()
    }
    packed: dict[int, Packed] = {}
    # A list with the layers themselves would keep every plain matrix until the end.
    for module in [m for m in network.modules() if not isinstance(m, nn.Linear)]:
        # Not `named_children`, which names a layer that has two names once.
        for name, child in list(module._modules.items()):
            # Exactly this class: PyTorch's own attention reads the matrix of a subclass.
            if type(child) is nn.Linear and _worth(child.weight):
                if id(child) not in packed:
                    kind = torch.float32 if id(module) in wide else dtype
                    packed[id(child)] = Packed(child, kind)
                setattr(module, name, packed[id(child)])
        _absorb(module)
    return network


def _worth(weight: Tensor) -> bool:
    plain = weight.device.type == "cpu" and weight.dtype == torch.float32
    return plain and weight.numel() >= LEAST


def _absorb(module: nn.Module) -> None:
    """Join timm's `fc1` and the GELU behind it."""
    children = dict(module.named_children())
    first, act = children.get("fc1"), children.get("act")
    if isinstance(first, Packed) and type(act) is nn.GELU and act.approximate == "none":
        first.absorb_gelu()
        module.register_module("act", nn.Identity())


@cache
def available(dtype: torch.dtype = torch.float32) -> bool:
    """Whether this PyTorch has the operator, and it agrees with the plain layer."""
    tolerance = 1e-5 if dtype == torch.float32 else 3e-2
    with torch.inference_mode():
        # No draws: nobody's random numbers may change by this.
        x = torch.linspace(-2, 2, 6 * 64).reshape(2, 3, 64)
        plain = nn.Linear(64, 32, device="meta").to_empty(device="cpu")
        plain.weight.copy_(torch.linspace(-1, 1, 64 * 32).sin().reshape(32, 64))
        plain.bias.copy_(torch.linspace(-1, 1, 32))
        try:
            packed = Packed(plain, dtype)
            found, activated = packed(x).float(), packed.with_gelu(x).float()
        except (AttributeError, RuntimeError, TypeError):
            return False
        wanted = plain(x)
        return bool(
            torch.allclose(found, wanted, tolerance, tolerance)
            and torch.allclose(activated, F.gelu(wanted), tolerance, tolerance)
        )


def _operators() -> Any:
    return torch.ops.mkldnn

"""Attention over long sequences in bfloat16 on a CPU."""

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

LONG: Final = 1024
"""Tokens from which on the pieces below are faster."""
_ROWS: Final = 512
"""Queries of one piece: its scores fit in the caches."""


def attend(query: Tensor, key: Tensor, value: Tensor, *, causal: bool = False) -> Tensor:
    """Scaled dot-product attention without a mask.

    PyTorch's kernel multiplies bfloat16 at the speed of float32 on CPUs without tiles (AMX); plain
    products, head by head, take two thirds of its time. Anything else goes to PyTorch.

    Args:
        query: [N, heads, L, C].
        key: [N, heads, S, C].
        value: [N, heads, S, C].
        causal: Whether a query sees only keys up to its own place.

    Returns:
        [N, heads, L, C].
    """
    reduced = query.dtype == torch.bfloat16 and query.device.type == "cpu"
    if not reduced or causal or min(query.shape[2], key.shape[2]) < LONG or torch.is_grad_enabled():
        return F.scaled_dot_product_attention(query, key, value, is_causal=causal)
    n, heads, length, _ = query.shape
    # Heads next to each other in memory, as whoever joins them wants it.
    result = query.new_empty(n, length, heads, value.shape[3])
    scale = query.shape[3] ** -0.5
    for head in range(heads):
        across, values = key[:, head].mT.contiguous(), value[:, head].contiguous()
        for first in range(0, length, _ROWS):
            scores = (query[:, head, first : first + _ROWS] * scale) @ across
            result[:, first : first + _ROWS, head] = scores.softmax(-1) @ values
    return result.transpose(1, 2)

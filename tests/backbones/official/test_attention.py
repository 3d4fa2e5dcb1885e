"""Attention in pieces gives what PyTorch's gives, and only where it is meant to."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from turbo_eval.backbones.official import attention
from turbo_eval.backbones.official.attention import LONG, attend


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 2), st.integers(1, 3), st.integers(0, 900), st.integers(0, 2**31))
def test_pieces_are_the_whole(count: int, heads: int, more: int, seed: int) -> None:
    torch.manual_seed(seed)
    query, key, value = (torch.randn(count, LONG + more, heads, 8).transpose(1, 2) for _ in "qkv")
    wanted = F.scaled_dot_product_attention(query, key, value)
    with torch.inference_mode():
        found = attend(query.bfloat16(), key.bfloat16(), value.bfloat16())
    assert found.dtype == torch.bfloat16
    # Weights of a thousand keys are near 1e-3, and bfloat16 keeps three digits of each.
    torch.testing.assert_close(found.float(), wanted, rtol=0.05, atol=0.01)


@pytest.mark.parametrize("case", ["float32", "short", "causal", "training"])
def test_anything_else_is_pytorchs(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    length = 16 if case == "short" else 40
    monkeypatch.setattr(attention, "LONG", 20)
    dtype = torch.float32 if case == "float32" else torch.bfloat16
    q, k, v = (torch.randn(1, 2, length, 8, dtype=dtype) for _ in "qkv")
    causal = case == "causal"
    wanted = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
    with torch.set_grad_enabled(case == "training"):
        torch.testing.assert_close(attend(q, k, v, causal=causal), wanted, rtol=0, atol=0)

"""The aesthetic rating: a linear head on directions, and only on them."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from turbo_eval.backbones.official import aesthetic as module
from turbo_eval.backbones.official.aesthetic import Aesthetic, Rating, layout, make_head
from turbo_eval.backbones.official.clip import make_network
from turbo_eval.backbones.official.weights import load_strict
from turbo_eval.core.errors import PrerequisiteError
from turbo_eval.core.records import Prompt
from turbo_eval.video.clip import clip_of

PROMPT = Prompt("0" * 16, "x", (), {}, "vbench", 0)


class Means(nn.Module):
    """Stands for the picture tower: the mean of each colour, in the first three of 768 numbers."""

    def forward(self, pictures: Tensor) -> Tensor:
        result = torch.zeros(len(pictures), 768)
        result[:, :3] = pictures.mean((2, 3)) + 3
        return result


def rating() -> Rating:
    weight = torch.zeros(1, 768)
    weight[0, :3] = torch.tensor([2.0, 0.0, -1.0])
    head = load_strict(make_head(), {"weight": weight, "bias": torch.tensor([5.0])}, "head")
    return Rating(Means(), head)


def test_the_rating_is_linear_in_the_direction() -> None:
    network = rating()
    pictures = torch.rand(4, 3, 224, 224)
    means = pictures.mean((2, 3)) + 3
    direction = means / means.norm(dim=1, keepdim=True)
    expected = 2 * direction[:, 0] - direction[:, 2] + 5
    torch.testing.assert_close(network(pictures), expected)


def test_every_frame_is_rated_whatever_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    judge = Aesthetic()
    judge._network = rating()
    clip = clip_of(np.random.default_rng(0).integers(0, 256, (5, 30, 40, 3), np.uint8), 8)
    whole = judge.extract(clip, PROMPT)["scores"]
    assert whole.shape == (5,)
    assert whole.dtype == np.float32
    monkeypatch.setattr(module, "AT_ONCE", 2)
    np.testing.assert_allclose(judge.extract(clip, PROMPT)["scores"], whole, atol=1e-6)


def test_the_layout_is_one_linear_layer() -> None:
    assert {name: tuple(t.shape) for name, t in layout().items()} == {
        "weight": (1, 768),
        "bias": (1,),
    }


def test_the_text_side_is_checked_although_it_is_left_out() -> None:
    state: dict[str, Any] = dict(make_network("ViT-L-14").state_dict())
    del state["ln_final.bias"]
    with pytest.raises(PrerequisiteError, match=r"1 missing \(ln_final\.bias\)"):
        Aesthetic().build(state, {})

"""InternVideo2's towers against what the modules of T2V-Turbo's program gave at small sizes.

Every weight follows from a formula over its place in the sorted list of names, so names, shapes and
arithmetic are compared at once and no weights are stored. The program's feed-forward blocks were
given the tanh GELU, which is what its fused layers compute on a GPU. Its text encoder ran in its
mode for a text alone, over 2 of 3 layers.
"""

import pytest
import torch
from torch import Tensor, nn

from turbo_eval.metrics.rewards.internvideo2_network import Sizes, TextTower, VideoTower

SIZES = Sizes(
    size=28, width=32, layers=2, heads=2, hidden=40, pooled=12, text_width=24, text_layers=2,
    text_all=3, text_heads=2, text_hidden=48, out=10, vocabulary=50, positions=48,
)  # fmt: skip
CLIPS = {
    4: [
        0.440386, -2.02938, -3.04875, -3.174702, 0.671191, -2.010912,
        3.157881, 1.985502, 3.776116, -2.386744, 2.102804, -0.953287,
    ],
    8: [
        1.04406, -1.470204, 2.66505, 2.990655, -1.451364, -1.142817,
        0.673989, 0.170583, 0.298599, -0.150121, -1.11389, -0.421163,
    ],
}  # fmt: skip
TEXT = [
    -2.114325, 0.364215, 0.522248, 1.387125, 1.381038, 0.467157, -0.033442, -1.101589,
    0.854364, 0.482364, -1.813492, 0.190524, 0.595042, 0.268316, 0.401959, -1.078789,
    0.707082, 0.459647, -0.952285, -0.389012, -1.323969, -2.240155, 1.349952, 1.133111,
]  # fmt: skip


def filled(tower: nn.Module) -> nn.Module:
    with torch.no_grad():
        for number, (name, parameter) in enumerate(sorted(tower.named_parameters())):
            k = torch.arange(parameter.numel(), dtype=torch.float64)
            value = 0.4 * torch.sin(1.7 * k + 0.9 * number * k.sqrt() + number)
            if (name.endswith("weight") and parameter.ndim == 1) or name.endswith("gamma"):
                value = value + 1
            parameter.copy_(value.view(parameter.shape))
    return tower.eval()


def clip(frames: int) -> Tensor:
    k = torch.arange(frames * 3 * 28 * 28, dtype=torch.float64)
    return torch.sin(0.37 * k + k.sqrt()).float().view(1, frames, 3, 28, 28)


@pytest.mark.parametrize("frames", [4, 8])
def test_clips(frames: int) -> None:
    found = filled(VideoTower(SIZES))(clip(frames))[0]
    torch.testing.assert_close(found, torch.tensor(CLIPS[frames]), rtol=1e-5, atol=1e-5)


def test_texts() -> None:
    numbers = torch.tensor([[2, 17, 30, 44, 9, 0, 0, 0]])
    found = filled(TextTower(SIZES))(numbers, (numbers > 0).long())[0]
    torch.testing.assert_close(found, torch.tensor(TEXT), rtol=1e-5, atol=1e-5)

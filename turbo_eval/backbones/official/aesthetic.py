"""CLIP ViT-L/14 with LAION's linear head: how people would rate a frame (aesthetic quality).

Source: LAION-AI/aesthetic-predictor (sa_0_4_vit_l_14_linear); Radford et al. 2021.
"""

from typing import Any, ClassVar, Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from turbo_eval.backbones.official.clip import make_network, weights_of
from turbo_eval.backbones.official.files import BY_ID
from turbo_eval.backbones.official.frames import Judge, clip_tensor, pieces
from turbo_eval.backbones.official.weights import check_strict, load_strict
from turbo_eval.backbones.protocol import Features
from turbo_eval.core.records import Prompt
from turbo_eval.video.clip import Clip

WIDTH: Final = 768
AT_ONCE: Final = 4
"""Frames of one forward pass; it bounds memory, not results."""
_TOWER = "visual."


class Rating(nn.Module):
    """The picture side of CLIP and one linear layer on its normalised features."""

    def __init__(self, visual: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.visual = visual
        self.head = head

    def forward(self, pictures: Tensor) -> Tensor:
        """Ratings [N], about 0..10, of pictures [N, 3, 224, 224]."""
        features = F.normalize(self.visual(pictures).float(), dim=-1)
        # A rating of about 5 would have steps of 1/32 in bfloat16, and the head costs nothing.
        with torch.autocast(features.device.type, enabled=False):
            ratings: Tensor = self.head(features)[:, 0]
        return ratings


def make_head() -> nn.Module:
    """The untrained head without memory."""
    return nn.Linear(WIDTH, 1, device="meta")


def layout() -> dict[str, Tensor]:
    """The official state of the head, untrained."""
    return dict(make_head().state_dict())


class Aesthetic(Judge):
    """Ratings of single frames."""

    role: ClassVar[str] = "aesthetic"

    def build(self, *states: dict[str, Tensor]) -> nn.Module:
        """Make the picture side of CLIP and the head; the text side is checked and left out."""
        whole = make_network("ViT-L-14")
        state = weights_of(states[0])
        check_strict(whole.state_dict(), state, BY_ID["clip-l14"])
        tower = {
            name.removeprefix(_TOWER): tensor
            for name, tensor in state.items()
            if name.startswith(_TOWER)
        }
        visual = load_strict(whole.get_submodule("visual"), tower, BY_ID["clip-l14"])
        return Rating(visual, load_strict(make_head(), states[1], BY_ID["aesthetic"]))

    def look(self, network: Any, clip: Clip, prompt: Prompt) -> Features:  # noqa: ARG002
        """Ratings of every frame.

        Returns:
            `scores` float32 [T], about 0..10.
        """
        parts = [network(clip_tensor(part, self.device)) for part in pieces(clip.frames, AT_ONCE)]
        return {"scores": torch.cat(parts).cpu().numpy()}

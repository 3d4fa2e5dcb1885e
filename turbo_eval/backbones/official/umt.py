"""Official judge for actions: UMT ViT-L/16 on 16 frames."""

from typing import ClassVar, Final

import numpy as np
import torch
from torch import Tensor, nn

from turbo_eval.backbones.official.frames import Judge
from turbo_eval.backbones.official.umt_frames import prepare
from turbo_eval.backbones.official.umt_labels import class_names
from turbo_eval.backbones.official.umt_network import FRAMES, PATCH, SIZE, UMT, WIDTH, sinusoids
from turbo_eval.backbones.official.weights import load_strict
from turbo_eval.backbones.protocol import Features
from turbo_eval.core.records import Prompt, pack_text
from turbo_eval.video.clip import Clip
from turbo_eval.video.sample import middle_indices

TOP: Final = 5


def make_network() -> nn.Module:
    """The untrained network without memory (on the `meta` device)."""
    with torch.device("meta"):
        return UMT()


def layout() -> dict[str, Tensor]:
    """The official state, untrained."""
    return dict(make_network().state_dict())


class Action(Judge):
    """Names the likeliest actions of a clip."""

    role: ClassVar[str] = "action"

    def build(self, *states: dict[str, Tensor]) -> nn.Module:
        """Make the network; a file without a position table gets the computed one.

        The table is fixed, so a program may leave it out of its checkpoint; VBench's own program
        then uses the computed one as well.
        """
        state = dict(states[0])
        if "pos_embed" not in state:
            state["pos_embed"] = sinusoids(FRAMES, (SIZE // PATCH) ** 2, WIDTH)
        return load_strict(make_network(), state, self.files[0])

    def look(self, network: nn.Module, clip: Clip, prompt: Prompt) -> Features:  # noqa: ARG002
        """The five likeliest actions.

        Args:
            network: UMT.
            clip: 16 middle frames are looked at (one view).
            prompt: Not used.

        Returns:
            `scores` float32 [5], sigmoids of the logits from the highest down; `labels` packed
            list of their names.
        """
        chosen = clip.frames[middle_indices(len(clip.frames), FRAMES)]
        scores = network(prepare(chosen, self.device)[None])[0].float().sigmoid()
        best = scores.topk(TOP)
        names = class_names()
        return {
            "scores": best.values.cpu().numpy().astype(np.float32),
            "labels": pack_text([names[k] for k in best.indices.tolist()]),
        }

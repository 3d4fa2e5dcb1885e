"""Official judge for clips and captions: ViCLIP-L on 8 frames and 32 tokens."""

from collections.abc import Sequence
from functools import cache
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from turbo_eval.backbones.official.frames import Judge, clip_tensor
from turbo_eval.backbones.official.viclip_network import Sizes, ViCLIP
from turbo_eval.backbones.official.weights import load_strict
from turbo_eval.backbones.protocol import Features
from turbo_eval.core.errors import PrerequisiteError
from turbo_eval.core.records import Prompt
from turbo_eval.video.clip import Clip
from turbo_eval.video.sample import middle_indices

SIZES = Sizes()


@cache
def _tokenizer() -> Any:
    try:
        from open_clip.tokenizer import SimpleTokenizer
    except ImportError as error:
        raise PrerequisiteError(
            "ViCLIP's words are read with open_clip, which is not installed",
            why=str(error),
            fix="pip install 'turbo-eval[rewards]'",
        ) from error
    return SimpleTokenizer(context_length=SIZES.tokens)


def tokens(texts: Sequence[str]) -> Tensor:
    """CLIP's word pieces of texts, int64 [N, 32]; longer texts are cut, the last token ends them.

    Raises:
        PrerequisiteError: open_clip, whose word pieces are used, is not installed.
    """
    result: Tensor = _tokenizer()(list(texts))
    return result


def make_network() -> nn.Module:
    """The untrained network without memory (on the `meta` device)."""
    with torch.device("meta"):
        return ViCLIP(SIZES)


def layout() -> dict[str, Tensor]:
    """The official state, untrained."""
    return dict(make_network().state_dict())


class VideoText(Judge):
    """Puts a clip and its prompt into one space."""

    role: ClassVar[str] = "video_text"

    def build(self, *states: dict[str, Tensor]) -> nn.Module:
        """Make the network."""
        return load_strict(make_network(), states[0], self.files[0])

    def look(self, network: nn.Module, clip: Clip, prompt: Prompt) -> Features:
        """Features of a clip and of its prompt.

        Args:
            network: ViCLIP.
            clip: 8 middle frames are looked at; a shorter clip repeats its last one.
            prompt: Its whole text is read, up to 32 tokens.

        Returns:
            `video` [768] and `text` [768] float32, not normalised.

        Raises:
            PrerequisiteError: open_clip is not installed.
        """
        assert isinstance(network, ViCLIP)
        chosen = clip.frames[middle_indices(len(clip.frames), SIZES.frames)]
        pictures = clip_tensor(chosen, self.device, rounded=True)
        numbers = tokens([prompt.text]).to(self.device)
        return {
            "video": _array(network.vision_encoder(pictures[None])),
            "text": _array(network.text_encoder(numbers)),
        }


def _array(features: Tensor) -> np.ndarray:
    return features[0].float().cpu().numpy()

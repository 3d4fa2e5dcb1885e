"""CLIP ViT-B/32: frames and phrases in one space (background consistency, appearance style).

open_clip has the network under OpenAI's names ("quickgelu" variants). The archive keeps most
weights in float16; they run in float32, as the official program does on a CPU. On a GPU the
official program stays in float16, where its cosines have steps of about 5e-4.

Source: Radford et al. 2021 (arXiv 2103.00020).
"""

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, ClassVar, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from turbo_eval.backbones.official.files import BY_ID, WeightsFile
from turbo_eval.backbones.official.frames import Judge, clip_pil, clip_tensor, pieces, serves
from turbo_eval.backbones.official.viclip_network import Attention, quick_gelu
from turbo_eval.backbones.official.weights import load_strict
from turbo_eval.backbones.protocol import Features
from turbo_eval.core.records import Prompt
from turbo_eval.video.clip import Clip

AT_ONCE: Final = 16
"""Frames of one forward pass; it bounds memory, not results."""
LENGTH: Final = 77
"""Tokens of a text."""
FACTS: Final = ("input_resolution", "context_length", "vocab_size")
"""Numbers that the archive keeps beside the weights."""

_HALF = re.compile(
    r"(.*\.)?((conv1|c_fc|c_proj|out_proj)\.(weight|bias)|in_proj_(weight|bias))"
    r"|text_projection|visual\.proj"
)


def make_network(name: str) -> nn.Module:
    """The untrained network without memory (on the `meta` device).

    Args:
        name: `ViT-B-32` or `ViT-L-14`.
    """
    import open_clip
    from open_clip.model import CLIP

    config = open_clip.get_model_config(f"{name}-quickgelu")
    with torch.device("meta"):
        network: nn.Module = CLIP(**config)
    return own_blocks(network)


class SelfAttention(Attention):
    """ViCLIP's attention behind the signature that open_clip calls."""

    def forward(  # type: ignore[override]
        self,
        q: Tensor,
        k: Tensor,  # noqa: ARG002
        v: Tensor,  # noqa: ARG002
        *,
        need_weights: bool = False,
        attn_mask: Tensor | None = None,
    ) -> tuple[Tensor, None]:
        """Tokens [N, L, width] after the attention; a mask is the causal one, CLIP has no other."""
        assert not need_weights
        return super().forward(q, None, attn_mask is not None), None


class QuickGelu(nn.Module):
    """CLIP's GELU without memory of its own."""

    def forward(self, x: Tensor) -> Tensor:
        """The activation of [...], which is overwritten."""
        return quick_gelu(x)


def own_blocks(network: nn.Module) -> nn.Module:
    """Give an untrained open_clip network our attention and activation; names stay the same.

    Theirs transpose what they are given, and PyTorch multiplies transposed rows clip by clip (on a
    CPU 15% slower in float32 and 27 times in bfloat16); they use fresh memory for every step, which
    took a fifth of the time; and their joint matrix cannot be packed (`official.packed`).
    """
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.MultiheadAttention):
                with torch.device("meta"):
                    setattr(module, name, SelfAttention(child.embed_dim, child.num_heads))
            elif type(child).__name__ == "QuickGELU":
                setattr(module, name, QuickGelu())
    return network


def layout(name: str) -> dict[str, Tensor]:
    """The official state, untrained, with the types that OpenAI's archive has."""
    state = {
        key: tensor.half() if _HALF.fullmatch(key) else tensor
        for key, tensor in make_network(name).state_dict().items()
    }
    facts = dict(zip(FACTS, (224, LENGTH, 49408), strict=True))
    return state | {key: torch.tensor(value) for key, value in facts.items()}


def layout_b32() -> dict[str, Tensor]:
    """The official state of ViT-B-32.pt."""
    return layout("ViT-B-32")


def layout_l14() -> dict[str, Tensor]:
    """The official state of ViT-L-14.pt."""
    return layout("ViT-L-14")


def weights_of(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state without the numbers that stand beside the weights."""
    return {name: tensor for name, tensor in state.items() if name not in FACTS}


def load_clip(name: str, state: Mapping[str, Tensor], file: WeightsFile) -> nn.Module:
    """The network with OpenAI's weights in float32.

    Raises:
        PrerequisiteError: The weights belong to another network.
    """
    network = load_strict(make_network(name), weights_of(state), file)
    # No part of the state, so it is still without memory.
    network.attn_mask = torch.full((LENGTH, LENGTH), float("-inf")).triu_(1)
    return network


@cache
def _tokenizer() -> Any:
    import open_clip

    return open_clip.get_tokenizer("ViT-B-32-quickgelu")


def tokens(text: str) -> Tensor:
    """Token numbers int64 [1, 77] of a text; a longer one is cut."""
    numbers: Tensor = _tokenizer()([text])
    return numbers


def style_phrase(auxiliary: Mapping[str, Any]) -> str | None:
    """The phrase of the fact appearance_style, flat or nested as in VBench; None if absent."""
    fact = auxiliary.get("appearance_style")
    if isinstance(fact, Mapping):
        fact = fact.get("appearance_style")
    return fact if isinstance(fact, str) and fact else None


class ImageText(Judge):
    """Features of single frames and of the prompt's style."""

    role: ClassVar[str] = "image_text"

    def build(self, *states: dict[str, Tensor]) -> nn.Module:
        """Make the network from OpenAI's state."""
        return load_clip("ViT-B-32", states[0], BY_ID["clip-b32"])

    def look(self, network: Any, clip: Clip, prompt: Prompt) -> Features:
        """Features of every frame, and of the style phrase.

        Args:
            network: CLIP.
            clip: Every frame is looked at.
            prompt: Its fact appearance_style decides whether the style's features are made, and
                its dimensions whether a clip with a style is also looked at in the other way.

        Returns:
            `logit_scale` []; `features` float32 [T, 512] (clip-tensor path); with a style
            `style_features` [T, 512] (clip-PIL path) and `style_text` [512], and `features` only
            if background consistency wants them. Nothing is normalised.
        """
        result: Features = {"logit_scale": np.array(float(network.logit_scale.exp()), np.float32)}
        phrase = style_phrase(prompt.auxiliary)
        if phrase is None or serves(prompt, "background_consistency"):
            result["features"] = self._see(network, clip, clip_tensor)
        if phrase is not None:
            result["style_features"] = self._see(network, clip, clip_pil)
            text = network.encode_text(tokens(phrase).to(self.device))
            result["style_text"] = text[0].float().cpu().numpy()
        return result

    def _see(
        self, network: Any, clip: Clip, prepare: Callable[[NDArray[np.uint8], str], Tensor]
    ) -> NDArray[np.float32]:
        parts = [
            network.encode_image(prepare(part, self.device))
            for part in pieces(clip.frames, AT_ONCE)
        ]
        return torch.cat(parts).float().cpu().numpy()

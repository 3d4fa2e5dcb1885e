"""Names of CLIP's tensors: from transformers' way of writing them to open_clip's.

transformers keeps queries, keys and values apart and its projections as linear layers; open_clip
stacks the three and multiplies by a matrix, which is the transpose.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import torch
from torch import Tensor

from turbo_eval.core.errors import PrerequisiteError

_WHOLE: Final = MappingProxyType(
    {
        "logit_scale": "logit_scale",
        "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
        "text_model.embeddings.position_embedding.weight": "positional_embedding",
        "text_model.final_layer_norm.weight": "ln_final.weight",
        "text_model.final_layer_norm.bias": "ln_final.bias",
        "vision_model.embeddings.class_embedding": "visual.class_embedding",
        "vision_model.embeddings.patch_embedding.weight": "visual.conv1.weight",
        "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
        # transformers spells this layer so.
        "vision_model.pre_layrnorm.weight": "visual.ln_pre.weight",
        "vision_model.pre_layrnorm.bias": "visual.ln_pre.bias",
        "vision_model.post_layernorm.weight": "visual.ln_post.weight",
        "vision_model.post_layernorm.bias": "visual.ln_post.bias",
    }
)
_TURNED: Final = MappingProxyType(
    {"text_projection.weight": "text_projection", "visual_projection.weight": "visual.proj"}
)
_PARTS: Final = MappingProxyType(
    {
        "self_attn.out_proj": "attn.out_proj",
        "layer_norm1": "ln_1",
        "layer_norm2": "ln_2",
        "mlp.fc1": "mlp.c_fc",
        "mlp.fc2": "mlp.c_proj",
    }
)
_LAYER: Final = re.compile(r"(text|vision)_model\.encoder\.layers\.(\d+)\.(.+)\.(weight|bias)")
_BUFFERS: Final = ("attn_mask", "embeddings.position_ids")
"""Ends of names of constants that older programs saved beside the weights."""


def without_constants(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state without the constants that older programs saved; they are no weights."""
    return {name: tensor for name, tensor in state.items() if not name.endswith(_BUFFERS)}


def to_open_clip(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A CLIP state of transformers under open_clip's names.

    Args:
        state: Name -> tensor as `transformers.CLIPModel` names them.

    Returns:
        Name -> tensor as `open_clip.CLIP` names them.

    Raises:
        PrerequisiteError: A name is strange, or a query, key or value is missing.
    """
    result: dict[str, Tensor] = {}
    thirds: dict[str, dict[str, Tensor]] = {}
    for name, tensor in without_constants(state).items():
        if name in _WHOLE:
            result[_WHOLE[name]] = tensor
        elif name in _TURNED:
            result[_TURNED[name]] = tensor.T
        elif (found := _LAYER.fullmatch(name)) is not None:
            tower, number, part, kind = found.groups()
            base = f"{'' if tower == 'text' else 'visual.'}transformer.resblocks.{number}"
            if part in _PARTS:
                result[f"{base}.{_PARTS[part]}.{kind}"] = tensor
            elif part in ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"):
                thirds.setdefault(f"{base}.attn.in_proj_{kind}", {})[part[10]] = tensor
            else:
                raise _strange(name)
        else:
            raise _strange(name)
    for name, parts in thirds.items():
        lacking = [third for third in "qkv" if third not in parts]
        if lacking:
            raise PrerequisiteError(
                "the weights are no whole CLIP", why=f"{name} lacks its part {lacking[0]}"
            )
        result[name] = torch.cat([parts[third] for third in "qkv"])
    return result


def _strange(name: str) -> PrerequisiteError:
    return PrerequisiteError(
        "the weights are no CLIP of transformers",
        why=f"it has no tensor {name!r}",
        fix="give the file that the reward's own page offers",
    )

"""Small stand-ins for ViT-H/14: the same file formats and names, random weights."""

from typing import Any

import torch
from torch import Tensor
from transformers import CLIPConfig, CLIPModel

CONFIG: dict[str, Any] = {
    "embed_dim": 12,
    "vision_cfg": {
        "image_size": 28, "layers": 2, "width": 16, "head_width": 8, "patch_size": 14,
    },
    "text_cfg": {
        "context_length": 77, "vocab_size": 49408, "width": 24, "heads": 2, "layers": 2,
    },
}  # fmt: skip


def open_clip_state(seed: int = 0) -> dict[str, Tensor]:
    import open_clip

    torch.manual_seed(seed)
    state: dict[str, Tensor] = open_clip.CLIP(**CONFIG).state_dict()
    # Larger than a fresh network's, so that towers tell frames and words apart.
    return {k: v + 0.3 * torch.randn_like(v) if v.ndim else v for k, v in state.items()}


def transformers_clip(seed: int = 0) -> Any:
    config = CLIPConfig(
        text_config={
            "hidden_size": 24, "intermediate_size": 96, "num_hidden_layers": 2,
            "num_attention_heads": 2, "vocab_size": 49408, "max_position_embeddings": 77,
            "hidden_act": "gelu", "eos_token_id": 2, "bos_token_id": 0, "pad_token_id": 1,
        },
        vision_config={
            "hidden_size": 16, "intermediate_size": 64, "num_hidden_layers": 2,
            "num_attention_heads": 2, "image_size": 28, "patch_size": 14, "hidden_act": "gelu",
        },
        projection_dim=12,
    )  # fmt: skip
    torch.manual_seed(seed)
    model = CLIPModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model

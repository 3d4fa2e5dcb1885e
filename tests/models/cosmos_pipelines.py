"""Random Cosmos pipelines, and a stand-in for the library that they cannot do without.

The real `cosmos_guardrail` reads gated weights of many gigabytes. The stand-in has the two
questions that the pipelines ask of it, notes them, and finds unsafe what is blue.
"""

from collections.abc import Callable
from typing import Any

import diffusers
import numpy as np
import torch
from diffusers.configuration_utils import ConfigMixin
from diffusers.models.modeling_utils import ModelMixin

from tests.models.further_pipelines import PARTS, chat, qwen25
from tests.models.tiny_pipelines import LETTERS, WIDTH, t5, tokenizer, wan_vae

ASKED: list[str] = []
"""What the stand-in was asked, in order: prompts, and the shapes of clips."""


class Checker(ModelMixin, ConfigMixin):
    """Stands in for `cosmos_guardrail.CosmosSafetyChecker`; blue things are unsafe."""

    def __init__(self) -> None:
        super().__init__()
        self.place = torch.nn.Parameter(torch.zeros(1))

    def check_text_safety(self, prompt: str) -> bool:
        ASKED.append(prompt)
        return "blue" not in prompt

    def check_video_safety(self, frames: np.ndarray) -> np.ndarray:
        ASKED.append(f"{frames.dtype} {frames.shape}")
        return frames


def _transformer(channels: int, **more: Any) -> Any:
    return diffusers.CosmosTransformer3DModel(
        out_channels=channels, num_attention_heads=2, attention_head_dim=16, num_layers=1,
        mlp_ratio=2, adaln_lora_dim=4, max_size=(8, 32, 32), **more,
    )  # fmt: skip


def text_to_world() -> Any:
    """Cosmos Predict 1: T5, 8 times smaller and shorter."""
    vae = diffusers.AutoencoderKLCosmos(
        latent_channels=4, encoder_block_out_channels=(8, 8, 8, 8),
        decode_block_out_channels=(8, 8, 8, 8), attention_resolutions=(8,), resolution=64,
        num_layers=1, latents_mean=None, latents_std=None,
    )  # fmt: skip
    return diffusers.CosmosTextToWorldPipeline(
        text_encoder=t5(), tokenizer=tokenizer(), vae=vae, scheduler=diffusers.EDMEulerScheduler(),
        transformer=_transformer(4, in_channels=4, text_embed_dim=WIDTH), safety_checker=Checker(),
    )  # fmt: skip


def predict() -> Any:
    """Cosmos Predict 2.5: Qwen2.5-VL, whose layers' features are joined, and Wan's autoencoder."""
    return diffusers.Cosmos2_5_PredictBasePipeline(
        text_encoder=qwen25(), tokenizer=chat(256, PARTS), vae=wan_vae(),
        scheduler=diffusers.UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True
        ),
        transformer=_transformer(16, in_channels=17, text_embed_dim=2 * WIDTH),
        safety_checker=Checker(),
    )  # fmt: skip


def omni() -> Any:
    """Cosmos 3: one transformer that reads and draws, saved as one that asks for no check."""
    words = chat(1024, PARTS)
    words.add_special_tokens({"additional_special_tokens": ["<|vision_start|>"]})
    transformer = diffusers.Cosmos3OmniTransformer(
        head_dim=6, hidden_size=6, intermediate_size=12, latent_channel=16, latent_patch_size=1,
        num_attention_heads=1, num_hidden_layers=1, num_key_value_heads=1, patch_latent_dim=16,
        qk_norm_for_text=False, rope_axes_dim=[1, 1, 1], vocab_size=len(LETTERS) + 1,
    )  # fmt: skip
    return diffusers.Cosmos3OmniPipeline(
        transformer=transformer, text_tokenizer=words, vae=wan_vae(),
        scheduler=diffusers.UniPCMultistepScheduler(), enable_safety_checker=False,
    )  # fmt: skip


COSMOS: dict[str, Callable[[], Any]] = {
    "Cosmos2_5_PredictBasePipeline": predict,
    "Cosmos3OmniPipeline": omni,
    "CosmosTextToWorldPipeline": text_to_world,
}

COSMOS_REQUESTS: dict[str, tuple[int, tuple[int, int]]] = {
    "Cosmos2_5_PredictBasePipeline": (5, (32, 16)),
    "Cosmos3OmniPipeline": (5, (32, 16)),
    "CosmosTextToWorldPipeline": (9, (32, 32)),
}

"""Random diffusers pipelines of a few thousand weights, saved the way repositories are.

Each builder returns a pipeline; `save` writes it as safetensors files and returns the folder. The
sizes are the smallest that the classes allow; the text is split into single characters.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

SPECIAL = ["<pad>", "</s>", "<unk>", "<s>"]
LETTERS = [*SPECIAL, *"abcdefghijklmnopqrstuvwxyz0123456789 .,"]
WIDTH = 16


def tokenizer(length: int = 16) -> Any:
    """A tokenizer of single letters."""
    inner = Tokenizer(models.WordLevel({w: i for i, w in enumerate(LETTERS)}, unk_token="<unk>"))
    inner.normalizer = normalizers.Lowercase()
    inner.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    inner.post_processor = processors.TemplateProcessing("$A </s>", special_tokens=[("</s>", 1)])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        bos_token="<s>",
        model_max_length=length,
    )


def t5(kind: str = "T5EncoderModel", config: str = "T5Config") -> Any:
    """A T5 or UMT5 encoder of one layer."""
    return getattr(transformers, kind)(
        getattr(transformers, config)(
            vocab_size=len(LETTERS),
            d_model=WIDTH,
            d_kv=8,
            d_ff=32,
            num_layers=1,
            num_heads=2,
            feed_forward_proj="gated-gelu",
            pad_token_id=0,
            eos_token_id=1,
        )
    ).eval()


def clip(width: int = WIDTH, length: int = 16) -> Any:
    """A CLIP text model of one layer."""
    return transformers.CLIPTextModel(
        transformers.CLIPTextConfig(
            vocab_size=len(LETTERS),
            hidden_size=width,
            intermediate_size=32,
            projection_dim=width,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=length,
            pad_token_id=0,
            bos_token_id=3,
            eos_token_id=1,
        )
    ).eval()


def image_vae() -> Any:
    """An image autoencoder that halves twice."""
    return diffusers.AutoencoderKL(
        in_channels=3,
        out_channels=3,
        latent_channels=4,
        block_out_channels=(8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        norm_num_groups=4,
        sample_size=32,
    )


def wan_vae() -> Any:
    """Wan's video autoencoder: 8 times smaller, 4 times shorter."""
    return diffusers.AutoencoderKLWan(
        base_dim=4, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1,
        temperal_downsample=[False, True, True],
    )  # fmt: skip


def ddim() -> Any:
    """The schedule of Stable Diffusion."""
    return diffusers.DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="linear", clip_sample=False,
        steps_offset=1,
    )  # fmt: skip


def flow(**settings: Any) -> Any:
    """The schedule of flow matching."""
    return diffusers.FlowMatchEulerDiscreteScheduler(**settings)


def image_unet() -> Any:
    """Stable Diffusion's UNet."""
    return diffusers.UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=4, layers_per_block=1,
        block_out_channels=(8, 16), cross_attention_dim=WIDTH, attention_head_dim=4,
        norm_num_groups=4, down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )  # fmt: skip


def motion() -> Any:
    """A motion adapter for `image_unet`."""
    return diffusers.MotionAdapter(
        block_out_channels=(8, 16), motion_layers_per_block=1, motion_norm_num_groups=4,
        motion_num_attention_heads=8, motion_max_seq_length=16,
    )  # fmt: skip


def stable_diffusion() -> Any:
    """An image pipeline, which becomes AnimateDiff with a motion adapter."""
    return diffusers.StableDiffusionPipeline(
        vae=image_vae(), text_encoder=clip(), tokenizer=tokenizer(), unet=image_unet(),
        scheduler=ddim(), safety_checker=None, feature_extractor=None,
        requires_safety_checker=False,
    )  # fmt: skip


def animatediff() -> Any:
    """An image UNet with motion modules."""
    return diffusers.AnimateDiffPipeline(
        vae=image_vae(), text_encoder=clip(), tokenizer=tokenizer(), unet=image_unet(),
        motion_adapter=motion(), scheduler=ddim(),
    )  # fmt: skip


def text_to_video_sd() -> Any:
    """ModelScope's class."""
    unet = diffusers.UNet3DConditionModel(
        sample_size=8, block_out_channels=(8, 16), layers_per_block=1, cross_attention_dim=WIDTH,
        attention_head_dim=4, norm_num_groups=4,
        down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
        up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
    )  # fmt: skip
    return diffusers.TextToVideoSDPipeline(
        vae=image_vae(), text_encoder=clip(), tokenizer=tokenizer(), unet=unet, scheduler=ddim()
    )


def cogvideox() -> Any:
    """CogVideoX: a causal video autoencoder, 4 times smaller and 4 times shorter."""
    transformer = diffusers.CogVideoXTransformer3DModel(
        num_attention_heads=2, attention_head_dim=16, in_channels=4, out_channels=4,
        time_embed_dim=2, text_embed_dim=WIDTH, num_layers=1, sample_width=8, sample_height=8,
        sample_frames=5, patch_size=2, max_text_seq_length=226,
    )  # fmt: skip
    vae = diffusers.AutoencoderKLCogVideoX(
        down_block_types=("CogVideoXDownBlock3D",) * 4, up_block_types=("CogVideoXUpBlock3D",) * 4,
        block_out_channels=(8, 8, 8, 8), latent_channels=4, layers_per_block=1, norm_num_groups=2,
        temporal_compression_ratio=4,
    )  # fmt: skip
    return diffusers.CogVideoXPipeline(
        tokenizer=tokenizer(226), text_encoder=t5(), vae=vae, transformer=transformer,
        scheduler=diffusers.CogVideoXDDIMScheduler(),
    )  # fmt: skip


def ltx() -> Any:
    """LTX-Video: 32 times smaller, 8 times shorter."""
    transformer = diffusers.LTXVideoTransformer3DModel(
        in_channels=8, out_channels=8, num_attention_heads=2, attention_head_dim=8,
        cross_attention_dim=16, num_layers=1, caption_channels=WIDTH,
    )  # fmt: skip
    vae = diffusers.AutoencoderKLLTXVideo(
        latent_channels=8, block_out_channels=(8, 8, 8, 8), decoder_block_out_channels=(8, 8, 8, 8),
        layers_per_block=(1,) * 5, decoder_layers_per_block=(1,) * 5,
        spatio_temporal_scaling=(True, True, True, False),
        decoder_spatio_temporal_scaling=(True, True, True, False),
        decoder_inject_noise=(False,) * 5, upsample_residual=(False,) * 4, upsample_factor=(1,) * 4,
        patch_size=4, patch_size_t=1, encoder_causal=True, decoder_causal=False,
    )  # fmt: skip
    return diffusers.LTXPipeline(
        scheduler=flow(), vae=vae, text_encoder=t5(), tokenizer=tokenizer(128),
        transformer=transformer,
    )  # fmt: skip


def wan_transformer(kind: str = "WanTransformer3DModel", **more: Any) -> Any:
    """Wan's transformer, or one of the same make."""
    return getattr(diffusers, kind)(
        patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=16,
        out_channels=16, text_dim=WIDTH, freq_dim=16, ffn_dim=32, num_layers=1,
        cross_attn_norm=True, qk_norm="rms_norm_across_heads", rope_max_seq_len=32, **more,
    )  # fmt: skip


def umt5() -> Any:
    """The text encoder of Wan."""
    return t5("UMT5EncoderModel", "UMT5Config")


def wan() -> Any:
    """Wan 2.1."""
    return diffusers.WanPipeline(
        tokenizer=tokenizer(512), text_encoder=umt5(), vae=wan_vae(), scheduler=flow(shift=3.0),
        transformer=wan_transformer(),
    )  # fmt: skip


BUILDERS: dict[str, Callable[[], Any]] = {
    "TextToVideoSDPipeline": text_to_video_sd,
    "AnimateDiffPipeline": animatediff,
    "CogVideoXPipeline": cogvideox,
    "LTXPipeline": ltx,
    "WanPipeline": wan,
}

REQUESTS: dict[str, tuple[int, tuple[int, int]]] = {
    "TextToVideoSDPipeline": (3, (32, 32)),
    "AnimateDiffPipeline": (3, (32, 32)),
    "CogVideoXPipeline": (9, (32, 48)),
    "LTXPipeline": (9, (64, 32)),
    "WanPipeline": (5, (32, 16)),
}
"""Frames, and width and height, of a short clip."""


def save(name: str, folder: Path) -> Path:
    """Write the pipeline `name` with random weights; the same numbers every time."""
    torch.manual_seed(7)
    (BUILDERS[name] if name in BUILDERS else globals()[name])().save_pretrained(
        folder, safe_serialization=True
    )
    return folder

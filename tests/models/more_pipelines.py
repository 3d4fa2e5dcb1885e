"""Random pipelines of further families; `make families` draws with each (see tiny_pipelines)."""

from collections.abc import Callable
from typing import Any

import diffusers
import transformers

from tests.models.tiny_pipelines import (
    LETTERS,
    WIDTH,
    clip,
    ddim,
    flow,
    image_unet,
    image_vae,
    ltx,
    motion,
    t5,
    tokenizer,
    umt5,
    wan_transformer,
    wan_vae,
)


def animatediff_pag() -> Any:
    """AnimateDiff with perturbed-attention guidance."""
    return diffusers.AnimateDiffPAGPipeline(
        vae=image_vae(), text_encoder=clip(), tokenizer=tokenizer(), unet=image_unet(),
        motion_adapter=motion(), scheduler=ddim(), pag_applied_layers="mid_block.*attn1",
    )  # fmt: skip


def animatediff_sdxl() -> Any:
    """AnimateDiff on SDXL, which has two text encoders and is told the size."""
    unet = diffusers.UNet2DConditionModel(
        sample_size=8, layers_per_block=1, block_out_channels=(8, 16), norm_num_groups=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), attention_head_dim=(2, 4),
        use_linear_projection=True, addition_embed_type="text_time", addition_time_embed_dim=8,
        transformer_layers_per_block=(1, 1), projection_class_embeddings_input_dim=6 * 8 + WIDTH,
        cross_attention_dim=2 * WIDTH,
    )  # fmt: skip
    second = transformers.CLIPTextModelWithProjection(clip().config)
    adapter = diffusers.MotionAdapter(
        block_out_channels=(8, 16), motion_layers_per_block=1, motion_norm_num_groups=4,
        use_motion_mid_block=False, motion_max_seq_length=16,
    )  # fmt: skip
    return diffusers.AnimateDiffSDXLPipeline(
        vae=image_vae(), text_encoder=clip(), text_encoder_2=second.eval(), tokenizer=tokenizer(),
        tokenizer_2=tokenizer(), unet=unet, motion_adapter=adapter, scheduler=ddim(),
    )  # fmt: skip


def latte() -> Any:
    """Latte: an image autoencoder, a transformer over space and time."""
    transformer = diffusers.LatteTransformer3DModel(
        sample_size=8, num_layers=1, patch_size=2, attention_head_dim=8, num_attention_heads=2,
        caption_channels=WIDTH, in_channels=4, cross_attention_dim=16, out_channels=8,
        attention_bias=True, activation_fn="gelu-approximate", num_embeds_ada_norm=1000,
        norm_type="ada_norm_single", norm_elementwise_affine=False, norm_eps=1e-6, video_length=2,
    )  # fmt: skip
    return diffusers.LattePipeline(
        tokenizer=tokenizer(120), text_encoder=t5(), vae=image_vae(), transformer=transformer,
        scheduler=ddim(),
    )  # fmt: skip


def mochi() -> Any:
    """Mochi: 6 times shorter."""
    transformer = diffusers.MochiTransformer3DModel(
        patch_size=2, num_attention_heads=2, attention_head_dim=8, num_layers=2,
        pooled_projection_dim=16, in_channels=12, text_embed_dim=WIDTH, time_embed_dim=4,
        max_sequence_length=256,
    )  # fmt: skip
    vae = diffusers.AutoencoderKLMochi(
        encoder_block_out_channels=(32,) * 4, decoder_block_out_channels=(32,) * 4,
        layers_per_block=(1,) * 5, add_attention_block=(False,) * 5,
    )  # fmt: skip
    return diffusers.MochiPipeline(
        scheduler=flow(), vae=vae, text_encoder=t5(), tokenizer=tokenizer(256),
        transformer=transformer,
    )  # fmt: skip


def hunyuan_vae() -> Any:
    """HunyuanVideo's autoencoder: 8 times smaller, 4 times shorter."""
    return diffusers.AutoencoderKLHunyuanVideo(
        block_out_channels=(8, 8, 8, 8), latent_channels=4, layers_per_block=1, norm_num_groups=4,
        mid_block_add_attention=False,
    )  # fmt: skip


def hunyuan() -> Any:
    """HunyuanVideo: Llama and CLIP."""
    transformer = diffusers.HunyuanVideoTransformer3DModel(
        in_channels=4, out_channels=4, num_attention_heads=2, attention_head_dim=10, num_layers=1,
        num_single_layers=1, num_refiner_layers=1, patch_size=2, guidance_embeds=True,
        text_embed_dim=WIDTH, pooled_projection_dim=8, rope_axes_dim=(2, 4, 4),
    )  # fmt: skip
    llama = transformers.LlamaModel(
        transformers.LlamaConfig(
            vocab_size=len(LETTERS), hidden_size=WIDTH, intermediate_size=32, num_hidden_layers=2,
            num_attention_heads=2, pad_token_id=0, max_position_embeddings=1024,
        )
    )  # fmt: skip
    return diffusers.HunyuanVideoPipeline(
        text_encoder=llama.eval(), tokenizer=tokenizer(1024), transformer=transformer,
        vae=hunyuan_vae(), scheduler=flow(shift=7.0), text_encoder_2=clip(8, 77),
        tokenizer_2=tokenizer(),
    )  # fmt: skip


def skyreels() -> Any:
    """SkyReels V2."""
    return diffusers.SkyReelsV2Pipeline(
        tokenizer=tokenizer(512), text_encoder=umt5(), vae=wan_vae(),
        transformer=wan_transformer("SkyReelsV2Transformer3DModel"),
        scheduler=diffusers.UniPCMultistepScheduler(flow_shift=8.0, use_flow_sigmas=True),
    )  # fmt: skip


def skyreels_forcing() -> Any:
    """SkyReels V2 that draws block by block."""
    return diffusers.SkyReelsV2DiffusionForcingPipeline(
        tokenizer=tokenizer(512), text_encoder=umt5(), vae=wan_vae(),
        transformer=wan_transformer("SkyReelsV2Transformer3DModel", inject_sample_info=False),
        scheduler=diffusers.UniPCMultistepScheduler(flow_shift=8.0, use_flow_sigmas=True),
    )  # fmt: skip


def _anyflow(kind: str, **more: Any) -> Any:
    return getattr(diffusers, kind)(
        patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=16,
        out_channels=16, text_dim=WIDTH, freq_dim=16, ffn_dim=32, num_layers=1,
        cross_attn_norm=True, rope_max_seq_len=32, **more,
    )  # fmt: skip


def anyflow() -> Any:
    """AnyFlow."""
    return diffusers.AnyFlowPipeline(
        tokenizer=tokenizer(512), text_encoder=umt5(), vae=wan_vae(),
        transformer=_anyflow("AnyFlowTransformer3DModel"),
        scheduler=diffusers.FlowMapEulerDiscreteScheduler(shift=5.0),
    )  # fmt: skip


def vace() -> Any:
    """Wan with room for control signals, of which there are none."""
    return diffusers.WanVACEPipeline(
        tokenizer=tokenizer(512), text_encoder=umt5(), vae=wan_vae(), scheduler=flow(shift=3.0),
        transformer=wan_transformer(
            "WanVACETransformer3DModel", vace_layers=[0], vace_in_channels=96
        ),
    )  # fmt: skip


def ltx_condition() -> Any:
    """LTX-Video with room for conditions, of which there are none."""
    return diffusers.LTXConditionPipeline(**ltx().components)


def allegro() -> Any:
    """Allegro."""
    transformer = diffusers.AllegroTransformer3DModel(
        num_attention_heads=2, attention_head_dim=12, in_channels=4, out_channels=4, num_layers=1,
        cross_attention_dim=24, sample_width=8, sample_height=8, sample_frames=2,
        caption_channels=WIDTH,
    )  # fmt: skip
    vae = diffusers.AutoencoderKLAllegro(
        block_out_channels=(8, 8, 8, 8), layers_per_block=1, norm_num_groups=2,
    )  # fmt: skip
    return diffusers.AllegroPipeline(
        tokenizer=tokenizer(512), text_encoder=t5(), vae=vae, transformer=transformer,
        scheduler=ddim(),
    )  # fmt: skip


def sana() -> Any:
    """SANA-Video: Gemma and Wan's autoencoder."""
    transformer = diffusers.SanaVideoTransformer3DModel(
        in_channels=16, out_channels=16, num_attention_heads=2, attention_head_dim=12,
        num_layers=1, num_cross_attention_heads=2, cross_attention_head_dim=12,
        cross_attention_dim=24, caption_channels=WIDTH, rope_max_seq_len=32, sample_size=8,
    )  # fmt: skip
    gemma = transformers.Gemma2Model(
        transformers.Gemma2Config(
            vocab_size=len(LETTERS), hidden_size=WIDTH, intermediate_size=32, num_hidden_layers=1,
            num_attention_heads=2, num_key_value_heads=2, head_dim=8, pad_token_id=0,
        )
    )  # fmt: skip
    return diffusers.SanaVideoPipeline(
        tokenizer=tokenizer(1024), text_encoder=gemma.eval(), vae=wan_vae(),
        transformer=transformer,
        scheduler=diffusers.DPMSolverMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=8.0
        ),
    )  # fmt: skip


def helios() -> Any:
    """Helios: windows of 33 frames, one after the other."""
    transformer = diffusers.HeliosTransformer3DModel(
        num_attention_heads=2, attention_head_dim=12, text_dim=WIDTH, freq_dim=16, ffn_dim=32,
        num_layers=1, rope_dim=(4, 4, 4),
    )  # fmt: skip
    return diffusers.HeliosPipeline(
        tokenizer=tokenizer(512), text_encoder=umt5(), vae=wan_vae(), transformer=transformer,
        scheduler=diffusers.HeliosScheduler(stages=1, stage_range=[0, 1]),
    )  # fmt: skip


def helios_pyramid() -> Any:
    """Helios, each window from coarse to fine."""
    parts = {**helios().components, "scheduler": diffusers.HeliosScheduler(stages=3, gamma=0.3)}
    return diffusers.HeliosPyramidPipeline(**parts)


def anyflow_far() -> Any:
    """AnyFlow that draws chunk by chunk."""
    return diffusers.AnyFlowFARPipeline(
        tokenizer=tokenizer(512), text_encoder=umt5(), vae=wan_vae(),
        transformer=_anyflow("AnyFlowFARTransformer3DModel", chunk_partition=(1, 1)),
        scheduler=diffusers.FlowMapEulerDiscreteScheduler(shift=5.0),
    )  # fmt: skip


MORE: dict[str, Callable[[], Any]] = {
    "AllegroPipeline": allegro,
    "AnimateDiffPAGPipeline": animatediff_pag,
    "AnimateDiffSDXLPipeline": animatediff_sdxl,
    "AnyFlowFARPipeline": anyflow_far,
    "AnyFlowPipeline": anyflow,
    "HeliosPipeline": helios,
    "HeliosPyramidPipeline": helios_pyramid,
    "HunyuanVideoPipeline": hunyuan,
    "LTXConditionPipeline": ltx_condition,
    "LattePipeline": latte,
    "MochiPipeline": mochi,
    "SanaVideoPipeline": sana,
    "SkyReelsV2DiffusionForcingPipeline": skyreels_forcing,
    "SkyReelsV2Pipeline": skyreels,
    "WanVACEPipeline": vace,
}

MORE_REQUESTS: dict[str, tuple[int, tuple[int, int]]] = {
    "AllegroPipeline": (24, (320, 320)),
    "AnimateDiffPAGPipeline": (3, (32, 32)),
    "AnimateDiffSDXLPipeline": (3, (32, 32)),
    "AnyFlowFARPipeline": (5, (32, 16)),
    "AnyFlowPipeline": (5, (32, 16)),
    "HeliosPipeline": (33, (32, 32)),
    "HeliosPyramidPipeline": (33, (64, 64)),
    "HunyuanVideoPipeline": (5, (16, 16)),
    "LTXConditionPipeline": (9, (64, 32)),
    "LattePipeline": (2, (32, 32)),
    "MochiPipeline": (7, (16, 16)),
    "SanaVideoPipeline": (5, (32, 32)),
    "SkyReelsV2DiffusionForcingPipeline": (9, (32, 16)),
    "SkyReelsV2Pipeline": (5, (32, 16)),
    "WanVACEPipeline": (5, (32, 16)),
}

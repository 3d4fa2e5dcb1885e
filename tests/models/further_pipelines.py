"""Random pipelines of the families with the largest text encoders, and of one without training.

`make families` draws with each (see more_pipelines).
"""

from collections.abc import Callable
from typing import Any

import diffusers
import transformers

from tests.models.more_pipelines import hunyuan_vae
from tests.models.tiny_pipelines import (
    LETTERS,
    WIDTH,
    clip,
    ddim,
    flow,
    image_unet,
    image_vae,
    tokenizer,
    wan_vae,
)

PLAIN = "{% for m in messages %}{{ m['content'] }} {% endfor %}"
"""A chat whose turns are texts."""
PARTS = "{% for m in messages %}{% for p in m['content'] %}{{ p['text'] }} {% endfor %}{% endfor %}"
"""A chat whose turns are lists of texts."""


def chat(length: int, template: str) -> Any:
    """A tokenizer of single letters that takes conversations."""
    made = tokenizer(length)
    made.chat_template = template
    return made


def qwen(layers: int, **more: Any) -> dict[str, Any]:
    """Sizes of a small Qwen that reads texts."""
    return {
        "vocab_size": len(LETTERS), "hidden_size": WIDTH, "intermediate_size": 32,
        "num_hidden_layers": layers, "num_attention_heads": 2, "num_key_value_heads": 2,
        "pad_token_id": 0, "bos_token_id": 3, "eos_token_id": 1, "max_position_embeddings": 2048,
        "rope_parameters": {
            "rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0,
        },
        **more,
    }  # fmt: skip


def zero() -> Any:
    """Text2Video-Zero: Stable Diffusion, frame by frame, with moved latents."""
    return diffusers.TextToVideoZeroPipeline(
        vae=image_vae(), text_encoder=clip(), tokenizer=tokenizer(), unet=image_unet(),
        scheduler=ddim(), safety_checker=None, feature_extractor=None,
        requires_safety_checker=False,
    )  # fmt: skip


def hunyuan15() -> Any:
    """HunyuanVideo 1.5: Qwen2.5-VL and ByT5, 16 times smaller, 4 times shorter."""
    transformer = diffusers.HunyuanVideo15Transformer3DModel(
        in_channels=9, out_channels=4, num_attention_heads=2, attention_head_dim=8, num_layers=1,
        num_refiner_layers=1, text_embed_dim=WIDTH, text_embed_2_dim=WIDTH, image_embed_dim=12,
        rope_axes_dim=(2, 2, 4), target_size=32, task_type="t2v",
    )  # fmt: skip
    vae = diffusers.AutoencoderKLHunyuanVideo15(
        latent_channels=4, block_out_channels=(16, 16, 16, 16, 16), layers_per_block=1,
    )  # fmt: skip
    reader = transformers.Qwen2_5_VLTextModel(transformers.Qwen2_5_VLTextConfig(**qwen(4)))
    glyphs = transformers.T5EncoderModel(
        transformers.T5Config(
            vocab_size=384, d_model=WIDTH, d_kv=8, d_ff=32, num_layers=1, num_heads=2,
            pad_token_id=0,
        )
    )  # fmt: skip
    return diffusers.HunyuanVideo15Pipeline(
        text_encoder=reader.eval(), tokenizer=chat(1108, PLAIN), transformer=transformer, vae=vae,
        scheduler=flow(shift=7.0), text_encoder_2=glyphs.eval(),
        tokenizer_2=transformers.ByT5Tokenizer(),
        guider=diffusers.ClassifierFreeGuidance(guidance_scale=6.0),
    )  # fmt: skip


def easyanimate() -> Any:
    """EasyAnimate: Qwen2-VL, 8 times smaller, 4 times shorter."""
    transformer = diffusers.EasyAnimateTransformer3DModel(
        num_attention_heads=2, attention_head_dim=16, in_channels=4, out_channels=4, patch_size=2,
        num_layers=1, mmdit_layers=1, time_embed_dim=8, text_embed_dim=WIDTH, sample_width=8,
        sample_height=8,
    )  # fmt: skip
    vae = diffusers.AutoencoderKLMagvit(
        latent_channels=4, block_out_channels=(8, 8, 8, 8), layers_per_block=1, norm_num_groups=2,
        spatial_group_norm=False,
    )  # fmt: skip
    reader = transformers.Qwen2VLForConditionalGeneration(
        transformers.Qwen2VLConfig(
            text_config=qwen(2),
            vision_config={
                "depth": 1, "embed_dim": 16, "hidden_size": WIDTH, "num_heads": 2, "mlp_ratio": 2,
            },
        )
    )  # fmt: skip
    return diffusers.EasyAnimatePipeline(
        vae=vae, text_encoder=reader.eval(), tokenizer=chat(256, PARTS), transformer=transformer,
        scheduler=flow(),
    )  # fmt: skip


def qwen25() -> Any:
    """A Qwen2.5-VL of two layers."""
    sight = {
        "depth": 1, "hidden_size": 16, "intermediate_size": 32, "num_heads": 2,
        "out_hidden_size": WIDTH,
    }  # fmt: skip
    config = transformers.Qwen2_5_VLConfig(text_config=qwen(2), vision_config=sight)
    return transformers.Qwen2_5_VLForConditionalGeneration(config).eval()


def kandinsky5() -> Any:
    """Kandinsky 5: Qwen2.5-VL and CLIP, HunyuanVideo's autoencoder.

    In single letters its own instructions are longer than what it reads, so the prompt is cut off.
    """
    transformer = diffusers.Kandinsky5Transformer3DModel(
        in_visual_dim=4, out_visual_dim=4, in_text_dim=WIDTH, in_text_dim2=WIDTH, time_dim=16,
        model_dim=16, ff_dim=32, num_text_blocks=1, num_visual_blocks=1, axes_dims=(4, 6, 6),
    )  # fmt: skip
    return diffusers.Kandinsky5T2VPipeline(
        transformer=transformer, vae=hunyuan_vae(), text_encoder=qwen25(),
        tokenizer=tokenizer(1024), text_encoder_2=clip(WIDTH, 77), tokenizer_2=tokenizer(77),
        scheduler=flow(shift=5.0),
    )  # fmt: skip


def kandinsky6() -> Any:
    """Kandinsky 6, which draws a sound beside the clip that nobody asks for."""
    transformer = diffusers.Kandinsky6Transformer3DModel(
        in_visual_dim=4, out_visual_dim=4, in_text_dim=WIDTH, in_text_dim2=WIDTH, time_dim=16,
        model_dim=16, ff_dim=32, num_text_blocks=1, num_visual_blocks=1, axes_dims=(4, 2, 2),
        in_audio_dim=4, out_audio_dim=4, visual_token_type_num_embeddings=2,
    )  # fmt: skip
    sound = diffusers.MMAudioVAE(
        mel_bins=8, latent_channels=4, hidden_channels=8, channel_multipliers=(1, 2),
        layers_per_block=1, sample_rate=64, n_fft=16, hop_length=4,
    )  # fmt: skip
    speaker = diffusers.MMAudioVocoder(
        num_mels=8, upsample_initial_channel=8, upsample_rates=(2, 2),
        upsample_kernel_sizes=(4, 4), resblock_kernel_sizes=(3,),
        resblock_dilation_sizes=((1, 3),),
    )  # fmt: skip
    return diffusers.Kandinsky6TI2VAPipeline(
        transformer=transformer, vae=hunyuan_vae(), text_encoder=qwen25(),
        tokenizer=tokenizer(2048), text_encoder_2=clip(WIDTH, 77), tokenizer_2=tokenizer(77),
        scheduler=flow(shift=7.0), audio_vae=sound, vocoder=speaker,
    )  # fmt: skip


def motif() -> Any:
    """Motif-Video: T5Gemma 2 and Wan's autoencoder."""
    transformer = diffusers.MotifVideoTransformer3DModel(
        in_channels=33, out_channels=16, num_attention_heads=2, attention_head_dim=8, num_layers=1,
        num_single_layers=1, text_embed_dim=WIDTH, rope_axes_dim=(2, 2, 4),
    )  # fmt: skip
    text = {
        "vocab_size": len(LETTERS), "hidden_size": WIDTH, "intermediate_size": 32,
        "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 8,
        "pad_token_id": 0, "bos_token_id": 3, "eos_token_id": 1, "max_position_embeddings": 1024,
        "dropout_rate": 0.0,
    }  # fmt: skip
    sight = {
        "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1,
        "num_attention_heads": 2, "image_size": 28, "patch_size": 14,
    }  # fmt: skip
    config = transformers.T5Gemma2EncoderConfig(text_config=text, vision_config=sight)
    return diffusers.MotifVideoPipeline(
        scheduler=flow(shift=5.0), vae=wan_vae(),
        text_encoder=transformers.T5Gemma2Encoder(config).eval(), tokenizer=tokenizer(512),
        transformer=transformer, guider=diffusers.ClassifierFreeGuidance(guidance_scale=5.0),
    )  # fmt: skip


def ltx2() -> Any:
    """LTX-2: Gemma 3; it draws a sound beside the clip, which nobody asks for."""
    from diffusers.pipelines.ltx2 import LTX2TextConnectors
    from diffusers.pipelines.ltx2.vocoder import LTX2Vocoder

    text = {
        "vocab_size": len(LETTERS), "hidden_size": WIDTH, "intermediate_size": 32,
        "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 8,
        "pad_token_id": 0, "bos_token_id": 3, "eos_token_id": 1, "max_position_embeddings": 1024,
    }  # fmt: skip
    sight = {
        "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1,
        "num_attention_heads": 2, "image_size": 28, "patch_size": 14,
    }  # fmt: skip
    reader = transformers.Gemma3ForConditionalGeneration(
        transformers.Gemma3Config(text_config=text, vision_config=sight, mm_tokens_per_image=1)
    )
    transformer = diffusers.LTX2VideoTransformer3DModel(
        in_channels=4, out_channels=4, num_attention_heads=2, attention_head_dim=8,
        cross_attention_dim=16, audio_in_channels=4, audio_out_channels=4,
        audio_num_attention_heads=2, audio_attention_head_dim=4, audio_cross_attention_dim=8,
        num_layers=1, caption_channels=WIDTH, rope_type="split",
    )  # fmt: skip
    vae = diffusers.AutoencoderKLLTX2Video(
        latent_channels=4, block_out_channels=(8, 16, 32, 64), layers_per_block=(1,) * 5,
        decoder_block_out_channels=(8, 16, 32), decoder_layers_per_block=(1,) * 4,
        spatial_compression_ratio=32, temporal_compression_ratio=8,
    )  # fmt: skip
    connectors = LTX2TextConnectors(
        caption_channels=WIDTH, text_proj_in_factor=2, video_connector_num_attention_heads=2,
        video_connector_attention_head_dim=8, video_connector_num_layers=1,
        video_connector_num_learnable_registers=None, audio_connector_num_attention_heads=2,
        audio_connector_attention_head_dim=8, audio_connector_num_layers=1,
        audio_connector_num_learnable_registers=None, rope_type="split",
    )  # fmt: skip
    sound = diffusers.AutoencoderKLLTX2Audio(
        base_channels=4, ch_mult=(1,), num_res_blocks=1, resolution=32, latent_channels=2,
        mel_bins=8,
    )  # fmt: skip
    speaker = LTX2Vocoder(
        in_channels=16, hidden_channels=16, upsample_kernel_sizes=[4, 4], upsample_factors=[2, 2],
        resnet_kernel_sizes=[3], resnet_dilations=[[1, 3, 5]],
    )  # fmt: skip
    return diffusers.LTX2Pipeline(
        scheduler=flow(), vae=vae, audio_vae=sound, text_encoder=reader.eval(),
        tokenizer=tokenizer(1024), connectors=connectors, transformer=transformer, vocoder=speaker,
    )  # fmt: skip


def ltx2_condition() -> Any:
    """LTX-2 with room for conditions, of which there are none."""
    return diffusers.LTX2ConditionPipeline(**ltx2().components)


FURTHER: dict[str, Callable[[], Any]] = {
    "EasyAnimatePipeline": easyanimate,
    "HunyuanVideo15Pipeline": hunyuan15,
    "Kandinsky5T2VPipeline": kandinsky5,
    "Kandinsky6TI2VAPipeline": kandinsky6,
    "LTX2ConditionPipeline": ltx2_condition,
    "LTX2Pipeline": ltx2,
    "MotifVideoPipeline": motif,
    "TextToVideoZeroPipeline": zero,
}

FURTHER_REQUESTS: dict[str, tuple[int, tuple[int, int]]] = {
    "EasyAnimatePipeline": (5, (32, 16)),
    "HunyuanVideo15Pipeline": (5, (32, 32)),
    "Kandinsky5T2VPipeline": (5, (32, 16)),
    "Kandinsky6TI2VAPipeline": (5, (32, 16)),
    "LTX2ConditionPipeline": (9, (64, 64)),
    "LTX2Pipeline": (9, (64, 64)),
    "MotifVideoPipeline": (5, (32, 16)),
    "TextToVideoZeroPipeline": (3, (32, 32)),
}

"""Small random checkpoints in the formats in which VideoCrafter2 and its students are published."""

import json
from pathlib import Path
from typing import Any

import open_clip
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from turbo_eval.models.lora import expected_shapes
from turbo_eval.models.lvdm_names import Module
from turbo_eval.models.lvdm_vae import vae_modules
from turbo_eval.models.videocrafter import VideoCrafterUNet

CONTEXT = 64
CONFIG: dict[str, Any] = {
    "unet": {
        "in_channels": 4,
        "out_channels": 4,
        "model_channels": 32,
        "attention_resolutions": [1],
        "num_res_blocks": 1,
        "channel_mult": [1, 2],
        "num_head_channels": 8,
        "context_dim": CONTEXT,
    },
    "vae": {
        "embed_dim": 4,
        "ddconfig": {
            "z_channels": 4,
            "ch": 32,
            "ch_mult": [1, 1, 1, 2],
            "num_res_blocks": 1,
        },
        "scale_factor": 0.18215,
    },
    "text": {"head_width": 32},
}
"""What `model.json` says: the shapes of the published networks, made small."""


def unet(**options: Any) -> VideoCrafterUNet:
    """A random UNet of the small shape."""
    found: VideoCrafterUNet = VideoCrafterUNet(
        down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
        up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
        block_out_channels=(32, 64),
        layers_per_block=1,
        cross_attention_dim=CONTEXT,
        attention_head_dim=8,
        **options,
    )
    return found.eval()  # type: ignore[no-any-return]


def renamed_back(network: Any, modules: list[Module], flat: int) -> dict[str, Tensor]:
    """A network's tensors under lvdm's names; `flat` axes come back where the reader drops some."""
    state, found = network.state_dict(), {}
    for module in modules:
        for part in ("weight", "bias"):
            tensor = state.get(f"{module.ours}.{part}")
            if tensor is not None:
                widened = module.squeeze and part == "weight"
                shape = (*tensor.shape, *(1,) * flat) if widened else tensor.shape
                found[f"{module.lvdm}.{part}"] = tensor.reshape(shape).clone()
    assert len(found) == len(state)
    return found


def lvdm_unet(network: VideoCrafterUNet) -> dict[str, Tensor]:
    """The UNet's tensors under lvdm's names, without a prefix."""
    return renamed_back(network, network.released_modules(), 1)


def vae() -> AutoencoderKL:
    """A random autoencoder of the small shape."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(32, 32, 32, 64),
        layers_per_block=1,
        scaling_factor=0.18215,
    ).eval()


def text_tower() -> Any:
    """open_clip's own CLIP with a small text tower; the image tower is left out of checkpoints."""
    return open_clip.CLIP(
        embed_dim=16,
        vision_cfg={
            "image_size": 28, "layers": 1, "width": 32, "head_width": 16, "patch_size": 14,
        },
        text_cfg={
            "context_length": 77, "vocab_size": 49408, "width": CONTEXT, "heads": 2, "layers": 3,
        },
    ).eval()  # fmt: skip


def write_teacher(folder: Path, seed: int = 0) -> tuple[Path, VideoCrafterUNet, Any, Any]:
    """A whole `model.ckpt` with the published prefixes, buffers and wrapper, and its networks."""
    torch.manual_seed(seed)
    networks = unet(), vae(), text_tower()
    state = {f"model.diffusion_model.{k}": v for k, v in lvdm_unet(networks[0]).items()}
    named = renamed_back(networks[1], vae_modules((1, 1, 1, 2), 1), 2)
    state |= {f"first_stage_model.{k}": v for k, v in named.items()}
    for key, tensor in networks[2].state_dict().items():
        if not key.startswith("visual."):
            state[f"cond_stage_model.model.{key}"] = tensor.clone()
    state["scale_arr"] = torch.ones(1400)
    state["alphas_cumprod"] = torch.linspace(1, 0, 1000)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.ckpt"
    torch.save({"state_dict": state, "global_step": 1}, path)
    path.with_suffix(".json").write_text(json.dumps(CONFIG))
    return path, *networks


def random_list(student: Any, rank: int = 4, seed: int = 7) -> list[Tensor]:
    """A LoRA list as the authors save it: [B0, A0, B1, A1, ...], without names."""
    generator = torch.Generator().manual_seed(seed)
    return [
        0.05 * torch.randn(shape, generator=generator)
        for _, up, down in expected_shapes(student, rank)
        for shape in (up, down)
    ]

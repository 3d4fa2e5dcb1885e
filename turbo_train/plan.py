"""What a training run will do and need, said before any weights are read.

Numbers of parameters are counted on networks without storage; activations are what one forward
pass of such a network would keep for the backward pass.
"""

from typing import Any

import torch
from diffusers import AutoencoderKL, UNet3DConditionModel
from torch import Tensor, nn

from turbo_eval.models.lora import add_lora, lora_parameters
from turbo_eval.models.quiet import quiet_libraries
from turbo_eval.models.systems import find_system
from turbo_train.config import TrainConfig
from turbo_train.student import HEAVY, embedding_width

LARGE: dict[str, dict[str, Any]] = {
    "modelscope": {
        "unet": {"sample_size": 32},
        "shape": (4, 16, 32, 32),
        "text": (77, 1024),
        "trained": "every linear layer and convolution",
    },
    "videocrafter2": {
        "unet": {
            "sample_size": 64,
            "down_block_types": ("CrossAttnDownBlock3D",) * 3 + ("DownBlock3D",),
            "up_block_types": ("UpBlock3D",) + ("CrossAttnUpBlock3D",) * 3,
        },
        "shape": (4, 16, 40, 64),
        "text": (77, 1024),
        "trained": "every linear layer and convolution",
    },
}
"""Architectures of the large teachers; the rest of them is diffusers' default for this class.
VideoCrafter2's frame-rate layers (2 million of its parameters) are not in this count."""

GIB = 2**30


def _meta_teacher(config: TrainConfig) -> tuple[Any, tuple[int, ...], tuple[int, int]]:
    """The teacher's UNet without storage, and the shapes of one clip's latents and text."""
    if config.teacher in LARGE:
        facts = LARGE[config.teacher]
        options = {"cross_attention_dim": 1024, "attention_head_dim": 64, **facts["unet"]}
        with torch.device("meta"):
            return UNet3DConditionModel(**options), facts["shape"], facts["text"]
    folder = find_system(config.teacher)
    with quiet_libraries(), torch.device("meta"):
        settings = UNet3DConditionModel.load_config(folder / "unet")
        unet = UNet3DConditionModel.from_config(settings)
        vae = AutoencoderKL.from_config(AutoencoderKL.load_config(folder / "vae"))
    size = unet.config.sample_size
    frames = 8 if vae.config.latent_channels != 4 else 16
    width = unet.config.cross_attention_dim
    return unet, (unet.config.in_channels, frames, size, size), (32, width)


def kept_bytes(network: Any, inputs: tuple[Tensor, ...], *, recompute: bool, size: int) -> int:
    """Bytes of activations that one forward pass keeps.

    Args:
        network: A network on the meta device.
        inputs: What it is called with.
        recompute: Count only the outputs of blocks that are recomputed in the backward pass, and
            the inside of the largest of them.
        size: Bytes of a number.
    """
    leaves: dict[nn.Module, int] = {}
    blocks: dict[nn.Module, int] = {}

    def count(table: dict[nn.Module, int]) -> Any:
        def hook(module: nn.Module, _inputs: object, output: object) -> None:
            if isinstance(output, Tensor):
                table[module] = table.get(module, 0) + output.numel() * size

        return hook

    handles = []
    for module in network.modules():
        if not list(module.children()):
            handles.append(module.register_forward_hook(count(leaves)))
        if isinstance(module, HEAVY):
            handles.append(module.register_forward_hook(count(blocks)))
    with torch.no_grad():
        network(*inputs)
    for handle in handles:
        handle.remove()
    if not recompute:
        return sum(leaves.values())
    inside = {block: sum(leaves.get(leaf, 0) for leaf in block.modules()) for block in blocks}
    outside = sum(leaves.values()) - sum(inside.values())
    return outside + sum(blocks.values()) + max(inside.values(), default=0)


def plan(config: TrainConfig) -> dict[str, Any]:
    """What a run will train and need.

    Returns:
        Plain values: parameters, bytes of weights, of optimizer and gradients, of activations of
        the student's pass (`activations_gib`), steps, clips, network calls per step, data.

    Raises:
        UsageError: Unknown teacher.
    """
    unet, shape, text = _meta_teacher(config)
    total = sum(p.numel() for p in unet.parameters())
    half = config.accelerator.mixed_precision != "no"
    size = 2 if half else 4
    count = config.batch_size
    latents = torch.empty(count, *shape, device="meta")
    times = torch.empty(count, dtype=torch.int64, device="meta")
    hidden = torch.empty(count, *text, device="meta")
    kept = kept_bytes(
        unet,
        (latents, times, hidden),
        recompute=config.accelerator.gradient_checkpointing,
        size=size,
    )
    with torch.device("meta"):
        width = embedding_width(config.recipe)
        if width is not None:
            from turbo_eval.models.guidance import add_guidance_projection

            add_guidance_projection(unet, width)
        add_lora(unet, config.lora.rank, dropout=config.lora.dropout)
    lora = sum(p.numel() for p in lora_parameters(unet))
    moments = 2 if config.optimizer.bits == 8 else 8
    chain = config.recipe in ("instructvideo", "draft")
    calls = {"student": 1, "teacher": 2, "target": 1}
    if chain:
        part = config.chain.start if config.recipe == "instructvideo" else 1.0
        calls = {"student": max(1, round(config.chain.steps * part))}
    return {
        "name": config.name,
        "recipe": config.recipe,
        "teacher": config.teacher,
        "teacher_parameters": total,
        "trained_parameters": lora,
        "trained": f"LoRA of rank {config.lora.rank} in every linear layer and convolution",
        "weights_gib": round(2 * total * 4 / GIB, 3),
        "optimizer_gib": round(lora * (4 + 4 + moments) / GIB, 3),
        "activations_gib": round(kept / GIB, 3),
        "not_counted": "autoencoder, text encoder and reward models",
        "steps": config.steps,
        "clips": config.steps * config.batch_size * config.accumulate,
        "network_calls_per_step": calls,
        "rewards": {**config.rewards.image, **config.rewards.video},
        "data": config.data.model_dump(mode="json", exclude_none=True),
        "seed": config.seed,
        "compat": config.compat,
    }


def lines(facts: dict[str, Any]) -> list[str]:
    """The plan for people."""
    rewards = ", ".join(f"{k} x {v:g}" for k, v in facts["rewards"].items()) or "none"
    calls = ", ".join(f"{v} {k}" for k, v in facts["network_calls_per_step"].items())
    memory = facts["weights_gib"] + facts["optimizer_gib"] + facts["activations_gib"]
    trained = facts["trained_parameters"]
    share = trained / facts["teacher_parameters"]
    return [
        f"{facts['name']}: recipe {facts['recipe']}, teacher {facts['teacher']}",
        f"trained: {trained:,} parameters ({share:.1%} of the teacher), {facts['trained']}",
        f"steps: {facts['steps']:,} ({facts['clips']:,} clips a device), calls a step: {calls}",
        f"rewards: {rewards}",
        f"data: {facts['data']}",
        f"memory: about {memory:.2f} GiB (weights of teacher and student {facts['weights_gib']}, "
        f"LoRA, gradients and optimizer {facts['optimizer_gib']}, activations "
        f"{facts['activations_gib']}); not counted: {facts['not_counted']}",
    ]

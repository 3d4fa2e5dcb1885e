"""Arithmetic of sampling and of a training step at the published sizes, without weights or a GPU.

Usage: python benchmarks/flops.py [--teacher videocrafter2|modelscope] [--rank N]

Every network is built without storage and PyTorch counts the multiplications that it would do (two
operations each), for one clip. What this leaves out: memory traffic, small kernels, and the gain of
one large call over two small ones. Ratios of time on a GPU will differ; nothing here was timed.

Training compares our step with the authors' structure: the student's pass, the teacher with and
without caption, the target, all with the same networks. Theirs encodes pixels and caption in each
step, evaluates the target through the adapters' branches, and computes the student's blocks again
in the backward pass, which its configuration always asks for; ours reads latents and text features
that were encoded before, merges the adapters for the target, and recomputes only where memory is
short: both ways are counted.
"""

import argparse
import copy
import json
import logging
from collections.abc import Callable
from typing import Any

import open_clip
import torch
from diffusers import AutoencoderKL, UNet3DConditionModel
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPTextConfig, CLIPTextModel

from turbo_eval.metrics.rewards.internvideo2_network import InternVideo2
from turbo_eval.models.lora import add_lora
from turbo_eval.models.videocrafter import VideoCrafterUNet
from turbo_train.student import save_activations

LATENTS = {"videocrafter2": (4, 16, 40, 64), "modelscope": (4, 16, 32, 32)}
RANKS = {"videocrafter2": 64, "modelscope": 32}
GUIDANCE_WIDTH = 256
TEXT = (77, 1024)
STEPS = {"teacher": 50, "student": 4}
IMAGE_FRAMES, VIDEO_FRAMES = 5, 8
"""Frames that the authors' program decodes for its image and its video reward."""


def counted(work: Callable[[], object]) -> float:
    """Operations of some work on the meta device, in units of 10^12."""
    with FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops()) / 1e12


def meta(*shape: int, grad: bool = False) -> Tensor:
    """A tensor without storage."""
    return torch.zeros(shape, device="meta", requires_grad=grad)


def published_vae() -> AutoencoderKL:
    """The autoencoder of both teachers."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(128, 256, 512, 512),
        layers_per_block=2,
    )


def published_text() -> CLIPTextModel:
    """The text encoder of both teachers."""
    return CLIPTextModel(
        CLIPTextConfig(
            hidden_size=1024, intermediate_size=4096, num_hidden_layers=23, num_attention_heads=16
        )
    )


def published_unet(teacher: str, **options: Any) -> Any:
    """The UNet of a teacher."""
    if teacher == "videocrafter2":
        return VideoCrafterUNet(**options)
    return UNet3DConditionModel(attention_head_dim=64, **options)


class Networks:
    """The networks of one teacher at their published sizes, without storage."""

    def __init__(self, teacher: str, rank: int) -> None:
        self.latents = LATENTS[teacher]
        logging.disable(logging.WARNING)
        with torch.device("meta"):
            self.teacher = published_unet(teacher).requires_grad_(False)
            self.merged = published_unet(teacher, time_cond_proj_dim=GUIDANCE_WIDTH)
            self.merged.requires_grad_(False)
            self.adapted = add_lora(copy.deepcopy(self.merged), rank)
            self.recomputed = copy.deepcopy(self.adapted)
            self.vae = published_vae().requires_grad_(False)
            self.text = published_text()
            tower = open_clip.create_model("ViT-H-14", pretrained=None, device="meta").visual
            self.image: nn.Module = tower.requires_grad_(False)
            self.video = InternVideo2().requires_grad_(False)
        save_activations(self.recomputed)

    def call(self, unet: Any, clips: int = 1) -> Tensor:
        """One evaluation of a UNet."""
        options = {} if unet is self.teacher else {"timestep_cond": meta(clips, GUIDANCE_WIDTH)}
        steps = torch.zeros(clips, dtype=torch.int64, device="meta")
        output: Tensor = unet(
            meta(clips, *self.latents), steps, meta(clips, *TEXT), **options
        ).sample
        return output

    def no_grad(self, work: Callable[[], object]) -> float:
        """Operations of a pass that nobody differentiates."""
        with torch.no_grad():
            return counted(work)

    def decode(self, frames: int) -> Tensor:
        """Pixels of latents that carry a gradient."""
        channels, _, height, width = self.latents
        latents = meta(frames, channels, height, width, grad=torch.is_grad_enabled())
        decoded: Tensor = self.vae.decode(latents, return_dict=False)[0]
        return decoded

    def text_features(self) -> object:
        """One caption, read."""
        return self.text(torch.zeros(1, TEXT[0], dtype=torch.int64, device="meta"))

    def encode(self) -> object:
        """One clip's pixels to latents."""
        _, frames, height, width = self.latents
        return self.vae.encode(meta(frames, 3, 8 * height, 8 * width))


def sampling(of: Networks) -> dict[str, float]:
    """A clip of the 50-step teacher with guidance, and of the 4-step student."""
    teacher = of.no_grad(lambda: of.call(of.teacher))
    student = of.no_grad(lambda: of.call(of.merged))
    text = of.no_grad(of.text_features)
    frames = of.no_grad(lambda: of.decode(of.latents[1]))
    unet = {
        "teacher": 2 * STEPS["teacher"] * teacher,
        "student": STEPS["student"] * student,
    }
    whole = {
        "teacher": unet["teacher"] + 2 * text + frames,
        "student": unet["student"] + text + frames,
    }
    return {
        "one call of the teacher": teacher,
        "one call of the merged student": student,
        "one caption": text,
        "decoding 16 frames": frames,
        "student / teacher, one call": student / teacher,
        "teacher / student, UNet": unet["teacher"] / unet["student"],
        "teacher / student, whole sampling": whole["teacher"] / whole["student"],
        "text and decoding, part of the student's sampling": 1 - unet["student"] / whole["student"],
    }


def training(of: Networks) -> dict[str, float]:
    """A step of VCM and of T2V-Turbo in both structures."""
    kept = counted(lambda: of.call(of.adapted).sum().backward())
    again = counted(lambda: of.call(of.recomputed).sum().backward())
    branches = of.no_grad(lambda: of.call(of.adapted))
    merged = of.no_grad(lambda: of.call(of.merged))
    teacher = of.no_grad(lambda: of.call(of.teacher, 2))
    constant = of.no_grad(of.encode) + of.no_grad(of.text_features)
    theirs = again + teacher + branches + constant
    ours = {"recomputing": again + teacher + merged, "keeping": kept + teacher + merged}
    pixels = meta(IMAGE_FRAMES, 3, 224, 224, grad=True)
    clip = meta(1, VIDEO_FRAMES, 3, 224, 224, grad=True)
    frame = counted(lambda: of.decode(1).sum().backward())
    both = IMAGE_FRAMES + VIDEO_FRAMES
    # The video reward sees every other frame; on average so many of the image reward's are not new.
    shared = IMAGE_FRAMES * VIDEO_FRAMES / of.latents[1]
    image = counted(lambda: of.image(pixels).sum().backward())
    video = counted(lambda: of.video.encode_video(clip).sum().backward())
    rewards = {
        "theirs": both * frame + image + video,
        "ours": (both - shared) * frame + image + video,
    }
    told = {
        "student, forward and backward": kept,
        "student, recomputed": again,
        "teacher, with and without caption": teacher,
        "target, merged": merged,
        "target, through the branches": branches,
        "pixels and caption encoded": constant,
        "one frame decoded, forward and backward": frame,
        f"{IMAGE_FRAMES} + {VIDEO_FRAMES} frames decoded": both * frame,
        f"{both - shared:g} frames decoded, those of both rewards once": (both - shared) * frame,
        "image reward of ViT-H-14, forward and backward": image,
        "video reward of InternVideo2 1B, forward, recomputed and backward": video,
        "VCM step, authors' structure": theirs,
    }
    for label, step in ours.items():
        told |= {
            f"VCM step, ours, {label}": step,
            f"authors' structure / ours {label}, VCM": theirs / step,
            f"authors' structure / ours {label}, T2V-Turbo": (theirs + rewards["theirs"])
            / (step + rewards["ours"]),
            f"T2V-Turbo / VCM, ours {label}": (step + rewards["ours"]) / step,
        }
    return told


def main() -> None:
    """Print the counts as JSON, in units of 10^12 operations, and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--teacher", choices=sorted(LATENTS), default="videocrafter2")
    parser.add_argument("--rank", type=int)
    args = parser.parse_args()
    rank = args.rank or RANKS[args.teacher]
    of = Networks(args.teacher, rank)
    tables = {"sampling": sampling(of), "training": training(of)}
    told = {name: {k: round(v, 3) for k, v in table.items()} for name, table in tables.items()}
    print(json.dumps({"teacher": args.teacher, "rank": rank, **told}, indent=1))


if __name__ == "__main__":
    main()

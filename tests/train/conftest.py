"""A teacher that is small enough to be trained from in seconds, and a run that uses it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import TextToVideoSDPipeline, UNet3DConditionModel
from torch import Tensor

from turbo_eval.models.mini import PACKAGED
from turbo_eval.models.quiet import quiet_libraries
from turbo_train import config
from turbo_train.config import TrainConfig
from turbo_train.data.batch import Batch
from turbo_train.recipes.common import Parts
from turbo_train.rewards import RewardTerms
from turbo_train.setup import make_parts
from turbo_train.teachers import TeacherParts, load


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline folder: the mini world's autoencoder and text encoder, a tiny random denoiser."""
    torch.manual_seed(0)
    with quiet_libraries():
        pipeline: Any = TextToVideoSDPipeline.from_pretrained(PACKAGED, local_files_only=True)
        pipeline.unet = UNet3DConditionModel(
            sample_size=8,
            in_channels=8,
            out_channels=8,
            down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
            up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
            block_out_channels=(8, 16),
            layers_per_block=1,
            norm_num_groups=4,
            cross_attention_dim=128,
            attention_head_dim=4,
        )
        folder = tmp_path_factory.mktemp("teacher") / "tiny"
        pipeline.save_pretrained(folder)
    return folder


@pytest.fixture
def tiny_teacher(tiny_folder: Path) -> TeacherParts:
    return load(str(tiny_folder))


@dataclass
class Stream:
    """Random latents and captions; batch `number` is always the same."""

    frames: int = 4
    skipped: dict[str, int] = field(default_factory=dict)

    def batch(self, number: int, size: int) -> Batch:
        generator = torch.Generator().manual_seed(number)
        latents = torch.randn(size, 8, self.frames, 8, 8, generator=generator)
        captions = tuple(f"a red circle {number}" for _ in range(size))
        return Batch(captions=captions, keys=captions, latents=latents)

    def describe(self) -> dict[str, object]:
        return {"kind": "stream"}


@dataclass(frozen=True)
class Info:
    kind: str


@dataclass(frozen=True)
class Brightness:
    """A reward of our own: mean brightness, so its value and its gradient are known."""

    info: Info = Info("image")
    bad: float = 0.0

    def score(self, pixels: Tensor, prompts: Sequence[str]) -> Tensor:
        assert len(prompts) == len(pixels)
        return pixels.flatten(1).mean(1) + self.bad


RewardsOf = Mapping[str, Any]
MakeParts = Callable[..., Parts]


@pytest.fixture
def make(tiny_folder: Path) -> Callable[..., tuple[TrainConfig, Parts]]:
    """Settings and parts of a run on the tiny teacher; keyword arguments override settings."""

    def build(
        recipe: str = "vcm",
        *,
        image: RewardsOf | None = None,
        video: RewardsOf | None = None,
        **values: Any,
    ) -> tuple[TrainConfig, Parts]:
        terms = {"image": dict.fromkeys(image or {}, 1.0), "video": dict.fromkeys(video or {}, 1.0)}
        rewards = {**terms, "image_frames": 2, "video_frames": 2, **values.pop("rewards", {})}
        settings = config.check(
            {
                "recipe": recipe,
                "teacher": str(tiny_folder),
                "name": "test",
                "steps": 4,
                "batch_size": 2,
                "seed": 5,
                "lora": {"rank": 2},
                "optimizer": {"lr": 1e-3},
                "accelerator": {"mixed_precision": "no", "gradient_checkpointing": False},
                "rewards": rewards,
                "save_every": 2,
                "report_every": 1,
                "track": "none",
                **values,
            },
            source="the test",
        )
        bare = settings.model_copy(update={"rewards": config.Rewards()})
        parts = make_parts(bare, load(str(tiny_folder)), weights_dir=None, device="cpu")
        parts.config = settings
        parts.terms = RewardTerms(settings.rewards, image or {}, video or {})
        return settings, parts

    return build

"""Rewards as metrics: `reward.mini-image` and its kin, through the same stages as any other.

A reward plays the part `reward:NAME`: as a backbone it looks at each video once and keeps its
scores as features; the metric is their mean. So a score is cached, resumed and aggregated like a
dimension of VBench, and training and reporting share one network.
"""

from pathlib import Path
from typing import Final

import numpy as np

from turbo_eval.backbones.protocol import BackboneInfo, Features
from turbo_eval.core.hashing import content_key
from turbo_eval.core.records import Prompt
from turbo_eval.metrics.base import Features as FeaturesByPart
from turbo_eval.metrics.base import Metric, MetricInfo, Score, guarded, ok
from turbo_eval.metrics.read import numbers
from turbo_eval.metrics.rewards.base import PREFIX, Reward, RewardInfo
from turbo_eval.metrics.rewards.load import load
from turbo_eval.video.clip import Clip

VERSION: Final = 1
"""Raised when the same video and weights would score differently."""


def part(name: str) -> str:
    """The judges' part that the reward `name` plays."""
    return f"reward:{name}"


class RewardBackbone:
    """A reward that looks at one video at a time (see `Backbone`).

    Args:
        reward: The reward; its weights are read at the first video.
    """

    def __init__(self, reward: Reward) -> None:
        self.reward = reward

    @property
    def info(self) -> BackboneInfo:
        """Facts of the reward as a backbone."""
        facts = self.reward.info
        return BackboneInfo(
            id=f"{PREFIX}{facts.id}",
            role=part(facts.id),
            version=VERSION,
            weights=content_key("reward", sorted(facts.weights.items())),
            licence=facts.licence,
            description=facts.description,
        )

    def extract(self, clip: Clip, prompt: Prompt) -> Features:
        """Score a video with its prompt, without gradient.

        Args:
            clip: uint8 RGB frames [T, H, W, 3] of any size.
            prompt: Its whole text is read.

        Returns:
            `scores` float32: [T], one a frame, of an image reward, [1] of a video reward.

        Raises:
            InputError: The clip is too short, or a score is no number.
        """
        import torch

        frames = torch.from_numpy(np.array(clip.frames)).movedim(-1, -3)
        parts = []
        with torch.no_grad():
            if self.reward.info.kind == "video":
                parts.append(self.reward.score(frames.float()[None] / 255, [prompt.text]))
            # Frame by frame: long clips at high resolution would not fit at once.
            else:
                for frame in frames:
                    parts.append(self.reward.score(frame.float()[None] / 255, [prompt.text]))
        return {"scores": torch.cat(parts).cpu().numpy()}


def reward_backbone(
    name: str, *, weights_dir: Path | None = None, device: str = "cpu"
) -> RewardBackbone:
    """Return a registered reward as a backbone.

    Raises:
        UsageError: No such reward.
        PrerequisiteError: Its weights are missing.
    """
    return RewardBackbone(load(name, weights_dir=weights_dir, device=device))


def reward_metric(info: RewardInfo) -> Metric:
    """Return the metric of a reward: the mean of its scores over the frames that it saw.

    Args:
        info: The reward's facts.
    """
    role = part(info.id)

    def score(features: FeaturesByPart, prompt: Prompt) -> Score:  # noqa: ARG001 (metric protocol)
        values = numbers(features, role, "scores", 1)
        return ok(float(values.mean()) if len(values) else float("nan"), 1, frames=len(values))

    facts = MetricInfo(
        id=f"{PREFIX}{info.id}",
        version=VERSION,
        roles=(role,),
        low=info.low,
        high=info.high,
        higher_is_better=True,
        reference="T2V-Turbo, arXiv 2405.18750",
        needs=(),
        group="reward",
        description=info.description,
    )
    return Metric(facts, guarded(score))

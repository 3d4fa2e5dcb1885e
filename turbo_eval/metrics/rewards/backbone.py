"""A reward as a backbone: it looks at each video of a run once and keeps its scores as features."""

from pathlib import Path

import numpy as np

from turbo_eval.backbones.protocol import BackboneInfo, Features
from turbo_eval.core.hashing import content_key
from turbo_eval.core.records import Prompt
from turbo_eval.metrics.rewards.base import PREFIX, Reward
from turbo_eval.metrics.rewards.load import load
from turbo_eval.metrics.rewards.metric import VERSION, part
from turbo_eval.video.clip import Clip


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

"""The mini rewards as `Reward` objects: preprocessing, words and weights around the networks."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from turbo_eval.backbones.mini import words
from turbo_eval.core.errors import PrerequisiteError
from turbo_eval.metrics.rewards.base import RewardInfo
from turbo_eval.metrics.rewards.mini import DESCRIPTIONS, weights
from turbo_eval.metrics.rewards.mini.networks import (
    FRAMES,
    LENGTH,
    SIZE,
    MiniImage,
    MiniVideo,
)
from turbo_eval.metrics.rewards.towers import TwoTowers


class MiniReward(TwoTowers):
    """One reward of the mini world.

    Args:
        name: `mini-image` or `mini-video`.
        device: Where its network runs.
        where: Folder of the weights; None for the package's own.

    Raises:
        PrerequisiteError: The folder does not list its weights.
    """

    def __init__(self, name: str, *, device: str = "cpu", where: Path | None = None) -> None:
        super().__init__(device)
        self._where = where
        file = weights.entry(name, where)
        video = name == "mini-video"
        self._info = RewardInfo(
            id=name,
            kind="video" if video else "image",
            size=SIZE,
            frames=FRAMES if video else None,
            weights={file.file: file.sha256},
            licence="Apache-2.0",
            description=DESCRIPTIONS[name],
        )

    @property
    def info(self) -> RewardInfo:
        """Facts of the reward."""
        return self._info

    @cached_property
    def network(self) -> MiniImage | MiniVideo:
        """The frozen network in evaluation mode, read at the first use.

        Raises:
            PrerequisiteError: The weights are missing or damaged, or of another list of words.
        """
        state = weights.read(self._info.id, self._where)
        if int(state["checksum"]) != words.checksum(self._words):
            raise PrerequisiteError(
                f"the list of words does not belong to the weights of {self._info.id!r}",
                fix="install turbo-eval again, or train them: turbo-train world rewards",
            )
        make = MiniVideo if self._info.kind == "video" else MiniImage
        # Weights made in inference mode could not be differentiated through later.
        with torch.inference_mode(False):
            network = make(self._words)
            network.load_state_dict(state)
            return network.requires_grad_(False).eval().to(self.device)

    @cached_property
    def _words(self) -> tuple[str, ...]:
        return words.load(self._where or weights.folder())

    def preprocess(self, frames: Tensor) -> Tensor:
        """To 64 x 64 (bilinear with antialiasing, the aspect is not kept) and -1..1."""
        if frames.shape[-2:] != (SIZE, SIZE):
            frames = F.interpolate(
                frames, (SIZE, SIZE), mode="bilinear", antialias=True, align_corners=False
            )
        return frames * 2 - 1

    def _see(self, prepared: Tensor) -> Tensor:
        return self.network.picture(prepared.float())

    def _read(self, prompts: Sequence[str]) -> Tensor:
        numbers = torch.from_numpy(words.encode(prompts, self._words, LENGTH))
        features: Tensor = self.network.text(numbers.to(self.device))
        return features

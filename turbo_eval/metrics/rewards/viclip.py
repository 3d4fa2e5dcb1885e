"""ViCLIP as a reward: the cosine of a clip and its caption; the same network as the judge's part.

Source: T2V-Turbo (arXiv 2405.18750) and its program: 8 frames, the shorter side to 224 pixels, one
window for all frames, ImageNet's normalisation (the judge uses CLIP's), bare cosine.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from turbo_eval.backbones.official.files import file_of
from turbo_eval.backbones.official.marks import checksum
from turbo_eval.backbones.official.viclip import tokens
from turbo_eval.backbones.official.viclip_network import Sizes, ViCLIP
from turbo_eval.backbones.official.weights import find, load_strict, read_state
from turbo_eval.metrics.rewards.base import Reward, RewardInfo
from turbo_eval.metrics.rewards.preprocess import shorter_side, window
from turbo_eval.metrics.rewards.towers import TwoTowers, number_type


class ViclipReward(TwoTowers):
    """ViCLIP's two towers (see `Reward`).

    A metric looks through the window in the middle. Training draws the window, once for all frames
    of all clips of a call, as the authors' program does; see `draw_window`.

    Args:
        path: The official checkpoint; read at the first score.
        sizes: Of the network; the official ones when None.
        device: Where the network runs.
        dtype: `float32`, `float16` or `bfloat16`.

    Raises:
        UsageError: Unknown dtype.
    """

    def __init__(
        self,
        path: Path,
        *,
        sizes: Sizes | None = None,
        device: str = "cpu",
        dtype: str = "float32",
    ) -> None:
        super().__init__(device)
        self._path, self._sizes, self._dtype = path, sizes or Sizes(), number_type(dtype)
        self._window: tuple[int, int] | None = None

    @cached_property
    def info(self) -> RewardInfo:
        """Facts of the reward; the file's checksum is computed once and kept."""
        return RewardInfo(
            id="viclip",
            kind="video",
            size=self._sizes.size,
            frames=self._sizes.frames,
            weights={self._path.name: checksum(self._path)},
            licence=file_of("viclip").licence,
            description="ViCLIP score of a clip (ViT-L/14, 8 frames, arXiv 2307.06942).",
        )

    @cached_property
    def network(self) -> ViCLIP:
        """The frozen network in evaluation mode, read at the first use.

        Raises:
            PrerequisiteError: The file is damaged or holds another network.
        """
        # Weights made in inference mode could not be differentiated through later.
        with torch.inference_mode(False):
            with torch.device("meta"):
                network = ViCLIP(self._sizes)
            state = read_state(self._path, wrapper=file_of("viclip").wrapper)
            load_strict(network, state, self._path.name)
            return network.requires_grad_(False).eval().to(self.device, self._dtype)

    def room(self, height: int, width: int) -> tuple[int, int]:
        """How far the window can move down and to the right in frames of a size, in pixels."""
        size = self._sizes.size
        high, wide = shorter_side(height, width, size)
        return high - size, wide - size

    def draw_window(self, height: int, width: int, generator: torch.Generator) -> tuple[int, int]:
        """A random window for frames of a size: its top, drawn first, and its left."""
        down, right = self.room(height, width)
        top = int(torch.randint(0, down + 1, (1,), generator=generator))
        return top, int(torch.randint(0, right + 1, (1,), generator=generator))

    def preprocess(self, frames: Tensor) -> Tensor:
        """Prepare frames as the authors' program does; the window in the middle, unless drawn."""
        down, right = self.room(*frames.shape[-2:])
        middle = (round(down / 2), round(right / 2))
        return window(frames, self._window or middle, self._sizes.size)

    def score_through(self, frames: Tensor, prompts: Sequence[str], at: tuple[int, int]) -> Tensor:
        """`score` through a window of one's own.

        Args:
            frames: float [B, F, 3, H, W] in 0..1.
            prompts: B prompts.
            at: Top and left of the window, inside the `room`.

        Raises:
            InputError: As `score`, or the window does not lie inside the frames.
        """
        self._window = at
        try:
            return self.score(frames, prompts)
        finally:
            self._window = None

    def _see(self, prepared: Tensor) -> Tensor:
        features: Tensor = self.network.vision_encoder(prepared.to(self._dtype))
        return features

    def _read(self, prompts: Sequence[str]) -> Tensor:
        features: Tensor = self.network.text_encoder(tokens(prompts).to(self.device))
        return features


def load(name: str, *, weights_dir: Path | None, device: str, dtype: str) -> Reward:  # noqa: ARG001 (signature of Factory)
    """Return the reward; its file must be there and is read at the first score.

    Raises:
        PrerequisiteError: The file is missing; says where to put it.
    """
    return ViclipReward(find(file_of("viclip"), weights_dir), device=device, dtype=dtype)

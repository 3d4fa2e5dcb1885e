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
from turbo_eval.metrics.rewards.files import VICLIP
from turbo_eval.metrics.rewards.towers import number_type
from turbo_eval.metrics.rewards.windowed import ThroughWindow


class ViclipReward(ThroughWindow):
    """ViCLIP's two towers (see `Reward` and `ThroughWindow`).

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
            description=VICLIP.description,
        )

    @property
    def side(self) -> int:
        """Height and width of the window in pixels."""
        return self._sizes.size

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

"""HPSv2.1, PickScore and CLIP: three sets of weights for one network, open_clip's ViT-H/14.

Source: T2V-Turbo (arXiv 2405.18750) and its program: bare cosines, no factor.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import open_clip
import torch
from open_clip.tokenizer import SimpleTokenizer
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from turbo_eval.backbones.official.clip import own_blocks
from turbo_eval.backbones.official.marks import checksum
from turbo_eval.backbones.official.weights import load_strict, read_state
from turbo_eval.core.errors import PrerequisiteError
from turbo_eval.metrics.rewards.base import Reward, RewardInfo
from turbo_eval.metrics.rewards.files import SOURCES, Source, find
from turbo_eval.metrics.rewards.naming import to_open_clip, without_constants
from turbo_eval.metrics.rewards.preprocess import letterbox, squeeze
from turbo_eval.metrics.rewards.towers import TwoTowers, number_type

PREPARE: Final[Mapping[str, Callable[[Tensor, int], Tensor]]] = MappingProxyType(
    {"hpsv2.1": letterbox, "pickscore": squeeze, "clip": squeeze}
)
"""Reward -> how its program prepares frames."""
ARCHITECTURE: Final = "ViT-H-14"


def read_weights(path: Path, source: Source) -> dict[str, Tensor]:
    """The state of a file under open_clip's names; no code of the file runs.

    Args:
        path: A safetensors file, or a checkpoint of torch.save.
        source: Says how the file is laid out.

    Raises:
        PrerequisiteError: It is damaged, of another kind, or holds another network.
    """
    if path.suffix == ".safetensors":
        try:
            state: dict[str, Tensor] = load_file(path)
        except (OSError, SafetensorError) as error:
            raise PrerequisiteError(
                f"the weights {path} cannot be read", why=str(error), fix="download them again"
            ) from error
    else:
        state = read_state(path, wrapper=source.wrapper)
    return to_open_clip(state) if source.naming == "transformers" else without_constants(state)


def build(config: Mapping[str, Any], dtype: torch.dtype) -> nn.Module:
    """open_clip's CLIP without storage: its weights come from a file, so none are drawn.

    Args:
        config: `embed_dim`, `vision_cfg` and `text_cfg` as in open_clip's configurations.
        dtype: Number type of the weights.
    """
    with torch.device("meta"):
        network = own_blocks(open_clip.CLIP(**config))
    network.to(dtype)
    length = int(config["text_cfg"]["context_length"])
    # A constant, so no file holds it: a word sees the words before it.
    mask = torch.full((length, length), float("-inf")).triu(1)
    network.register_buffer("attn_mask", mask.to(dtype), persistent=False)
    return network


class OpenClipReward(TwoTowers):
    """A reward that is the cosine of open_clip's two towers (see `Reward`).

    Args:
        source: Whose weights.
        path: Their file; read at the first score.
        config: `embed_dim`, `vision_cfg` and `text_cfg` of the network; ViT-H/14 when None.
        device: Where the network runs.
        dtype: `float32`, `float16` or `bfloat16`.

    Raises:
        UsageError: Unknown dtype.
    """

    def __init__(
        self,
        source: Source,
        path: Path,
        *,
        config: Mapping[str, Any] | None = None,
        device: str = "cpu",
        dtype: str = "float32",
    ) -> None:
        super().__init__(device)
        self._source, self._path, self._dtype = source, path, number_type(dtype)
        self._config: Mapping[str, Any] = config or open_clip.get_model_config(ARCHITECTURE)
        self._size = int(self._config["vision_cfg"]["image_size"])

    @cached_property
    def info(self) -> RewardInfo:
        """Facts of the reward; the file's checksum is computed once and kept."""
        return RewardInfo(
            id=self._source.id,
            kind="image",
            size=self._size,
            weights={self._path.name: checksum(self._path)},
            licence=self._source.licence,
            description=self._source.description,
        )

    @cached_property
    def network(self) -> Any:
        """The frozen network in evaluation mode, read at the first use.

        Raises:
            PrerequisiteError: The file is damaged or holds another network.
        """
        # Weights made in inference mode could not be differentiated through later.
        with torch.inference_mode(False):
            network = build(self._config, self._dtype)
            load_strict(network, read_weights(self._path, self._source), self._path.name)
            return network.to(self.device)

    @cached_property
    def _tokenizer(self) -> Any:
        return SimpleTokenizer(context_length=int(self._config["text_cfg"]["context_length"]))

    def preprocess(self, frames: Tensor) -> Tensor:
        """Prepare frames as the reward's own program does, see `PREPARE`."""
        return PREPARE[self._source.id](frames, self._size)

    def _see(self, prepared: Tensor) -> Tensor:
        features: Tensor = self.network.encode_image(prepared.to(self._dtype))
        return features

    def _read(self, prompts: Sequence[str]) -> Tensor:
        features: Tensor = self.network.encode_text(self._tokenizer(list(prompts)).to(self.device))
        return features


def load(name: str, *, weights_dir: Path | None, device: str, dtype: str) -> Reward:
    """Return a reward of `SOURCES`; its file must be there and is read at the first score.

    Raises:
        PrerequisiteError: The file is missing; says where to put it.
    """
    source = SOURCES[name]
    return OpenClipReward(source, find(source, weights_dir), device=device, dtype=dtype)

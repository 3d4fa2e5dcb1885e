"""ImageReward v1.0: human preference for a picture given its prompt.

Unlike the other rewards it is no cosine: its text encoder looks at the picture, so the prompt has
no features of its own.

Source: Xu et al. 2023 (arXiv 2304.05977); T2V-Turbo (arXiv 2405.18750) and its program, which takes
-relu(2 - r) of the score r, so that nothing is gained above 2.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

from turbo_eval.backbones.official.marks import checksum
from turbo_eval.backbones.official.tag2text.wordpiece import PAD, WordPieces, read_words
from turbo_eval.backbones.official.weights import find_vocabulary, load_strict, read_state
from turbo_eval.metrics.rewards.base import Reward, RewardInfo
from turbo_eval.metrics.rewards.files import IMAGEREWARD, find
from turbo_eval.metrics.rewards.imagereward_network import ImageReward, Sizes, build, for_scoring
from turbo_eval.metrics.rewards.preprocess import middle
from turbo_eval.metrics.rewards.towers import check_given, check_scores, number_type

TOP: Final = 2.0
"""The score above which nothing is gained; a reward of 0."""


def squash(scores: Tensor) -> Tensor:
    """The reward of scores r: -relu(2 - r), which is min(r, 2) - 2, never above 0."""
    return -F.relu(TOP - scores)


def tokens(prompts: Sequence[str], words: WordPieces, length: int) -> tuple[Tensor, Tensor]:
    """Number prompts: word pieces between a start and an end token, cut and padded to `length`.

    Args:
        prompts: N prompts.
        words: BERT's vocabulary.
        length: Tokens of a text, both ends included.

    Returns:
        Tokens int64 [N, length], and a mask bool [N, length] that is True where there is text.
    """
    rows = [words.encode(text, most=length) for text in prompts]
    numbers = torch.tensor([row + [PAD] * (length - len(row)) for row in rows])
    filled = torch.tensor([len(row) for row in rows])
    return numbers, torch.arange(length) < filled[:, None]


class ImageRewardReward:
    """ImageReward v1.0 (see `Reward`).

    Args:
        path: The official checkpoint; read at the first score.
        vocabulary: `vocab.txt` of bert-base-uncased.
        sizes: Of the network; the official ones when None.
        device: Where the network runs; frames are moved there.
        dtype: `float32`, `float16` or `bfloat16`.

    Raises:
        UsageError: Unknown dtype.
    """

    def __init__(
        self,
        path: Path,
        vocabulary: Path,
        *,
        sizes: Sizes | None = None,
        device: str = "cpu",
        dtype: str = "float32",
    ) -> None:
        self.device = torch.device(device)
        self._path, self._vocabulary = path, vocabulary
        self._sizes, self._dtype = sizes or Sizes(), number_type(dtype)

    @cached_property
    def info(self) -> RewardInfo:
        """Facts of the reward; the files' checksums are computed once and kept."""
        return RewardInfo(
            id=IMAGEREWARD.id,
            kind="image",
            size=self._sizes.image,
            low=IMAGEREWARD.low,
            high=IMAGEREWARD.high,
            weights={path.name: checksum(path) for path in (self._path, self._vocabulary)},
            licence=IMAGEREWARD.licence,
            description=IMAGEREWARD.description,
        )

    @cached_property
    def network(self) -> ImageReward:
        """The frozen network in evaluation mode, read at the first use.

        Raises:
            PrerequisiteError: The file is damaged or holds another network.
        """
        # Weights made in inference mode could not be differentiated through later.
        with torch.inference_mode(False):
            network = build(self._sizes, self._dtype)
            state = for_scoring(read_state(self._path), self._sizes)
            load_strict(network, state, self._path.name)
            return network.to(self.device)

    @cached_property
    def _words(self) -> WordPieces:
        return read_words(self._vocabulary)

    def preprocess(self, frames: Tensor) -> Tensor:
        """Prepare frames as the official program does, see `preprocess.middle`."""
        return middle(frames, self._sizes.image)

    def rate(self, frames: Tensor, prompts: Sequence[str]) -> Tensor:
        """The scores that the paper reports, before `squash`; as `score` otherwise."""
        check_given(self.info, frames, prompts)
        numbers, mask = tokens(prompts, self._words, self._sizes.tokens)
        prepared = self.preprocess(frames.to(self.device)).to(self._dtype)
        rated = self.network(prepared, numbers.to(self.device), mask.to(self.device))
        return check_scores(self.info, frames, rated)

    def score(self, frames: Tensor, prompts: Sequence[str]) -> Tensor:
        """Score frames with their prompts, at most 0; see `Reward` and `squash`."""
        return squash(self.rate(frames, prompts))


def load(name: str, *, weights_dir: Path | None, device: str, dtype: str) -> Reward:  # noqa: ARG001 (signature of Factory)
    """Return the reward; its files must be there and are read at the first score.

    Raises:
        PrerequisiteError: The checkpoint or the vocabulary is missing; says where to put it.
    """
    path, vocabulary = find(IMAGEREWARD, weights_dir), find_vocabulary(weights_dir)
    return ImageRewardReward(path, vocabulary, device=device, dtype=dtype)

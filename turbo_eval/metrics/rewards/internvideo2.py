"""InternVideo2 (stage 2, 1B) as a reward: the cosine of a clip and its caption.

Source: T2V-Turbo (arXiv 2405.18750) and its program, where it is the video reward of the student
of VideoCrafter2: 8 frames, the shorter side to 224 pixels, one window for all frames, ImageNet's
normalisation, bare cosine. What the network itself keeps to: `internvideo2_network`.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from turbo_eval.backbones.official.marks import checksum
from turbo_eval.backbones.official.tag2text.wordpiece import PAD, WordPieces, read_words
from turbo_eval.backbones.official.weights import load_strict, read_state
from turbo_eval.metrics.rewards.base import Reward, RewardInfo
from turbo_eval.metrics.rewards.files import BERT_LARGE, INTERNVIDEO2, find
from turbo_eval.metrics.rewards.internvideo2_network import InternVideo2, Sizes, for_scoring
from turbo_eval.metrics.rewards.towers import number_type
from turbo_eval.metrics.rewards.windowed import ThroughWindow

FRAMES: Final = 8
"""Of a clip that has as many; of a shorter one as many as the network was trained with, 4.

T2V-Turbo looks at 8, T2V-Turbo-v2 decodes 4.
"""


def tokens(prompts: Sequence[str], words: WordPieces, length: int) -> tuple[Tensor, Tensor]:
    """Number prompts: a start token and word pieces, cut at `length`; no end token.

    Args:
        prompts: N prompts.
        words: BERT's vocabulary.
        length: Tokens of a text.

    Returns:
        Tokens and mask, int64 [N, length]; the mask is 1 where there is text.
    """
    # One more than fits, so that what is cut off at the end is the end token.
    rows = [words.encode(text, most=length + 1)[:-1] for text in prompts]
    numbers = torch.tensor([row + [PAD] * (length - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in rows])
    return numbers, mask


class InternVideo2Reward(ThroughWindow):
    """InternVideo2's two towers (see `Reward` and `ThroughWindow`).

    Args:
        path: The official checkpoint; read at the first score.
        vocabulary: BERT's `vocab.txt`.
        sizes: Of the network; the official ones when None.
        device: Where the network runs.
        dtype: `float32`, `float16` or `bfloat16`; the authors' program takes `float16`.

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
        super().__init__(device)
        self._path, self._vocabulary = path, vocabulary
        self._sizes, self._dtype = sizes or Sizes(), number_type(dtype)

    @cached_property
    def info(self) -> RewardInfo:
        """Facts of the reward; the files' checksums are computed once and kept."""
        return RewardInfo(
            id=INTERNVIDEO2.id,
            kind="video",
            size=self._sizes.size,
            frames=FRAMES,
            weights={path.name: checksum(path) for path in (self._path, self._vocabulary)},
            licence=INTERNVIDEO2.licence,
            description=INTERNVIDEO2.description,
        )

    @property
    def side(self) -> int:
        """Height and width of the window in pixels."""
        return self._sizes.size

    @cached_property
    def network(self) -> InternVideo2:
        """The frozen network in evaluation mode, read at the first use.

        Raises:
            PrerequisiteError: The file is damaged or holds another network.
        """
        # Weights made in inference mode could not be differentiated through later.
        with torch.inference_mode(False):
            with torch.device("meta"):
                network = InternVideo2(self._sizes)
            state = for_scoring(read_state(self._path, wrapper=INTERNVIDEO2.wrapper), self._sizes)
            # In its own number type before it is filled, so that no second copy is made.
            load_strict(network.to(self._dtype), state, self._path.name)
            return network.to(self.device)

    @cached_property
    def _words(self) -> WordPieces:
        return read_words(self._vocabulary)

    def _frames_of(self, length: int) -> int:
        return FRAMES if length >= FRAMES else self._sizes.trained

    def _see(self, prepared: Tensor) -> Tensor:
        return self.network.encode_video(prepared.to(self._dtype))

    def _read(self, prompts: Sequence[str]) -> Tensor:
        numbers, mask = tokens(prompts, self._words, self._sizes.tokens)
        return self.network.encode_text(numbers.to(self.device), mask.to(self.device))


def load(name: str, *, weights_dir: Path | None, device: str, dtype: str) -> Reward:  # noqa: ARG001 (signature of Factory)
    """Return the reward; its files must be there and are read at the first score.

    Raises:
        PrerequisiteError: The checkpoint or the vocabulary is missing; says where to put it.
    """
    path, vocabulary = find(INTERNVIDEO2, weights_dir), find(BERT_LARGE, weights_dir)
    return InternVideo2Reward(path, vocabulary, device=device, dtype=dtype)

"""Rewards that are a cosine: a tower that looks, a tower that reads, one space."""

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Sequence
from types import MappingProxyType
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

from turbo_eval.core.errors import InputError, UsageError
from turbo_eval.metrics.rewards.base import RewardInfo, frame_indices

KEPT: Final = 4096
"""Prompts whose features are kept; a prompt comes back once per epoch, and reading it is costly."""
_DTYPES: Final = MappingProxyType(
    {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
)


def number_type(name: str) -> torch.dtype:
    """The number type behind the name that a user types.

    Raises:
        UsageError: It is none of `float32`, `float16` and `bfloat16`.
    """
    if name not in _DTYPES:
        raise UsageError(f"unknown dtype {name!r}", fix=f"choose one of {', '.join(_DTYPES)}")
    return _DTYPES[name]


def check_given(info: RewardInfo, frames: Tensor, prompts: Sequence[str]) -> None:
    """Check what a reward is asked to score.

    Args:
        info: The reward's facts.
        frames: As `Reward.score` takes them.
        prompts: One for each frame or clip.

    Raises:
        InputError: Frames of another form, or another number of prompts.
    """
    wanted, sides = ("[B, 3, H, W]", 4) if info.kind == "image" else ("[B, F, 3, H, W]", 5)
    if frames.ndim != sides or frames.shape[-3] != 3 or not frames.is_floating_point():
        raise InputError(
            f"reward {info.id!r} cannot look at {frames.dtype} {list(frames.shape)}",
            why=f"it takes floats in 0..1, {wanted}",
        )
    if isinstance(prompts, str) or len(prompts) != len(frames):
        given = "one string" if isinstance(prompts, str) else f"{len(prompts)} prompts"
        raise InputError(
            f"reward {info.id!r} was given {given} for {len(frames)} {info.kind}s",
            fix="give one prompt for each",
        )


def check_scores(info: RewardInfo, frames: Tensor, scores: Tensor) -> Tensor:
    """Return the scores [B] of frames.

    Raises:
        InputError: Some are no numbers; says whether the frames are at fault.
    """
    if not bool(torch.isfinite(scores).all()):
        broken = int((~torch.isfinite(scores)).sum())
        raise InputError(
            f"reward {info.id!r} gave {broken} scores of {len(scores)} that are no numbers",
            why="the frames hold NaN or infinity"
            if not bool(torch.isfinite(frames).all())
            else "its network overflowed or its weights are damaged",
            fix="lower the learning rate, or run the reward in float32",
        )
    return scores


class TwoTowers(ABC):
    """A `Reward` by two frozen towers.

    Subclasses read their weights in `_see` or `_read` at the first call, or before.

    Args:
        device: Where the towers run; frames are moved there.
    """

    def __init__(self, device: str) -> None:
        self.device = torch.device(device)
        self._features: OrderedDict[str, Tensor] = OrderedDict()

    @property
    @abstractmethod
    def info(self) -> RewardInfo:
        """Facts of the reward."""

    @abstractmethod
    def preprocess(self, frames: Tensor) -> Tensor:
        """Prepare frames, see `Reward`."""

    @abstractmethod
    def _see(self, prepared: Tensor) -> Tensor:
        """Features [B, D] of prepared frames [B, 3, S, S] or clips [B, K, 3, S, S]."""

    @abstractmethod
    def _read(self, prompts: Sequence[str]) -> Tensor:
        """Features [B, D] of prompts; called without gradient."""

    def score(self, frames: Tensor, prompts: Sequence[str]) -> Tensor:
        """Cosine of frames or clips and their prompts, without any factor; see `Reward`."""
        check_given(self.info, frames, prompts)
        score = (self.look(frames) * self.read(prompts)).sum(-1)
        return check_scores(self.info, frames, score)

    def look(self, frames: Tensor) -> Tensor:
        """Unit features float32 [B, D] of frames or clips as `score` takes them."""
        frames = frames.to(self.device)
        if self.info.frames is None:
            prepared = self.preprocess(frames)
        else:
            count = self._frames_of(frames.shape[1])
            seen = torch.tensor(frame_indices(frames.shape[1], count)).to(frames.device)
            chosen = frames[:, seen]
            prepared = self.preprocess(chosen.flatten(0, 1)).unflatten(0, chosen.shape[:2])
        # In float32, also under autocast: a cosine in half precision has three digits.
        return F.normalize(self._see(prepared).float(), dim=-1)

    def _frames_of(self, length: int) -> int:  # noqa: ARG002 (some networks take several counts)
        """How many frames of a clip of `length` a video reward looks at."""
        assert self.info.frames is not None
        return self.info.frames

    def read(self, prompts: Sequence[str]) -> Tensor:
        """Unit features float32 [B, D] of prompts; each distinct one is read once."""
        new = [text for text in dict.fromkeys(prompts) if text not in self._features]
        if new:
            # Features read while a metric looks must serve a loss later, so never inference mode.
            with torch.inference_mode(False), torch.no_grad():
                read = F.normalize(self._read(new).float(), dim=-1)
            # Copies, so that keeping one row does not keep the whole batch.
            self._features.update(zip(new, (row.clone() for row in read), strict=True))
        for text in prompts:
            self._features.move_to_end(text)
        said = torch.stack([self._features[text] for text in prompts])
        while len(self._features) > KEPT:
            self._features.popitem(last=False)
        return said

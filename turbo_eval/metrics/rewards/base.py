"""What a reward is: facts, the official preprocessing, and a score with a gradient to the pixels.

One object serves two uses. A training loss calls `score` on decoded frames and follows the gradient
back; `turbo-eval score` calls it without one and keeps the number as a metric. Nothing here imports
a tensor library.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, Protocol, runtime_checkable

from turbo_eval.core.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

PREFIX: Final = "reward."
"""What the name of a reward as a metric starts with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardInfo:
    """The facts of one reward.

    Attributes:
        id: The name a user types.
        kind: `image` scores single frames, `video` whole clips.
        size: Height and width in pixels at which the network looks.
        frames: How many frames of a clip a video reward looks at; None for an image reward.
        low: Lower end of the range of a score.
        high: Upper end.
        weights: File name -> sha256 of the weights.
        licence: SPDX name, or who says what.
        description: One sentence.
    """

    id: str
    kind: Literal["image", "video"]
    size: int
    frames: int | None = None
    low: float = -1.0
    high: float = 1.0
    weights: Mapping[str, str] = field(default_factory=dict)
    licence: str = ""
    description: str = ""


@runtime_checkable
class Reward(Protocol):
    """A frozen network that says how well frames or a clip match their prompts; more is better."""

    @property
    def info(self) -> RewardInfo:
        """Facts of the reward."""
        ...

    def preprocess(self, frames: "Tensor") -> "Tensor":
        """Prepare frames as the reward's own program does; differentiable.

        Args:
            frames: float [N, 3, H, W] in 0..1, any size.

        Returns:
            [N, 3, info.size, info.size], normalised.
        """
        ...

    def score(self, frames: "Tensor", prompts: Sequence[str]) -> "Tensor":
        """Score frames or clips as they come out of a decoder; `preprocess` is part of it.

        Args:
            frames: float in 0..1, [B, 3, H, W] for an image reward, [B, F, 3, H, W] for a video
                reward, which looks at `info.frames` evenly spaced ones of the F.
            prompts: B prompts.

        Returns:
            float32 [B], with a gradient to `frames`.

        Raises:
            InputError: Frames of another form, too few of them, or a score that is no number.
        """
        ...


def frame_indices(length: int, count: int, start: int = 0) -> list[int]:
    """Which frames of a clip a video reward looks at.

    Args:
        length: Frames F of the clip.
        count: Frames K that the reward looks at.
        start: First frame, 0 <= start < F // K; training draws it, a metric takes 0.

    Returns:
        start, start + s, ... (K of them) with the stride s = F // K.

    Raises:
        InputError: The clip has fewer than K frames, or the start is beyond the stride.

    Source: T2V-Turbo's program (arXiv 2405.18750), the frames of its video reward.
    """
    if count < 1 or length < count:
        raise InputError(
            f"a clip of {length} frames is too short for this reward",
            why=f"it looks at {count}",
            fix="give longer clips, or decode more frames",
        )
    stride = length // count
    if not 0 <= start < stride:
        raise InputError(f"the first frame {start} is not in 0..{stride - 1}")
    return [start + k * stride for k in range(count)]

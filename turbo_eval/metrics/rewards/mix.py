"""Weighted mixes of rewards: T2V-Turbo's image and video feedback in one number."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from turbo_eval.core.errors import InputError, UsageError
from turbo_eval.core.plugins import load_plugins
from turbo_eval.metrics.rewards.base import Reward
from turbo_eval.metrics.rewards.load import REGISTRY, load

if TYPE_CHECKING:
    from torch import Tensor


def score_clips(reward: Reward, clips: "Tensor", prompts: Sequence[str]) -> "Tensor":
    """Score whole clips by any reward; an image reward gives the mean over its frames.

    Args:
        reward: An image or a video reward.
        clips: float [B, F, 3, H, W] in 0..1.
        prompts: B prompts.

    Returns:
        float32 [B], with a gradient to the clips.

    Raises:
        InputError: The clips have another form, or a score is no number.
    """
    if reward.info.kind == "video":
        return reward.score(clips, prompts)
    if clips.ndim != 5:
        raise InputError(
            f"clips of the shape {list(clips.shape)}", why="clips are floats [B, F, 3, H, W]"
        )
    # Frames of one clip lie together, so every prompt is repeated in its place.
    texts = [text for text in prompts for _ in range(clips.shape[1])]
    by_frame: Tensor = reward.score(clips.flatten(0, 1), texts).unflatten(0, clips.shape[:2])
    return by_frame.mean(1)


@dataclass(frozen=True, slots=True)
class Mix:
    """Rewards with their scales. The mix of a clip is the sum of scale times score.

    Attributes:
        parts: Pairs of reward and scale; no reward stands twice.
    """

    parts: tuple[tuple[Reward, float], ...]

    def __post_init__(self) -> None:
        names = [reward.info.id for reward, _ in self.parts]
        if not names or len(set(names)) < len(names):
            raise UsageError(
                f"a mix of {', '.join(names) or 'no rewards'}",
                why="a reward stands in it twice" if names else "there is nothing to add up",
            )

    def only(self, kind: Literal["image", "video"]) -> tuple[tuple[Reward, float], ...]:
        """The parts of one kind; training decodes other frames for each."""
        return tuple(part for part in self.parts if part[0].info.kind == kind)

    def scores(self, clips: "Tensor", prompts: Sequence[str]) -> "dict[str, Tensor]":
        """Unscaled score [B] of each reward by its name; see `score_clips`."""
        return {reward.info.id: score_clips(reward, clips, prompts) for reward, _ in self.parts}

    def score(self, clips: "Tensor", prompts: Sequence[str]) -> "Tensor":
        """Weighted sum [B] of the scores of clips [B, F, 3, H, W]; see `score_clips`."""
        scores = self.scores(clips, prompts)
        terms = [scores[reward.info.id] * scale for reward, scale in self.parts]
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        return total


def parse_mix(text: str) -> dict[str, float]:
    """Read a mix as a user types it.

    Args:
        text: Such as `hpsv2.1=1,mini-video=0.5`; a name alone has the scale 1.

    Returns:
        Registered name -> scale, in the order of the text.

    Raises:
        UsageError: An unknown name (the nearest is suggested), one that stands twice, a scale that
            is no finite number, or nothing at all.
    """
    found: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, sign, number = (piece.strip() for piece in part.partition("="))
        load_plugins()
        name = REGISTRY.resolve(name)
        try:
            scale = float(number) if sign else 1.0
        except ValueError:
            scale = math.nan
        if not math.isfinite(scale):
            raise UsageError(
                f"the scale {number!r} of reward {name!r} is no number", fix=f"{name}=1"
            )
        if name in found:
            raise UsageError(f"reward {name!r} stands twice in the mix {text!r}")
        found[name] = scale
    if not found:
        raise UsageError("an empty mix of rewards", fix="name at least one, such as mini-image=1")
    return found


def load_mix(
    mix: str | Mapping[str, float],
    *,
    weights_dir: Path | str | None = None,
    device: str = "cpu",
    dtype: str = "float32",
) -> Mix:
    """Return the rewards of a mix.

    Args:
        mix: As `parse_mix` reads it, or name -> scale.
        weights_dir: As in `load`.
        device: As in `load`.
        dtype: As in `load`.

    Raises:
        UsageError: See `parse_mix`.
        PrerequisiteError: A file of weights is missing.
    """
    scales = parse_mix(mix) if isinstance(mix, str) else mix
    return Mix(
        tuple(
            (load(name, weights_dir=weights_dir, device=device, dtype=dtype), float(scale))
            for name, scale in scales.items()
        )
    )

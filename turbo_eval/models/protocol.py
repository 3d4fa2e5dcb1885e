"""What a text-to-video system is to the harness: two records and one small protocol.

Objects that follow `TextToVideo` are cheap to make. `info` and `fingerprint()` read small files
(a card, a checksum) and import no tensor library; weights are read at the first `generate`. That
is what lets a finished run be resumed without loading anything.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from turbo_eval.core.errors import UsageError

Frames = NDArray[np.uint8]
Kind = Literal["generator", "folder"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampler:
    """How clips are drawn from a model: the sampling rule, its steps and its guidance.

    Attributes:
        name: The sampling rule; `native` is the one the model was made for.
        steps: Network evaluations along the trajectory, at least 1.
        guidance: Classifier-free guidance scale, 0 or more (1 switches guidance off).

    Raises:
        UsageError: Steps or guidance are out of range.
    """

    name: str = "native"
    steps: int
    guidance: float

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise UsageError(
                f"sampler with {self.steps} steps",
                why="a clip needs at least one step",
                fix="give --steps 1 or more",
            )
        if not 0 <= self.guidance < float("inf"):
            raise UsageError(
                f"sampler with guidance {self.guidance}",
                why="guidance is a finite number, 0 or more",
                fix="give --guidance 1 to switch guidance off",
            )

    @property
    def key(self) -> str:
        """The settings as one line of text, part of every video's key."""
        return f"{self.name}:{self.steps}:{self.guidance:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """The facts of one text-to-video system.

    Attributes:
        name: The name a user types.
        width: Native clip width in pixels; 0 when it differs from file to file.
        height: Native clip height in pixels; 0 when it differs from file to file.
        frames: Native number of frames; 0 when it differs from file to file.
        fps: Native frames per second; 0 when it differs from file to file.
        steps: Native number of sampling steps; 0 for existing videos.
        guidance: Native guidance scale; 0 for existing videos.
        weights: File name to sha256 of every weights file.
        licence: SPDX name or the address of the terms.
        batch: Clips worth drawing at once when nobody says how many; 0 when any number is.
        kind: `generator` draws clips, `folder` reads clips that somebody else made.
        notes: Decisions that no file holds, such as how a missing weight was filled; they go into
            a run's provenance.
    """

    name: str
    width: int
    height: int
    frames: int
    fps: float
    steps: int
    guidance: float
    weights: dict[str, str] = field(default_factory=dict)
    licence: str = ""
    batch: int = 0
    kind: Kind = "generator"
    notes: dict[str, str] = field(default_factory=dict)


@runtime_checkable
class TextToVideo(Protocol):
    """A system that draws clips from prompts."""

    @property
    def info(self) -> ModelInfo:
        """Facts of the system; reading them loads no weights."""
        ...

    def fingerprint(self) -> str:
        """A content key that changes when the weights or the fixed settings change."""
        ...

    def generate(self, prompts: Sequence[str], seeds: Sequence[int], sampler: Sampler) -> Frames:
        """Draw one clip per (prompt, seed).

        The noise of a clip depends on its seed alone, so the batch it is drawn in changes nothing
        but rounding.

        Args:
            prompts: B prompts.
            seeds: B seeds in 0..2**31-1.
            sampler: Steps and guidance of this call.

        Returns:
            uint8 RGB frames [B, T, H, W, 3], 0..255.
        """
        ...

"""Video rewards that look at a clip through one square window, the same for all its frames.

Source: T2V-Turbo (arXiv 2405.18750) and its program: the shorter side to 224 pixels, one window,
ImageNet's normalisation.
"""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from turbo_eval.metrics.rewards.preprocess import shorter_side, window
from turbo_eval.metrics.rewards.towers import TwoTowers


class ThroughWindow(TwoTowers):
    """Two towers, of which the looking one sees a window of the frames (see `Reward`).

    A metric looks through the window in the middle. Training draws the window, once for all frames
    of all clips of a call, as the authors' program does; see `draw_window`.

    Args:
        device: Where the towers run; frames are moved there.
    """

    def __init__(self, device: str) -> None:
        super().__init__(device)
        self._window: tuple[int, int] | None = None

    @property
    @abstractmethod
    def side(self) -> int:
        """Height and width of the window in pixels; reading it opens no file."""

    def room(self, height: int, width: int) -> tuple[int, int]:
        """How far the window can move down and to the right in frames of a size, in pixels."""
        high, wide = shorter_side(height, width, self.side)
        return high - self.side, wide - self.side

    def draw_window(self, height: int, width: int, generator: torch.Generator) -> tuple[int, int]:
        """A random window for frames of a size: its top, drawn first, and its left."""
        down, right = self.room(height, width)
        top = int(torch.randint(0, down + 1, (1,), generator=generator))
        return top, int(torch.randint(0, right + 1, (1,), generator=generator))

    def preprocess(self, frames: Tensor) -> Tensor:
        """Prepare frames as the authors' program does; the window in the middle, unless drawn."""
        down, right = self.room(*frames.shape[-2:])
        middle = (round(down / 2), round(right / 2))
        return window(frames, self._window or middle, self.side)

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

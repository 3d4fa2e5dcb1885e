"""The backbone without weights: differences between neighbouring frames."""

import numpy as np

from turbo_eval.backbones.protocol import BackboneInfo, Features
from turbo_eval.core.records import Prompt
from turbo_eval.video.clip import Clip

INFO = BackboneInfo(
    id="pixels",
    role="pixels",
    version=1,
    licence="Apache-2.0",
    description="Mean absolute difference between neighbouring frames; no weights.",
)


class Pixels:
    """Frame differences, computed alike by every set of judges."""

    @property
    def info(self) -> BackboneInfo:
        """Facts of the backbone."""
        return INFO

    def extract(self, clip: Clip, prompt: Prompt) -> Features:  # noqa: ARG002 (protocol)
        """Compare each frame with the next.

        Source: VBench, temporal_flickering (mean absolute difference of OpenCV frames; the order
        of the colour channels does not matter to a mean over all of them).

        Args:
            clip: uint8 RGB frames [T, H, W, 3].
            prompt: Not used.

        Returns:
            `frame_mae` float64 [T-1], 0..255; empty for a clip of one frame.
        """
        return {"frame_mae": frame_mae(clip.frames)}


def frame_mae(frames: np.ndarray) -> np.ndarray:
    """Mean absolute difference of each frame to the next.

    Args:
        frames: uint8 [T, H, W, 3].

    Returns:
        float64 [T-1], 0..255.
    """
    # Frame by frame: a whole clip in int16 would double the memory of a long high-resolution one.
    return np.array(
        [
            np.abs(left.astype(np.int16) - right.astype(np.int16)).mean(dtype=np.float64)
            for left, right in zip(frames[:-1], frames[1:], strict=True)
        ],
        dtype=np.float64,
    )


def load() -> Pixels:
    """Return the backbone."""
    return Pixels()

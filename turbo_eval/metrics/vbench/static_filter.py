"""The static filter that VBench runs before temporal flickering (reference note, section 4).

A clip counts as static when hardly any neighbouring pair of frames moves and the first and last
frames almost agree. For 4 frames or fewer the official rule tolerates no moving pair and asks
for zero motion between first and last frame; that is kept, since no published number uses it.
"""

from typing import Final

import numpy as np

from turbo_eval.core.errors import InputError
from turbo_eval.metrics.base import Features
from turbo_eval.metrics.read import numbers

MOTION_PER_256: Final = 3.0
"""Pixels of motion, per 256 pixels of the shorter side, above which a pair moves."""


def flow_size(features: Features) -> int:
    """Return the shorter side of the original frames in pixels.

    Raises:
        InputError: if `flow.size` is not a pair of positive numbers.
    """
    size = numbers(features, "flow", "size", 1)
    if size.shape != (2,) or size.min() < 1:
        raise InputError(
            f"the frame size {size.tolist()} in 'flow.size' makes no sense",
            why="height and width in pixels are expected",
            fix="extract the features of this video again",
        )
    return int(size.min())


def is_static(features: Features) -> bool:
    """Tell whether a video stands still.

    Args:
        features: `flow.static` [T-1] and `flow.static_wrap` [2], mean of the largest 2 percent of
            motion in pixels, and `flow.size` [2].

    Returns:
        True if at most round(2 T / 16) consecutive pairs exceed 3 px per 256 px of the shorter
        side, and first-to-last motion, both ways, is at most twice that count of thresholds.

    Raises:
        InputError: if the arrays are missing, not finite, or of a wrong shape.
    """
    pairs = numbers(features, "flow", "static", 1)
    wrap = numbers(features, "flow", "static_wrap", 1)
    threshold = MOTION_PER_256 * flow_size(features) / 256
    # Python rounds halves to even, as the official program does.
    allowed = round(2 * (len(pairs) + 1) / 16)
    moving = int(np.count_nonzero(pairs > threshold))
    return moving <= allowed and bool((wrap <= threshold * allowed * 2).all())

"""When a clip counts as dynamic: known to the network that looks at pairs and to the metric.

Pairs of frames are the dearest part of dynamic degree, and its answer is yes or no. So who looks at
pairs in order may stop as soon as the rest cannot change the answer.

Source: VBench (arXiv 2311.17982), dynamic degree; reference 3.5.
"""

from collections.abc import Sequence
from typing import Final

MOTION_PER_256: Final = 6.0
"""Pixels of motion, per 256 pixels of the shorter side, above which a pair moves."""


def pairs_needed(kept: int) -> int:
    """Return how many moving pairs make a video of `kept` thinned frames dynamic.

    Halves round to even, as in the official program: 2 kept frames need 0 pairs, 6 need 2.
    """
    return round(4 * kept / 16)


def moves_above(side: float) -> float:
    """Return the motion in pixels above which a pair moves, for frames of this shorter side."""
    return MOTION_PER_256 * side / 256


def decided(motion: Sequence[float], kept: int, side: float) -> bool:
    """Tell whether the pairs looked at so far settle dynamic degree, in both readings of it.

    Args:
        motion: Mean of the largest 5 percent of motion in pixels, of any of the `kept` - 1 pairs.
        kept: Thinned frames, at least 2.
        side: Pixels of the frames' shorter side.
    """
    moving = sum(length > moves_above(side) for length in motion)
    left = kept - 1 - len(motion)
    # The official reading may need no pair at all; the corrected one needs at least one.
    needed = {pairs_needed(kept), max(1, pairs_needed(kept))}
    return all(moving >= least or moving + left < least for least in needed)

"""Which frames of a video a judge looks at."""

import numpy as np

from turbo_eval.core.errors import InputError


def middle_indices(length: int, n: int) -> list[int]:
    """Indices of the middle frames of n equal pieces, as VBench samples.

    A video shorter than n gives every frame once and repeats the last index up to n.

    Args:
        length: Frames of the video, at least 1.
        n: Indices wanted, at least 1.

    Returns:
        n indices, ascending, in [0, length).

    Raises:
        InputError: `length` or `n` is below 1.

    Source: Huang et al. 2023 (arXiv 2311.17982), official repository, sampling mode "middle".
    """
    if length < 1 or n < 1:
        raise InputError(f"cannot take {n} of {length} frames", fix="both must be at least 1")
    pieces = min(n, length)
    # The floating-point edges are truncated, not rounded, exactly as the official code does.
    edges = np.linspace(0, length, pieces + 1).astype(int).tolist()
    indices = [(a + b - 1) // 2 for a, b in zip(edges[:-1], edges[1:], strict=True)]
    return indices + [indices[-1]] * (n - pieces)

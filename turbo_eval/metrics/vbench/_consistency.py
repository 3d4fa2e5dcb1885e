"""Frame-to-frame similarity, shared by subject and background consistency."""

import numpy as np
from numpy.typing import NDArray

from turbo_eval.metrics.base import Score, ok, skipped

_EPSILON = 1e-12


def unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale vectors [..., D] to length 1; a zero vector stays zero."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, _EPSILON), dtype=np.float64)


def pair_similarities(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compare each frame with the one before it and with the first one.

    Args:
        features: [T, D], any scale.

    Returns:
        [T-1], 0..1: the mean of the two cosines, each cut off below at 0.
    """
    frames = unit(features)
    previous = np.clip(np.sum(frames[1:] * frames[:-1], axis=1), 0.0, 1.0)
    first = np.clip(frames[1:] @ frames[0], 0.0, 1.0) if len(frames) else previous
    return np.asarray((previous + first) / 2, dtype=np.float64)


def consistency(features: NDArray[np.float64]) -> Score:
    """Score one video: the sum over its frame pairs above, their count below.

    Args:
        features: [T, D], any scale.

    Returns:
        A score in 0..1, or a skipped one when there are fewer than 2 frames.
    """
    if len(features) < 2:
        return skipped(f"{len(features)} frame(s); comparing frames needs at least 2")
    pairs = pair_similarities(features)
    return ok(float(pairs.sum()), len(pairs), lowest=float(pairs.min()))

"""Bootstrap intervals over prompts, vectorised: no loop over resamples.

A prompt is the cluster. Its videos (seeds) are judged on one text, so they are not independent;
drawing prompts with replacement and keeping all of a prompt's videos together respects that
(Davison and Hinkley, Bootstrap Methods and their Application, 1997, section 3.8). Every resample
divides summed numerators by summed denominators, exactly as the value itself is made.
"""

import zlib

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000
SEED = 20240527
LEVEL = 0.95

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


def draw_counts(prompts: int, key: str, *, resamples: int = RESAMPLES, seed: int = SEED) -> Counts:
    """Say how often each prompt is drawn in each resample.

    Args:
        prompts: Number of prompts P, 0 or more.
        key: Names the draw, so that each dimension has its own draws and every model shares them.
        resamples: Number of resamples B.
        seed: Seed of all draws.

    Returns:
        int64 [B, P]; every row sums to P.
    """
    if prompts == 0:
        return np.zeros((resamples, 0), dtype=np.int64)
    generator = np.random.default_rng([seed, zlib.crc32(key.encode())])
    return generator.multinomial(prompts, np.full(prompts, 1 / prompts), size=resamples)


def ratio(numerator: float, denominator: float) -> float | None:
    """Divide, with None (absent, not zero) for a zero denominator."""
    return float(numerator / denominator) if denominator else None


def ratios(counts: Counts, numerator: Floats, denominator: Floats) -> Floats:
    """Compute a ratio of sums in every resample.

    Args:
        counts: int64 [B, P] from `draw_counts`.
        numerator: float64 [P], summed over a prompt's videos.
        denominator: float64 [P], summed over a prompt's videos.

    Returns:
        float64 [B]; NaN where a resample holds no denominator.
    """
    top, bottom = counts @ numerator, counts @ denominator
    result: Floats = np.divide(top, bottom, out=np.full(len(top), np.nan), where=bottom != 0)
    return result


def interval(values: Floats, *, level: float = LEVEL) -> tuple[float, float] | None:
    """Take the percentile interval of resampled values.

    Args:
        values: float64 [B], NaN where a resample has no value.
        level: Coverage in 0..1.

    Returns:
        (low, high), or None when no resample has a value.
    """
    kept = values[~np.isnan(values)]
    if not len(kept):
        return None
    low, high = np.quantile(kept, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)

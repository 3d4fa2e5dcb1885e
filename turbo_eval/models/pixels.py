"""Frames as numbers on 0..1 become pixels; what is no number is refused, not drawn black."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from turbo_eval.core.errors import InputError
from turbo_eval.models.protocol import Frames


def pixels_of(frames: NDArray[Any], name: str, dtype: str) -> Frames:
    """Round frames to pixels.

    Args:
        frames: [B, T, H, W, 3] on 0..1; what lies outside is cut.
        name: What drew them, for messages.
        dtype: The number format that its networks run in.

    Returns:
        uint8 of the same shape, 0..255.

    Raises:
        InputError: A value is not finite.
    """
    if not np.isfinite(frames).all():
        raise InputError(
            f"{name} returned frames that are no numbers",
            why=f"its networks overflow in {dtype}, or its weights are damaged",
            fix="choose --dtype bfloat16 or float32, or check the weights",
        )
    pixels: Frames = np.rint(np.clip(frames, 0, 1) * 255).astype(np.uint8)
    return pixels

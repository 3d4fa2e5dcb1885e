"""Frames become pixels, and what is no number is refused."""

import numpy as np
import pytest

from turbo_eval.core.errors import InputError
from turbo_eval.models.pixels import pixels_of


def test_values_are_rounded_and_cut() -> None:
    frames = np.array([-1.0, 0.0, 0.4 / 255, 0.6 / 255, 0.5, 1.0, 7.0])
    assert pixels_of(frames, "m", "float32").tolist() == [0, 0, 0, 1, 128, 255, 255]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_not_drawn_black(value: float) -> None:
    frames = np.full((1, 2, 4, 4, 3), 0.5)
    frames[0, 1, 2, 3, 0] = value
    with pytest.raises(InputError, match="m returned frames that are no numbers.*float16"):
        pixels_of(frames, "m", "float16")

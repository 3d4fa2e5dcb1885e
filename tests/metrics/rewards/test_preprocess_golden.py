"""Official preparations against arrays that T2V-Turbo's program wrote.

The arrays lie outside the repository. Where they are absent this file is not collected (see
conftest.py); test_preprocess.py holds the same preparations to closed forms.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.metrics.rewards.conftest import ARRAYS
from turbo_eval.metrics.rewards.internvideo2 import InternVideo2Reward
from turbo_eval.metrics.rewards.preprocess import letterbox, middle, shorter_side, squeeze, window


def prepared(name: str, frames: Tensor, offset: tuple[int, int]) -> Tensor:
    if name == "viclip":
        return window(frames, offset)
    if name == "internvideo2":
        reward = InternVideo2Reward(Path("never-read"), Path("never-read"))
        reward._window = offset
        return reward.preprocess(frames)
    return {"hpsv2": letterbox, "clip": squeeze, "imagereward": middle}[name](frames)


@pytest.mark.parametrize("video", ["wide", "square", "small"])
@pytest.mark.parametrize("name", ["hpsv2", "clip", "imagereward", "viclip", "internvideo2"])
def test_equal_to_the_authors_program(video: str, name: str) -> None:
    arrays = np.load(ARRAYS)
    frames = torch.from_numpy(arrays[f"{video}_video_uint8"]).float() / 255
    top, left = (int(v) for v in arrays[f"{video}_viclip_crop_top_left"])
    result = prepared(name, frames, (top, left))
    # The program prepares frames for InternVideo2 as it does for ViCLIP.
    name = name.replace("internvideo2", "viclip")
    assert result.shape[1:] == (3, 224, 224)
    # The README's tolerance without a network: 1e-6 relative; values reach 5.
    for key, mine in (("stride7", result[..., ::7, ::7]), ("row112", result[..., 112, :])):
        theirs = torch.from_numpy(arrays[f"{video}_{name}_{key}"])
        torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-6)
    total, absolute = arrays[f"{video}_{name}_sum_abs_sum"]
    assert float(result.double().sum()) == pytest.approx(total, abs=1e-6 * absolute)
    assert float(result.double().abs().sum()) == pytest.approx(absolute, rel=1e-6)


def test_the_window_of_the_video_models_has_the_authors_room() -> None:
    arrays = np.load(ARRAYS)
    for video in ("wide", "square", "small"):
        size = shorter_side(*arrays[f"{video}_video_uint8"].shape[-2:])
        assert list(size) == list(arrays[f"{video}_viclip_resized_hw"])

import dataclasses

import numpy as np
import pytest

from tests import fakes
from turbo_eval.backbones import Judges, load_judges, require
from turbo_eval.backbones.pixels import Pixels, frame_mae
from turbo_eval.core.errors import UsageError
from turbo_eval.core.records import Prompt
from turbo_eval.video.clip import clip_of


def test_frame_mae_of_known_frames() -> None:
    frames = np.zeros((3, 4, 4, 3), np.uint8)
    frames[1] = 10
    frames[2] = 250
    assert frame_mae(frames).tolist() == [10.0, 240.0]
    clip = clip_of(frames[:1], 8)
    found = Pixels().extract(clip, Prompt("i", "t", (), {}, "s", 0))
    assert found["frame_mae"].shape == (0,)


def test_unknown_judges_suggest_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="mini"):
        load_judges("minni")


def test_a_missing_part_is_named() -> None:
    with pytest.raises(UsageError, match="no flow"):
        require(Judges("few", {"pixels": Pixels()}), "flow")


def test_the_key_changes_with_any_version() -> None:
    class Newer(fakes.FakeBackbone):
        @property
        def info(self):  # type: ignore[no-untyped-def]  # noqa: ANN202
            return dataclasses.replace(super().info, version=2)

    one = fakes.fake_judges()
    two = Judges("fake", dict(one.parts) | {"flow": Newer("flow")})
    assert one.key == fakes.fake_judges().key != two.key

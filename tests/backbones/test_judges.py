import dataclasses

import numpy as np
import pytest

from tests import fakes
from turbo_eval.backbones import Judges, load_judges, require
from turbo_eval.backbones.mini import MiniPart
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


def test_the_mini_judges_run_on_the_device_of_the_run() -> None:
    for device in ("cpu", "cuda:1"):
        parts = load_judges("mini", device=device).parts
        assert {part.device for part in parts.values() if isinstance(part, MiniPart)} == {device}
    # The device decides where, not what: features made on another device count as finished.
    assert load_judges("mini", device="cuda").key == load_judges("mini").key


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

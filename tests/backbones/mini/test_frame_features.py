import numpy as np
import pytest

from turbo_eval.backbones.mini import load_part
from turbo_eval.core.records import Prompt
from turbo_eval.metrics.registry import metric
from turbo_eval.video.clip import clip_of
from turbo_train.world.judges.corrupt import corrupt
from turbo_train.world.stream import item

PROMPT = Prompt("0" * 16, "a star", (), {}, "test", 0)


@pytest.mark.parametrize(("frames", "size"), [(1, 64), (70, 64), (3, 90)])
def test_every_frame_has_features(frames: int, size: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (frames, size, size, 3), dtype=np.uint8)
    found = load_part("frame_features").extract(clip_of(pixels, 8.0), PROMPT)
    assert found["features"].shape == (frames, 96)
    assert found["features"].dtype == np.float32


@pytest.mark.parametrize("name", ["identity", "flicker", "noise"])
def test_consistency_falls_in_the_order_of_the_levels(name: str) -> None:
    part = load_part("frame_features")
    score = metric("subject_consistency").score
    means = []
    for level in range(4):
        values = []
        for k in range(16):
            entry = item(734, k, held=True)
            clip = clip_of(corrupt(name, entry.scene, entry.clip(), level, k), 8.0)
            value = score({"frame_features": part.extract(clip, PROMPT)}, PROMPT).value
            assert value is not None
            values.append(value)
        means.append(float(np.mean(values)))
    assert means == sorted(means, reverse=True)
    assert means[0] - means[3] > 0.02

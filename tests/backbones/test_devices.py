"""Mini judges and rewards away from the CPU, as far as that can be told without a GPU."""

import numpy as np
import pytest

from tests.elsewhere import Pretending
from turbo_eval.backbones import load_judges
from turbo_eval.backbones.mini import MiniPart
from turbo_eval.backbones.protocol import Backbone
from turbo_eval.core.records import Prompt
from turbo_eval.metrics.rewards.backbone import reward_backbone
from turbo_eval.video.clip import clip_of
from turbo_train.world.stream import item

PARTS = sorted(k for k, part in load_judges("mini").parts.items() if isinstance(part, MiniPart))


def part_on(name: str, device: str) -> Backbone:
    if name.startswith("mini-"):
        return reward_backbone(name, device=device)
    return load_judges("mini", device=device).parts[name]


@pytest.mark.parametrize("name", [*PARTS, "mini-image", "mini-video"])
def test_what_is_seen_elsewhere_is_what_is_seen_here(name: str) -> None:
    entry = item(7, 0)
    clip = clip_of(entry.clip(), 8.0)
    style = {"appearance_style": {"appearance_style": "pixel art"}}
    prompt = Prompt("i", entry.caption, ("appearance_style",), style, "s", 0)
    here = part_on(name, "cpu").extract(clip, prompt)
    with Pretending():
        there = part_on(name, "meta").extract(clip, prompt)
    assert here.keys() == there.keys()
    for key, values in here.items():
        np.testing.assert_allclose(there[key], values, rtol=1e-4, atol=1e-5)

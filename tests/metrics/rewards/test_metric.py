"""A reward as a backbone and as a metric."""

import numpy as np
import pytest
import torch

from tests.metrics.rewards.test_towers import Bright
from turbo_eval.backbones.protocol import Backbone
from turbo_eval.core.records import Prompt
from turbo_eval.metrics.base import aggregate
from turbo_eval.metrics.rewards.backbone import RewardBackbone
from turbo_eval.metrics.rewards.metric import part, reward_metric
from turbo_eval.video.clip import Clip, clip_of

PROMPT = Prompt("p", "light", (), {}, "test", 0)


def clip(*brightness: int) -> Clip:
    frames = np.array(brightness, np.uint8)[:, None, None, None].repeat(4, 1).repeat(4, 2)
    return clip_of(frames.repeat(3, 3), 8.0)


def test_an_image_reward_scores_each_frame_and_a_video_reward_the_clip() -> None:
    image, video = Bright("frames"), Bright("clips", frames=2)
    shown = clip(255, 0, 255, 255)
    found = RewardBackbone(image).extract(shown, PROMPT)["scores"]
    np.testing.assert_allclose(found, [1, 0, 1, 1], atol=1e-6)
    whole = RewardBackbone(video).extract(shown, PROMPT)["scores"]
    # Frames 0 and 2 of four.
    np.testing.assert_allclose(whole, [1], atol=1e-6)
    assert isinstance(RewardBackbone(image), Backbone)


def test_the_metric_is_the_mean_over_frames_of_each_video() -> None:
    backbone = RewardBackbone(Bright("frames"))
    metric = reward_metric(backbone.reward.info)
    assert metric.info.id == "reward.frames"
    assert metric.info.roles == (part("frames"),) == (backbone.info.role,)
    scores = [
        metric.score({part("frames"): backbone.extract(shown, PROMPT)}, PROMPT)
        for shown in (clip(255, 0), clip(255, 255, 255, 255))
    ]
    assert [score.value for score in scores] == pytest.approx([0.5, 1.0])
    # Videos count alike, however long they are.
    assert aggregate(scores) == pytest.approx(0.75)


def test_features_that_cannot_be_used_fail_and_are_not_zero() -> None:
    metric = reward_metric(Bright("frames").info)
    role = part("frames")
    cases: list[dict[str, dict[str, np.ndarray]]]
    cases = [{}, {role: {}}, {role: {"scores": np.zeros(0)}}, {role: {"scores": np.zeros((1, 1))}}]
    for broken in cases:
        score = metric.score(broken, PROMPT)
        assert (score.status, score.value) == ("failed", None)
        assert score.reason


def test_other_weights_have_other_features() -> None:
    reward = Bright("frames")
    before = RewardBackbone(reward).info.weights
    from dataclasses import replace

    reward._info = replace(reward.info, weights={"file": "0" * 64})
    assert RewardBackbone(reward).info.weights != before


def test_looking_leaves_no_graph() -> None:
    class Learning(Bright):
        def preprocess(self, frames: torch.Tensor) -> torch.Tensor:
            assert not torch.is_grad_enabled()
            return super().preprocess(frames)

    RewardBackbone(Learning("frames")).extract(clip(3), PROMPT)

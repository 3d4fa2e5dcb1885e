"""Reward models: networks whose score a student may be trained to raise, and metrics may report."""

from turbo_eval.metrics.rewards.base import Reward, RewardInfo, frame_indices
from turbo_eval.metrics.rewards.load import load, reward_names
from turbo_eval.metrics.rewards.mix import Mix, load_mix, parse_mix, score_clips

__all__ = [
    "Mix",
    "Reward",
    "RewardInfo",
    "frame_indices",
    "load",
    "load_mix",
    "parse_mix",
    "reward_names",
    "score_clips",
]

"""Rewards as metrics: `reward.mini-image` and its kin, through the same stages as any other.

A reward plays the part `reward:NAME`: as a backbone (module `backbone`) it looks at each video once
and keeps its scores as features; the metric is their mean. So a score is cached, resumed and
aggregated like a dimension of VBench, and training and reporting share one network.
"""

from typing import Final

from turbo_eval.core.records import Prompt
from turbo_eval.metrics.base import Features as FeaturesByPart
from turbo_eval.metrics.base import Metric, MetricInfo, Score, guarded, ok
from turbo_eval.metrics.read import numbers
from turbo_eval.metrics.rewards.base import PREFIX, RewardInfo

VERSION: Final = 1
"""Raised when the same video and weights would score differently."""


def part(name: str) -> str:
    """The judges' part that the reward `name` plays."""
    return f"reward:{name}"


def reward_metric(info: RewardInfo) -> Metric:
    """Return the metric of a reward: the mean of its scores over the frames that it saw.

    Args:
        info: The reward's facts.
    """
    role = part(info.id)

    def score(features: FeaturesByPart, prompt: Prompt) -> Score:  # noqa: ARG001 (metric protocol)
        values = numbers(features, role, "scores", 1)
        return ok(float(values.mean()) if len(values) else float("nan"), 1, frames=len(values))

    facts = MetricInfo(
        id=f"{PREFIX}{info.id}",
        version=VERSION,
        roles=(role,),
        low=info.low,
        high=info.high,
        higher_is_better=True,
        reference="T2V-Turbo, arXiv 2405.18750",
        needs=(),
        group="reward",
        description=info.description,
    )
    return Metric(facts, guarded(score))

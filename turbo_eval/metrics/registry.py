"""Metrics by id; a metric's file is imported when it is first asked for."""

from typing import Final

from turbo_eval.core.plugins import load_plugins
from turbo_eval.core.registry import Registry
from turbo_eval.metrics.base import FIXED_SUFFIX, Metric
from turbo_eval.metrics.compat import Compat, check_compat
from turbo_eval.metrics.normalise import DIMENSIONS
from turbo_eval.metrics.rewards.base import PREFIX

registry: Final[Registry[Metric]] = Registry("metric", entry_points="turbo_eval.metrics")
"""Metrics by id. Other packages add theirs under the entry-point group `turbo_eval.metrics`."""

for _dimension in DIMENSIONS:
    registry.add(
        f"vbench.{_dimension}",
        f"turbo_eval.metrics.vbench.{_dimension}:METRIC",
        aliases=(_dimension,),
    )


def metric(name: str, *, compat: Compat = "vbench") -> Metric:
    """Return a metric.

    Args:
        name: an id such as `vbench.color`, a bare dimension such as `color`, or either followed
            by `.fixed`, which is the same as `compat="fixed"`; or `reward.NAME`.
        compat: the reading of VBench where the official program has a quirk.

    Returns:
        The metric; where `fixed` differs, one whose id ends in `.fixed`.

    Raises:
        UsageError: for an unknown id or mode; the nearest names are suggested.
    """
    load_plugins()
    if name.startswith(PREFIX):
        # Every reward is a metric, so rewards that other packages add need no second entry.
        from turbo_eval.metrics.rewards.facts import facts
        from turbo_eval.metrics.rewards.metric import reward_metric

        return reward_metric(facts(name.removeprefix(PREFIX)))
    mode: Compat = "fixed" if name.endswith(FIXED_SUFFIX) else check_compat(compat)
    return registry.get(name.removesuffix(FIXED_SUFFIX)).with_compat(mode)


def metric_names() -> list[str]:
    """Ids of VBench's 16 dimensions in its own order, of metrics of other packages, of rewards."""
    from turbo_eval.metrics.rewards.load import reward_names

    ours = [f"vbench.{dimension}" for dimension in DIMENSIONS]
    others = [name for name in registry.names() if name not in ours]
    return [*ours, *others, *(f"{PREFIX}{name}" for name in reward_names())]


def all_metrics(*, compat: Compat = "vbench") -> tuple[Metric, ...]:
    """Return the metrics of `metric_names`.

    Args:
        compat: see `metric`.

    Raises:
        UsageError: for an unknown mode.
    """
    load_plugins()
    return tuple(metric(name, compat=compat) for name in metric_names())

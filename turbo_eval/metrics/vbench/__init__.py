"""VBench's 16 dimensions, one pure function a file."""

from turbo_eval.metrics.base import Metric
from turbo_eval.metrics.registry import all_metrics, metric

__all__ = ["Metric", "all_metrics", "metric"]

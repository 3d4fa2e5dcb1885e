"""Statistics over scores: values, intervals, totals and paired differences."""

from turbo_eval.analyze.bootstrap import LEVEL, RESAMPLES, SEED
from turbo_eval.analyze.summarize import summarize
from turbo_eval.analyze.summary import Difference, Estimate, Failure, MetricSummary, Summary

__all__ = [
    "LEVEL",
    "RESAMPLES",
    "SEED",
    "Difference",
    "Estimate",
    "Failure",
    "MetricSummary",
    "Summary",
    "summarize",
]

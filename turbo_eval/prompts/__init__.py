"""Prompt suites: mini, vbench, evalcrafter, and files of one's own.

from turbo_eval.prompts import load
suite = load("vbench").select(dimensions=["color"], limit=16)
for prompt in suite.prompts: ...
"""

from turbo_eval.prompts.dimensions import DIMENSIONS, FREE_DIMENSIONS
from turbo_eval.prompts.loading import NAMES, load, registry
from turbo_eval.prompts.suite import Suite

__all__ = ["DIMENSIONS", "FREE_DIMENSIONS", "NAMES", "Suite", "load", "registry"]

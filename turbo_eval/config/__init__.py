"""The settings of a run: one strict tree, merged from flags, environment, file and defaults."""

from turbo_eval.config.resolve import Resolved, environment_name, resolve, restore
from turbo_eval.config.tree import GROWING, ModelConfig, RunConfig

__all__ = [
    "GROWING",
    "ModelConfig",
    "Resolved",
    "RunConfig",
    "environment_name",
    "resolve",
    "restore",
]

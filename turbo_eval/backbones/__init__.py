"""The networks that look at video, and the sets of judges made of them."""

from turbo_eval.backbones.judges import (
    BACKBONES,
    REGISTRY,
    Judges,
    judge_names,
    load_judges,
    require,
)
from turbo_eval.backbones.protocol import ROLES, Backbone, BackboneInfo, Features

__all__ = [
    "BACKBONES",
    "REGISTRY",
    "ROLES",
    "Backbone",
    "BackboneInfo",
    "Features",
    "Judges",
    "judge_names",
    "load_judges",
    "require",
]

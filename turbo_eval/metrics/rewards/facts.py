"""What is known of a reward before its weights are there: for lists, plans and pages.

No tensor library is imported for the rewards of this package.
"""

from math import inf

from turbo_eval.core.errors import PrerequisiteError
from turbo_eval.core.plugins import load_plugins
from turbo_eval.metrics.rewards.base import RewardInfo
from turbo_eval.metrics.rewards.files import IMAGEREWARD, INTERNVIDEO2, SOURCES, VICLIP
from turbo_eval.metrics.rewards.load import REGISTRY, load
from turbo_eval.metrics.rewards.mini import DESCRIPTIONS


def facts(name: str) -> RewardInfo:
    """Return what is known of a reward; its weights may be absent and are not named.

    Args:
        name: A registered name.

    Raises:
        UsageError: No such name; the nearest ones are suggested.
    """
    load_plugins()
    name = REGISTRY.resolve(name)
    if name in DESCRIPTIONS:
        video = name == "mini-video"
        return RewardInfo(
            id=name,
            kind="video" if video else "image",
            size=64,
            frames=8 if video else None,
            licence="Apache-2.0",
            description=DESCRIPTIONS[name],
        )
    for source in (*SOURCES.values(), IMAGEREWARD, VICLIP, INTERNVIDEO2):
        if source.id == name:
            return RewardInfo(
                id=name,
                kind=source.kind,
                size=224,
                frames=8 if source.kind == "video" else None,
                low=source.low,
                high=source.high,
                licence=source.licence,
                description=source.description,
            )
    try:
        return load(name).info
    except PrerequisiteError:
        # Of another package, and its weights are absent: nothing is known of its range.
        return RewardInfo(
            id=name, kind="image", size=0, low=-inf, high=inf, description=f"The reward {name}."
        )

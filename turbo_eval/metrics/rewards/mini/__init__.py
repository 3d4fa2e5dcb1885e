"""The mini world's own rewards: `mini-image` and `mini-video`, trained on it, its judges' rivals.

They were trained by `turbo_train.world.rewards` with other networks, other seeds and other clips
than the judges, so that a student which pleases a reward still has to convince a judge. Asking for
the facts of one imports no tensor library.
"""

from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from turbo_eval.metrics.rewards.base import Reward

DESCRIPTIONS: Final = MappingProxyType(
    {
        "mini-image": "How well a frame of the mini world matches its prompt, and how clean it is.",
        "mini-video": "How well a clip of the mini world matches its prompt, and how clean it is.",
    }
)
"""One sentence for each reward."""


def load(name: str, *, weights_dir: Path | None, device: str, dtype: str) -> "Reward":  # noqa: ARG001
    """Return a mini reward; its weights are read when it first scores.

    Args:
        name: A key of `DESCRIPTIONS`.
        weights_dir: Ignored: these rewards bring their weights.
        device: Where the network runs.
        dtype: Ignored: networks this small run in float32.

    Raises:
        PrerequisiteError: The package came without the weights.
    """
    from turbo_eval.metrics.rewards.mini.reward import MiniReward

    return MiniReward(name, device=device)

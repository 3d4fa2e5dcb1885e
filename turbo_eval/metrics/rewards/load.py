"""From the name a user types to a reward.

Third parties add rewards by the entry-point group `turbo_eval.rewards` or by `TURBO_EVAL_PLUGINS`
(turbo_eval.core.plugins); what they register is a function with the signature of `Factory`.
"""

from pathlib import Path
from typing import Protocol

from turbo_eval.core.plugins import load_plugins
from turbo_eval.core.registry import Registry
from turbo_eval.metrics.rewards.base import Reward


class Factory(Protocol):
    """Makes a reward; says at once when its files are missing, and reads them at the first use."""

    def __call__(self, name: str, *, weights_dir: Path | None, device: str, dtype: str) -> Reward:
        """Make the reward `name`.

        Args:
            name: The registered name, so that one factory can serve several.
            weights_dir: The folder of weights that the user named, if any.
            device: `cpu`, `cuda`, `cuda:N` or `mps`.
            dtype: `float32`, `float16` or `bfloat16`.
        """
        ...


REGISTRY: Registry[Factory] = Registry("reward", entry_points="turbo_eval.rewards")
for _name in ("mini-image", "mini-video"):
    REGISTRY.add(_name, "turbo_eval.metrics.rewards.mini:load")
for _name in ("hpsv2.1", "pickscore", "clip"):
    REGISTRY.add(_name, "turbo_eval.metrics.rewards.open_clip_towers:load", extra="rewards")
REGISTRY.add("viclip", "turbo_eval.metrics.rewards.viclip:load", extra="rewards")
REGISTRY.add("imagereward", "turbo_eval.metrics.rewards.imagereward:load", extra="rewards")
REGISTRY.add("internvideo2", "turbo_eval.metrics.rewards.internvideo2:load", extra="rewards")


def reward_names() -> list[str]:
    """Names of every registered reward, sorted."""
    load_plugins()
    return REGISTRY.names()


def load(
    name: str,
    *,
    weights_dir: Path | str | None = None,
    device: str = "cpu",
    dtype: str = "float32",
) -> Reward:
    """Return the reward behind a name; its network is read when it first scores.

    Args:
        name: A registered name, such as `hpsv2.1` or `mini-video`.
        weights_dir: The folder of weights that the user named, if any; see docs/rewards.md for the
            files. The mini rewards bring their weights and ignore it.
        device: `cpu`, `cuda`, `cuda:N` or `mps`.
        dtype: Number type of the network, `float32`, `float16` or `bfloat16`; scores are float32.

    Raises:
        UsageError: No such name; the nearest ones are suggested.
        PrerequisiteError: A file of weights, or the library that its network needs, is missing.
    """
    load_plugins()
    factory = REGISTRY.get(name)
    folder = Path(weights_dir) if weights_dir is not None else None
    return factory(REGISTRY.resolve(name), weights_dir=folder, device=device, dtype=dtype)

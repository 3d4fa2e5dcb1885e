"""What a backbone is: a network (or a plain formula) that turns one clip into named arrays.

Reading `info` must be cheap and import no tensor library: the plan of a run asks every backbone
for its version and weights to know what is missing. Weights are read at the first `extract`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray

from turbo_eval.core.records import Prompt
from turbo_eval.video.clip import Clip

Features = dict[str, NDArray[Any]]

ROLES: tuple[str, ...] = (
    "pixels",
    "frame_features",
    "image_text",
    "aesthetic",
    "image_quality",
    "flow",
    "interpolation",
    "action",
    "detector",
    "scene",
    "video_text",
)
"""The parts that a set of judges fills, in the order in which they look at a clip."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneInfo:
    """The facts of one backbone.

    Attributes:
        id: Unique name, such as `mini.flow`; also its folder below `features/`.
        role: The part it fills, one of `ROLES`.
        version: Raised whenever preprocessing or outputs change, so that old features are redone.
        weights: sha256 of its weights; empty when it has none.
        megabytes: Size of its weights in MB.
        licence: SPDX name or the address of the terms.
        description: One sentence.
    """

    id: str
    role: str
    version: int
    weights: str = ""
    megabytes: float = 0.0
    licence: str = ""
    description: str = ""


@runtime_checkable
class Backbone(Protocol):
    """A network that looks at one clip at a time.

    One may have a method `load()` that reads its weights unless they are there; it is called before
    each clip, so that no clip's time contains it. One may have a method `unload()` that gives them
    up; it is called when no clip waits any more.
    """

    @property
    def info(self) -> BackboneInfo:
        """Facts of the backbone; reading them loads no weights."""
        ...

    def extract(self, clip: Clip, prompt: Prompt) -> Features:
        """Look at a clip.

        Args:
            clip: uint8 RGB frames [T, H, W, 3] with their rate.
            prompt: The prompt the clip was made for; few backbones need it.

        Returns:
            The arrays of the role, by name.
        """
        ...


FeaturesByRole = Mapping[str, Mapping[str, NDArray[Any]]]

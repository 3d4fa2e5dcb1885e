"""The judges of the mini world: one small network a part, trained on it (turbo_train.world.judges).

Asking for a part or its facts imports no tensor library; the network is read at the first clip.
Each part lies in the module of its name, which has `build() -> nn.Module` (untrained) and
`look(module, clip, prompt) -> Features`.
"""

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any, Final

from turbo_eval.backbones.mini import weights
from turbo_eval.backbones.protocol import BackboneInfo, Features
from turbo_eval.core.errors import unknown
from turbo_eval.core.records import Prompt
from turbo_eval.video.clip import Clip

DESCRIPTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "frame_features": "Self-supervised features of single frames (the part DINO plays).",
        "image_text": "Frames and words in one space (the part CLIP B/32 plays).",
        "aesthetic": "How well a frame is composed, 0..10 (the part of CLIP L/14 with a head).",
        "image_quality": "How little a frame is distorted, 0..100 (the part MUSIQ plays).",
        "flow": "Motion between two frames in pixels (the part RAFT plays).",
        "interpolation": "The frame between two frames (the part AMT plays).",
        "action": "What happens in a clip, ten actions (the part UMT plays).",
        "detector": "Sprites with box, shape and colour (the part GRiT plays).",
        "scene": "The place that a frame shows, as a caption (the part Tag2Text plays).",
        "video_text": "Clips and captions in one space (the part ViCLIP plays).",
    }
)
"""One sentence for each learned part."""

PARTS: Final[tuple[str, ...]] = tuple(DESCRIPTIONS)
"""The learned parts; `pixels` needs no weights and is shared by all sets of judges."""

VERSIONS: Final[Mapping[str, int]] = MappingProxyType(
    dict.fromkeys(PARTS, 1) | {"interpolation": 2}
)
"""Raised when a part's preprocessing or outputs change; new weights alone need no new version."""


class MiniPart:
    """One part of the mini judges, read from its weights at the first clip.

    Args:
        role: One of `PARTS`.
        device: Where the network runs, such as `cpu` or `cuda`.
    """

    def __init__(self, role: str, device: str = "cpu") -> None:
        self.role = role
        self.device = device
        self._module: Any = None

    @property
    def info(self) -> BackboneInfo:
        """Facts of the part; its weights are not read."""
        entry = weights.entries().get(self.role)
        return BackboneInfo(
            id=f"mini.{self.role}",
            role=self.role,
            version=VERSIONS[self.role],
            weights=entry.sha256 if entry else "",
            megabytes=round(entry.bytes / 1e6, 3) if entry else 0.0,
            licence="Apache-2.0",
            description=DESCRIPTIONS[self.role],
        )

    def network(self) -> Any:
        """Return the trained network in evaluation mode on its device.

        Raises:
            PrerequisiteError: The weights are missing or damaged.
        """
        if self._module is None:
            module = import_module(f"{__name__}.{self.role}").build()
            module.load_state_dict(weights.load(self.role))
            self._module = module.requires_grad_(False).eval().to(self.device)
        return self._module

    def extract(self, clip: Clip, prompt: Prompt) -> Features:
        """Look at a clip.

        Args:
            clip: uint8 RGB frames [T, H, W, 3] of any size; networks see them at 64 x 64.
            prompt: What the clip was made for; only the text parts read it.

        Returns:
            The arrays of the role (see the module of the part).

        Raises:
            PrerequisiteError: The weights are missing or damaged.
        """
        import torch

        module = self.network()
        with torch.inference_mode():
            features: Features = import_module(f"{__name__}.{self.role}").look(module, clip, prompt)
        return features


def load_part(role: str, device: str = "cpu") -> MiniPart:
    """Return a part of the mini judges; its weights are read when it first looks at a clip.

    Args:
        role: One of `PARTS`.
        device: Where the network runs.

    Raises:
        UsageError: No such part; the nearest names are suggested.
    """
    if role not in PARTS:
        raise unknown("part of the mini judges", role, PARTS)
    return MiniPart(role, device)

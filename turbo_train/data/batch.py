"""What the training loop gets from its data, and what every kind of data promises."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """B clips with captions, as latents or as pixels.

    Attributes:
        captions: B texts.
        keys: B names of samples, for logs.
        latents: float32 [B, C, F, h, w], already scaled for the network; or None.
        pixels: uint8 or floating [B, F, H, W, 3], RGB in 0..255; or None.
    """

    captions: tuple[str, ...]
    keys: tuple[str, ...]
    latents: Tensor | None = None
    pixels: Tensor | None = None


class Source(Protocol):
    """An endless sequence of batches in which any one can be asked for directly."""

    def batch(self, number: int, size: int) -> Batch:
        """Batch `number` (from 0) of `size` clips: same arguments, same batch, in any order.

        Raises:
            InputError: No sample can be read.
        """
        ...

    def describe(self) -> dict[str, object]:
        """Plain values for the plan and the manifest: kind, path, samples, seed, and more."""
        ...

    @property
    def skipped(self) -> Mapping[str, int]:
        """How many broken samples were passed over so far, by reason."""
        ...

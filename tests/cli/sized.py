"""A model whose clips have the size, rate and shade that its settings say."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from turbo_eval.models import REGISTRY, Frames, ModelInfo, Sampler, TextToVideo
from turbo_eval.models.settings import Settings

SETTINGS = ("size", "fps", "negative")


class Sized:
    """Grey clips; the longer the negative prompt, the lighter."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._size = settings, settings.size((32, 32))

    @property
    def info(self) -> ModelInfo:
        width, height = self._size
        fps = self._settings.number("fps", 8)
        return ModelInfo(
            name="sized", width=width, height=height, frames=2, fps=fps, steps=2, guidance=1
        )

    def fingerprint(self) -> str:
        return self._settings.spelled

    def generate(self, prompts: Sequence[str], seeds: Sequence[int], sampler: Sampler) -> Frames:  # noqa: ARG002 (protocol)
        width, height = self._size
        shade = 10 * len(self._settings.text("negative"))
        return np.full((len(prompts), 2, height, width, 3), shade, np.uint8)


def known_settings(name: str) -> tuple[str, ...]:
    return SETTINGS if name == "sized" else ()


def open_sized(
    name: str,
    values: dict[str, str],
    *,
    weights_dir: Path | None,  # noqa: ARG001 (signature of an opener)
    device: str,  # noqa: ARG001
    dtype: str,  # noqa: ARG001
) -> TextToVideo:
    return Sized(Settings(name, values).only(SETTINGS))


class Untold:
    """The same, from a module that does not tell which settings there are."""

    __module__ = "tests.nowhere"

    def __call__(
        self,
        name: str,
        values: dict[str, str],
        *,
        weights_dir: Path | None,
        device: str,
        dtype: str,
    ) -> TextToVideo:
        return open_sized(name, values, weights_dir=weights_dir, device=device, dtype=dtype)


def register() -> None:
    """Add both; a second call changes nothing."""
    if "sized" not in REGISTRY:
        REGISTRY.add("sized", open_sized)  # type: ignore[arg-type]
        REGISTRY.add("untold", Untold())  # type: ignore[arg-type]

"""What a clip is: settings that the name of a system may carry beside those of `running`.

`mini-teacher:size=96x64,frames=12,fps=12` or `runs/train/mine/student:fps=8`. A system has those
that its networks can follow and refuses the others by name.
"""

from dataclasses import replace
from typing import Final

from turbo_eval.core.errors import UsageError
from turbo_eval.models.protocol import ModelInfo
from turbo_eval.models.settings import Settings

CLIP: Final = ("frames", "size", "fps")
NEGATIVE: Final = "negative"
PIXELS_PER_LATENT: Final = 8


def clip_size(settings: Settings, default: tuple[int, int]) -> tuple[int, int]:
    """(width, height) in pixels of the setting `size`.

    Args:
        settings: What was typed.
        default: The size without it; 0 where the network's own is meant.

    Raises:
        UsageError: It is no size, or no multiple of 8 pixels.
    """
    size = settings.size(default)
    if any(side % PIXELS_PER_LATENT for side in size):
        raise UsageError(
            f"size {size[0]}x{size[1]} with {settings.name}",
            why="a latent stands for 8 x 8 pixels",
            fix="give multiples of 8, best of 64",
        )
    return size


def asked(info: ModelInfo, settings: Settings) -> ModelInfo:
    """The facts of a system with the frames, the size and the rate that were typed.

    Raises:
        UsageError: A value cannot be.
    """
    width, height = clip_size(settings, (info.width, info.height))
    return replace(
        info,
        width=width,
        height=height,
        frames=settings.whole("frames", info.frames),
        fps=settings.number("fps", info.fps),
    )


def clip_content(settings: Settings) -> dict[str, str]:
    """The settings of this module that were typed; all belong to the key of a clip."""
    keys = (*CLIP, NEGATIVE)
    return {key: settings.values[key] for key in keys if key in settings.values}


def negative_prompt(settings: Settings, *, guided: bool) -> str:
    """The negative prompt of every clip; empty when none was typed.

    Args:
        settings: What was typed.
        guided: Whether the network is asked with a negative prompt at this guidance.

    Raises:
        UsageError: One was typed, and at this guidance nothing would come of it.
    """
    text = settings.text(NEGATIVE)
    if text and not guided:
        raise UsageError(
            f"{settings.name} has a negative prompt and no guidance",
            why="only guidance pushes a clip away from it",
            fix=f"give --guidance above 1, or leave {NEGATIVE} away",
        )
    return text

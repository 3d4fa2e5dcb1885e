"""Color: does the named object have the named colour (reference 3.11)."""

import re
from typing import Final

from turbo_eval.core.records import Prompt
from turbo_eval.metrics.base import (
    REFERENCE,
    Features,
    Metric,
    MetricInfo,
    Score,
    guarded,
    ok,
    skipped,
)
from turbo_eval.metrics.compat import Compat, check_compat
from turbo_eval.metrics.read import fact
from turbo_eval.metrics.vbench._detections import Frame, caption_frames

COLOUR_WORDS: Final = (
    "white",
    "red",
    "pink",
    "blue",
    "silver",
    "purple",
    "orange",
    "green",
    "gray",
    "yellow",
    "black",
    "grey",
)

INFO: Final = MetricInfo(
    id="vbench.color",
    version=1,
    roles=("detector",),
    low=0.0,
    high=1.0,
    higher_is_better=True,
    reference=REFERENCE,
    needs=("color",),
    group="semantic",
    description="Of the frames that show the object in some colour, the share in the right one.",
    quirks="Every box of a frame takes the class of its best box; 'red' matches in 'colored'.",
)


def color_object(prompt: Prompt, color: str) -> str:
    """Return the noun whose colour is asked for.

    Args:
        prompt: a fact color.object wins; else its text without "a ", "an " and the colour.
        color: the colour word.

    Returns:
        The noun, such as "bird" for "a black bird".
    """
    named = fact(prompt, "color", "object")
    if named is not None:
        return named
    return prompt.text.replace("a ", "").replace("an ", "").replace(color, "").strip()


def _mentions(caption: str, word: str, mode: Compat) -> bool:
    if mode == "vbench":
        return word in caption
    return word in re.findall(r"[a-z]+", caption.lower())


def _frame_shows(frame: Frame, noun: str, color: str, mode: Compat) -> tuple[bool, bool]:
    """Tell whether a frame shows the object in any colour, and in the right one."""
    # The official program gives every box the class of the first one.
    labels = frame.labels[:1] * len(frame.labels) if mode == "vbench" else frame.labels
    mine = [c for label, c in zip(labels, frame.captions, strict=True) if label == noun]
    some = any(_mentions(c, word, mode) for c in mine for word in (*COLOUR_WORDS, color))
    right = any(_mentions(c, color, mode) for c in mine)
    return some, right


def score(features: Features, prompt: Prompt, *, compat: Compat = "vbench") -> Score:
    """Score one video; the denominator is 1, as VBench averages the ratios of videos.

    A target colour outside VBench's word list counts as a colour word too, so that a ratio stays
    below 1 for prompts of other suites; the official prompts are not touched by this.

    Args:
        features: `detector.captions`, a packed list of frames with class names and captions.
        prompt: needs the fact color.color; see `color_object` for the noun.
        compat: `vbench` takes the class of a frame's best box for all its boxes and finds colour
            words inside other words; `fixed` matches each box's own class and whole words.

    Returns:
        A score in 0..1. Skipped without the fact, and when no frame shows the object with a
        colour word: VBench leaves such a video out of the mean.

    Raises:
        InputError: if the captions are missing or malformed.
        UsageError: for an unknown `compat`.
    """
    mode = check_compat(compat)
    color = fact(prompt, "color", "color")
    if color is None:
        return skipped("the prompt names no colour (auxiliary fact color.color)")
    noun = color_object(prompt, color)
    frames = caption_frames(features)
    shown = [_frame_shows(frame, noun, color, mode) for frame in frames]
    with_object = sum(some for some, _ in shown)
    right = sum(right for _, right in shown)
    if not with_object:
        return skipped(f"no frame shows '{noun}' with a colour word", object=noun, color=color)
    return ok(
        right / with_object, 1, object=noun, color=color, right=right, with_object=with_object
    )


def fixed(features: Features, prompt: Prompt) -> Score:
    """Score with `compat='fixed'`."""
    return score(features, prompt, compat="fixed")


METRIC: Final = Metric(INFO, guarded(score), guarded(fixed))

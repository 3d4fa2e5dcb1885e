"""Scene: does a captioner name the prompted place (reference 3.13)."""

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
from turbo_eval.metrics.read import fact, strings

INFO: Final = MetricInfo(
    id="vbench.scene",
    version=1,
    roles=("scene",),
    low=0.0,
    high=1.0,
    higher_is_better=True,
    reference=REFERENCE,
    needs=("scene",),
    group="semantic",
    description="Share of 16 sampled frames whose caption holds every word of the scene's name.",
    quirks="Words match inside other words ('bar' in 'barn').",
)


def names_scene(caption: str, scene: str, compat: Compat) -> bool:
    """Tell whether a caption names a scene.

    Args:
        caption: of one frame.
        scene: the name, one or more words.
        compat: `vbench` finds each word anywhere, `fixed` as a whole word in any case.
    """
    words = scene.split()
    if compat == "vbench":
        return all(word in caption for word in words)
    said = set(re.findall(r"[\w']+", caption.lower()))
    return all(word.lower() in said for word in words)


def score(features: Features, prompt: Prompt, *, compat: Compat = "vbench") -> Score:
    """Score one video; the denominator is its count of sampled frames.

    The official program mixes up its captions (frame f gets the one of frame f // 3). That lies
    in the captioner, so it is the scene backbone that reproduces or avoids it, not this function.

    Args:
        features: `scene.captions`, a packed list of one caption per sampled frame.
        prompt: needs the fact scene.
        compat: see `names_scene`.

    Returns:
        A score in 0..1; skipped without the fact or without frames.

    Raises:
        InputError: if the captions are missing or malformed.
        UsageError: for an unknown `compat`.
    """
    mode = check_compat(compat)
    wanted = fact(prompt, "scene", "scene")
    if wanted is None:
        return skipped("the prompt names no scene (auxiliary fact scene)")
    captions = strings(features, "scene", "captions")
    if not captions:
        return skipped("no sampled frames")
    hits = sum(names_scene(caption, wanted, mode) for caption in captions)
    return ok(hits, len(captions), scene=wanted)


def fixed(features: Features, prompt: Prompt) -> Score:
    """Score with `compat='fixed'`."""
    return score(features, prompt, compat="fixed")


METRIC: Final = Metric(INFO, guarded(score), guarded(fixed))

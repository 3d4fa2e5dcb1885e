"""Dynamic degree: does enough of the video move enough (reference 3.5)."""

from typing import Final

import numpy as np

from turbo_eval.core.errors import InputError
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
from turbo_eval.metrics.read import has, numbers
from turbo_eval.metrics.vbench.static_filter import flow_size

INFO: Final = MetricInfo(
    id="vbench.dynamic_degree",
    version=1,
    roles=("flow",),
    low=0.0,
    high=1.0,
    higher_is_better=True,
    reference=REFERENCE,
    needs=(),
    group="quality",
    description="1 if enough pairs of frames, thinned to about 8 a second, show large motion.",
    quirks="With 2 kept frames no moving pair is needed; with 1 kept frame the answer is no.",
)


def score(features: Features, prompt: Prompt, *, compat: Compat = "vbench") -> Score:  # noqa: ARG001
    """Score one video with 1 (dynamic) or 0; the denominator is 1.

    Args:
        features: `flow.dynamic` [n-1], mean of the largest 5 percent of motion in pixels per kept
            pair, or only as many of them as settle the answer; `flow.kept` [] = n; `flow.size`
            [2]; `flow.static`, if present, tells a one-frame video from a short one.
        prompt: not read.
        compat: `vbench` follows the official rule on very short videos; `fixed` needs at least
            one moving pair and skips a video with a single kept frame.

    Returns:
        A score of 0 or 1; skipped for a video of one frame.

    Raises:
        InputError: if the arrays are missing, not finite, or do not fit together.
        UsageError: for an unknown `compat`.
    """
    # Beside the networks, whose package reads videos; lists of metrics need not import that.
    from turbo_eval.backbones.motion import decided, moves_above, pairs_needed

    mode = check_compat(compat)
    motion = numbers(features, "flow", "dynamic", 1)
    kept = int(numbers(features, "flow", "kept", 0))
    side = flow_size(features)
    pairs = max(kept - 1, 0)
    if len(motion) > pairs or (len(motion) < pairs and not decided(motion.tolist(), kept, side)):
        raise InputError(
            f"'flow.dynamic' holds {len(motion)} pairs for {kept} kept frames",
            fix="extract the features of this video again",
        )
    threshold = moves_above(side)
    if kept < 2:
        single = not has(features, "flow", "static") or not features["flow"]["static"].size
        if single or mode == "fixed":
            return skipped(f"{kept} kept frame(s); motion needs at least 2", kept=kept)
        return ok(0, 1, kept=kept, moving=0, needed=pairs_needed(kept), threshold=threshold)
    needed = pairs_needed(kept) if mode == "vbench" else max(1, pairs_needed(kept))
    moving = int(np.count_nonzero(motion > threshold))
    return ok(
        moving >= needed,
        1,
        kept=kept,
        pairs=len(motion),
        moving=moving,
        needed=needed,
        threshold=threshold,
    )


def fixed(features: Features, prompt: Prompt) -> Score:
    """Score with `compat='fixed'`."""
    return score(features, prompt, compat="fixed")


METRIC: Final = Metric(INFO, guarded(score), guarded(fixed))

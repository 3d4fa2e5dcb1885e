"""Human action: does an action classifier see the prompted action (reference 3.8)."""

from typing import Final

from turbo_eval.core.errors import InputError
from turbo_eval.core.records import Prompt
from turbo_eval.metrics.base import REFERENCE, Features, Metric, MetricInfo, Score, guarded, ok
from turbo_eval.metrics.compat import Compat, check_compat
from turbo_eval.metrics.read import fact, numbers, strings

THRESHOLD: Final = 0.85
"""A class counts from this probability on, after rounding to 4 digits."""

TOP: Final = 5

INFO: Final = MetricInfo(
    id="vbench.human_action",
    version=1,
    roles=("action",),
    low=0.0,
    high=1.0,
    higher_is_better=True,
    reference=REFERENCE,
    needs=(),
    group="semantic",
    description="1 if the prompted action is among the 5 best classes with 0.85 or more.",
    quirks="The label is read from the text after 'person is ', cut at the first '-' or '_'.",
)


def action_label(prompt: Prompt, compat: Compat = "vbench") -> str:
    """Return the action that a prompt asks for, in lower case.

    Args:
        prompt: a fact human_action.human_action or human_action.action wins over the text.
        compat: `vbench` takes the text before the first "-", after the last "person is ", before
            the first "_"; `fixed` only drops what stands before "person is ", and a final dot.

    Returns:
        The label; the whole text when it does not contain "person is ".
    """
    for key in ("human_action", "action"):
        named = fact(prompt, "human_action", key)
        if named is not None:
            return named.lower()
    text = prompt.text.lower()
    if compat == "fixed":
        return text.rpartition("person is ")[2].strip().rstrip(".")
    return text.split("-", 1)[0].rpartition("person is ")[2].split("_", 1)[0]


def score(features: Features, prompt: Prompt, *, compat: Compat = "vbench") -> Score:
    """Score one video with 1 (seen) or 0; the denominator is 1.

    Args:
        features: `action.scores` [k], probabilities from the highest down, and `action.labels`,
            a packed list of as many names; the first 5 count.
        prompt: asks for the action.
        compat: see `action_label`.

    Returns:
        A score of 0 or 1 with the label and the classes that counted.

    Raises:
        InputError: if the features are missing, malformed, or not sorted.
        UsageError: for an unknown `compat`.
    """
    label = action_label(prompt, check_compat(compat))
    probabilities = numbers(features, "action", "scores", 1)
    names = strings(features, "action", "labels")
    if len(names) != len(probabilities) or (probabilities[1:] > probabilities[:-1]).any():
        raise InputError(
            "'action.scores' and 'action.labels' do not fit together",
            why="one label per score, from the highest score down, is expected",
            fix="extract the features of this video again",
        )
    best = zip(names[:TOP], probabilities[:TOP].tolist(), strict=True)
    seen = [name.lower() for name, p in best if round(p, 4) >= THRESHOLD]
    return ok(label in seen, 1, label=label, seen=seen)


def fixed(features: Features, prompt: Prompt) -> Score:
    """Score with `compat='fixed'`."""
    return score(features, prompt, compat="fixed")


METRIC: Final = Metric(INFO, guarded(score), guarded(fixed))

"""The 16 dimensions of VBench and the facts that some of them need besides the text.

Source: VBench (arXiv 2311.17982), VBench_full_info.json.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from turbo_eval.core.errors import unknown

DIMENSIONS: tuple[str, ...] = (
    "subject_consistency",
    "background_consistency",
    "temporal_flickering",
    "motion_smoothness",
    "dynamic_degree",
    "aesthetic_quality",
    "imaging_quality",
    "object_class",
    "multiple_objects",
    "human_action",
    "color",
    "spatial_relationship",
    "scene",
    "appearance_style",
    "temporal_style",
    "overall_consistency",
)

# Which facts a dimension reads, as paths below auxiliary[dimension]. The nesting is VBench's own.
FACTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "object_class": (("object",),),
    "multiple_objects": (("object",),),
    "color": (("color",),),
    "appearance_style": (("appearance_style",),),
    "scene": (("scene", "scene"),),
    "spatial_relationship": (
        ("spatial_relationship", "object_a"),
        ("spatial_relationship", "object_b"),
        ("spatial_relationship", "relationship"),
    ),
}

# What any prompt can be measured on. Human action is left out although it needs no fact: it
# compares with a class label inside the text ("a person is ..."), which free prompts do not have.
FREE_DIMENSIONS: tuple[str, ...] = tuple(
    name for name in DIMENSIONS if name not in FACTS and name != "human_action"
)


def dimension(name: str) -> str:
    """Return the id of a dimension from the way a person may write it.

    Accepts spaces or hyphens for underscores, capitals and the prefix ``vbench.``.

    Args:
        name: What was typed or read.

    Returns:
        One of `DIMENSIONS`.

    Raises:
        UsageError: When there is no such dimension; names the nearest ones.
    """
    tidy = name.strip().lower().replace(" ", "_").replace("-", "_").removeprefix("vbench.")
    if tidy not in DIMENSIONS:
        raise unknown("dimension", name, DIMENSIONS)
    return tidy


def ordered(names: Iterable[str]) -> tuple[str, ...]:
    """Return distinct dimension ids in the order of `DIMENSIONS`."""
    wanted = set(names)
    return tuple(name for name in DIMENSIONS if name in wanted)


def missing_facts(name: str, auxiliary: Mapping[str, Any]) -> list[str]:
    """List the facts that a dimension needs and a prompt lacks.

    Args:
        name: A dimension id.
        auxiliary: The prompt's facts, keyed by dimension as in VBench.

    Returns:
        Dotted paths such as ``color.color``; empty when nothing is missing.
    """
    absent = []
    for path in FACTS.get(name, ()):
        value: Any = auxiliary.get(name)
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        if not isinstance(value, str) or not value.strip():
            absent.append(".".join((name, *path)))
    return absent


_EXAMPLES: dict[str, Mapping[str, Any]] = {
    "object_class": {"object": "bird"},
    "multiple_objects": {"object": "bird and cat"},
    "color": {"color": "red"},
    "appearance_style": {"appearance_style": "oil painting"},
    "scene": {"scene": {"scene": "beach"}},
    "spatial_relationship": {
        "spatial_relationship": {
            "object_a": "bird",
            "object_b": "cat",
            "relationship": "on the left of",
        }
    },
    # Only where the prompt's own words do not say it.
    "human_action": {"action": "riding a bike"},
}


def from_user(name: str) -> str:
    """Say what a person's own prompts must bring for a dimension, with an example to copy.

    Args:
        name: A dimension id.

    Returns:
        One sentence; for a dimension that needs nothing but video and text, that it does not.
    """
    example = _EXAMPLES.get(name)
    if example is None:
        return f"{name} needs only the video and its prompt"
    facts = json.dumps({name: example})
    if name == "human_action":
        return (
            'human_action needs a prompt such as "a person is riding a bike", or '
            f'"auxiliary_info": {facts}, and "dimension": ["human_action"]'
        )
    return f'{name} needs "auxiliary_info": {facts} in the entry of the prompt file'


def default_dimensions(auxiliary: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the dimensions of a prompt that names none.

    These are the free ones and every one whose facts the prompt brings.
    """
    brought = (name for name in FACTS if name in auxiliary and not missing_facts(name, auxiliary))
    return ordered((*FREE_DIMENSIONS, *brought))

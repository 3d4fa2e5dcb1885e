"""Measure the mini judges through the 16 dimensions: do scores fall in the order of corruption?

The same numbers make the normalisation table of the mini judges: a dimension's maximum is its mean
over rendered clips with their own prompts, its minimum the lowest mean over the worst level of the
corruptions that the dimension is about.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from turbo_eval.backbones import Backbone, load_judges
from turbo_eval.backbones.mini import PARTS, weights
from turbo_eval.core.store import write_json_atomic
from turbo_eval.metrics.base import aggregate
from turbo_eval.metrics.normalise import DIMENSIONS, WEIGHTS, NormalisationTable
from turbo_eval.metrics.registry import metric
from turbo_eval.video.clip import clip_of
from turbo_train.world.facts import FPS
from turbo_train.world.judges.card import add_corruptions, card_path
from turbo_train.world.judges.common import silent
from turbo_train.world.judges.corrupt import LEVELS, WORDS, Frames, corrupt, swapped
from turbo_train.world.judges.examples import SEED, example
from turbo_train.world.render import render

CLIPS = 48
"""Clips a dimension, corruption and level."""

ABOUT: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "subject_consistency": ("identity", "flicker", "noise"),
        "background_consistency": ("flicker", "noise"),
        "temporal_flickering": ("flicker", "noise"),
        "motion_smoothness": ("flicker", "noise", "jump"),
        "aesthetic_quality": ("noise", "blur"),
        "imaging_quality": ("noise", "blur"),
        "dynamic_degree": ("frozen",),
        "object_class": (WORDS, "identity"),
        "multiple_objects": (WORDS, "identity"),
        "human_action": (WORDS, "frozen"),
        "color": ("wrong_color",),
        "spatial_relationship": (WORDS,),
        "scene": (WORDS,),
        "appearance_style": (WORDS, "blur"),
        "temporal_style": (WORDS,),
        "overall_consistency": (WORDS, "wrong_color"),
    }
)
"""Dimension -> the corruptions that its score must fall with."""

Row = dict[str, Any]
Tables = dict[str, dict[str, Row]]


def measure_dimension(
    dimension: str, parts: Mapping[str, Backbone], clips: int = CLIPS
) -> dict[str, Row]:
    """Score rendered clips at every level of the corruptions that a dimension is about.

    Args:
        dimension: One of VBench's 16.
        parts: Role -> backbone.
        clips: How many clips a level.

    Returns:
        Corruption -> {"values": the aggregate at levels 0..3 (None when nothing counts), "n": clips
        that counted at level 0, "ordered": whether each level is below the one before}.
    """
    judge = metric(dimension)
    examples = [example(dimension, k) for k in range(clips)]
    drawn = [render(scene) for scene, _ in examples]

    def total(shown: Sequence[Frames], prompts: Sequence[int]) -> tuple[float | None, int]:
        scores = []
        for frames, k in zip(shown, prompts, strict=True):
            clip, prompt = clip_of(frames, FPS), examples[k][1]
            features = {role: parts[role].extract(clip, prompt) for role in judge.info.roles}
            scores.append(judge.score(features, prompt))
        return aggregate(scores), sum(score.status == "ok" for score in scores)

    own = list(range(clips))
    clean, counted = total(drawn, own)
    rows: dict[str, Row] = {}
    for name in ABOUT[dimension]:
        values = [clean]
        for level in LEVELS[1:]:
            if name == WORDS:
                values.append(total(drawn, swapped(clips, level))[0])
            else:
                shown = [
                    corrupt(name, scene, clip, level, SEED * 1000 + k)
                    for k, ((scene, _), clip) in enumerate(zip(examples, drawn, strict=True))
                ]
                values.append(total(shown, own)[0])
        rows[name] = {"values": values, "n": counted, "ordered": in_order(values)}
    return rows


def in_order(values: Sequence[float | None]) -> bool:
    """Whether every value is below the one before it; nothing counted is in no order."""
    numbers = [value for value in values if value is not None]
    falls = all(b < a for a, b in zip(numbers[:-1], numbers[1:], strict=True))
    return len(numbers) == len(values) and falls


def table(measured: Mapping[str, Mapping[str, Row]]) -> NormalisationTable:
    """The normalisation table that follows from the measured corruptions of all 16 dimensions.

    Raises:
        InputError: A dimension is missing, or its best is not above its worst.
    """
    bounds = {}
    for dimension, rows in measured.items():
        worst = [row["values"][-1] for row in rows.values() if row["values"][-1] is not None]
        best = next(iter(rows.values()))["values"][0]
        bounds[dimension] = (min(worst, default=best), best)
    return NormalisationTable("mini", bounds, dict(WEIGHTS))


def measure_all(
    *,
    only: Sequence[str] = DIMENSIONS,
    clips: int = CLIPS,
    say: Callable[[str], None] = silent,
) -> Tables:
    """Measure dimensions with the shipped mini judges."""
    parts = load_judges("mini").parts
    result: Tables = {}
    for dimension in only:
        result[dimension] = measure_dimension(dimension, parts, clips)
        for name, row in result[dimension].items():
            shown = " ".join("none" if v is None else f"{v:.4f}" for v in row["values"])
            say(f"{dimension} {name}: {shown} {'in order' if row['ordered'] else 'NOT IN ORDER'}")
    return result


def ship(measured: Tables, where: Path | None = None, clips: int = CLIPS) -> Path:
    """Write the normalisation table and put every part's corruption tables in its card.

    Returns:
        The path of the table.
    """
    document = table(measured).to_mapping()
    document["measured"] = (
        f"{clips} rendered clips a dimension and level (stream {SEED}): max is the mean over clips "
        "as drawn with their own prompts, min the lowest mean over the worst level of the "
        "corruptions that the dimension is about"
    )
    for dimension, rows in measured.items():
        document["dimensions"][dimension]["corruptions"] = rows
    path = (where or weights.folder()) / "normalisation.json"
    write_json_atomic(path, document)
    for role in PARTS:
        mine = {d: rows for d, rows in measured.items() if role in metric(d).info.roles}
        if card_path(role, where).exists():
            add_corruptions(role, mine, where)
    return path

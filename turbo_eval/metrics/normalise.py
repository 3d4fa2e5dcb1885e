"""From 16 raw scores to VBench's quality, semantic and total score.

A raw score x becomes (x - min) / (max - min), not clipped. Quality is the weighted mean of 7
dimensions (dynamic degree weighs half), semantic the mean of the other 9, total is
(4 quality + semantic) / 5. Source: VBench's published constants (reference note, section 7).

The official script counts a missing dimension as a raw 0, which after normalisation is even
negative. Here a missing dimension makes every total that needs it None.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Self

from turbo_eval.core.errors import InputError, UsageError, unknown

QUALITY: Final = (
    "subject_consistency",
    "background_consistency",
    "temporal_flickering",
    "motion_smoothness",
    "aesthetic_quality",
    "imaging_quality",
    "dynamic_degree",
)
SEMANTIC: Final = (
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
DIMENSIONS: Final = QUALITY + SEMANTIC

VBENCH_BOUNDS: Final[Mapping[str, tuple[float, float]]] = MappingProxyType(
    {
        "subject_consistency": (0.1462, 1.0),
        "background_consistency": (0.2615, 1.0),
        "temporal_flickering": (0.6293, 1.0),
        "motion_smoothness": (0.706, 0.9975),
        "aesthetic_quality": (0.0, 1.0),
        "imaging_quality": (0.0, 1.0),
        "dynamic_degree": (0.0, 1.0),
        "object_class": (0.0, 1.0),
        "multiple_objects": (0.0, 1.0),
        "human_action": (0.0, 1.0),
        "color": (0.0, 1.0),
        "spatial_relationship": (0.0, 1.0),
        "scene": (0.0, 0.8222),
        "appearance_style": (0.0009, 0.2855),
        "temporal_style": (0.0, 0.364),
        "overall_consistency": (0.0, 0.364),
    }
)

WEIGHTS: Final[Mapping[str, float]] = MappingProxyType(
    {dimension: 0.5 if dimension == "dynamic_degree" else 1.0 for dimension in DIMENSIONS}
)

LARGEST: Final = 1.5

QUALITY_WEIGHT: Final = 4.0
SEMANTIC_WEIGHT: Final = 1.0


@dataclass(frozen=True, slots=True)
class NormalisationTable:
    """What one set of judges can reach: bounds and weight of each of the 16 dimensions.

    Attributes:
        name: whose table it is, such as `vbench` or `mini`.
        bounds: dimension to (min, max) of the raw score, min < max.
        weights: dimension to its weight inside its group, above 0.

    Raises:
        InputError: when made with a missing or unknown dimension, or with numbers that make no
            sense.
    """

    name: str
    bounds: Mapping[str, tuple[float, float]]
    weights: Mapping[str, float]

    def __post_init__(self) -> None:
        for what, table in (("bounds", self.bounds), ("weights", self.weights)):
            wrong = sorted(set(DIMENSIONS) ^ set(table))
            if wrong:
                raise InputError(
                    f"the {what} of the normalisation table '{self.name}' do not fit",
                    why=f"missing or unknown: {', '.join(wrong)}",
                    fix="give exactly the 16 VBench dimensions",
                )
        for dimension in DIMENSIONS:
            low, high = self.bounds[dimension]
            weight = self.weights[dimension]
            finite = all(map(math.isfinite, (low, high, weight)))
            if not finite or low >= high or weight <= 0:
                raise InputError(
                    f"'{dimension}' in the normalisation table '{self.name}' makes no sense",
                    why=f"min {low}, max {high}, weight {weight}",
                    fix="give finite numbers with min < max and weight > 0",
                )

    @classmethod
    def from_mapping(cls, document: Mapping[str, Any], *, source: str = "") -> Self:
        """Read the form that JSON files have.

        Args:
            document: {"name": ..., "dimensions": {dimension: {"min": ..., "max": ...,
                "weight": ...}}}. The weight may be left out: VBench's is taken. Other keys at
                either level (how it was measured, by whom) are allowed and not read.
            source: where it comes from, for messages.

        Raises:
            InputError: if it is malformed or its numbers make no sense.
        """
        name = document.get("name")
        rows = document.get("dimensions")
        if not isinstance(name, str) or not isinstance(rows, Mapping):
            raise InputError(
                f"the normalisation table {source or '(unnamed)'} is malformed",
                why="it needs a text 'name' and an object 'dimensions'",
            )
        bounds: dict[str, tuple[float, float]] = {}
        weights: dict[str, float] = {}
        for dimension, row in rows.items():
            try:
                bounds[dimension] = (_number(row["min"]), _number(row["max"]))
                weights[dimension] = _number(row.get("weight", WEIGHTS.get(dimension, 1.0)))
            except (AttributeError, KeyError, TypeError) as error:
                raise InputError(
                    f"'{dimension}' in the normalisation table '{name}' is malformed",
                    why="it needs the numbers 'min' and 'max'",
                ) from error
        return cls(name, MappingProxyType(bounds), MappingProxyType(weights))

    @classmethod
    def from_json(cls, path: Path) -> Self:
        """Read a JSON file; see `from_mapping` for its form.

        Raises:
            InputError: if the file cannot be read, is no JSON, or is malformed.
        """
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(
                f"the normalisation table {path} cannot be read", why=str(error)
            ) from error
        if not isinstance(document, dict):
            raise InputError(f"the normalisation table {path} is no JSON object")
        return cls.from_mapping(document, source=str(path))

    def to_mapping(self) -> dict[str, Any]:
        """Return the form that `from_mapping` reads."""
        rows = {
            d: {"min": self.bounds[d][0], "max": self.bounds[d][1], "weight": self.weights[d]}
            for d in DIMENSIONS
        }
        return {"name": self.name, "dimensions": rows}


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("no number")
    return float(value)


VBENCH: Final = NormalisationTable("vbench", VBENCH_BOUNDS, WEIGHTS)
"""The official table. It belongs to the official judges alone."""


@dataclass(frozen=True, slots=True)
class Totals:
    """The three aggregates, about 0..1 (not clipped); None where a dimension is missing."""

    quality: float | None
    semantic: float | None
    total: float | None


def _check(dimension: str, value: float) -> float:
    if dimension not in WEIGHTS:
        raise unknown("dimension", dimension, DIMENSIONS)
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"the score of '{dimension}' is {value!r}", why="a score must be a number"
        ) from error
    if not math.isfinite(number):
        raise UsageError(
            f"the score of '{dimension}' is {number}",
            why="a score must be a finite number",
            fix="leave the dimension out if it has no score",
        )
    # Rating heads are linear and may overshoot 1 a little; a percentage does not get through.
    if not -1.0 <= number <= LARGEST:
        raise UsageError(
            f"the score of '{dimension}' is {number}",
            why="raw scores lie on 0..1",
            fix="divide percentages by 100",
        )
    return number


def normalise(dimension: str, value: float, table: NormalisationTable | None = None) -> float:
    """Place a raw score between a table's bounds.

    Args:
        dimension: a VBench dimension id, such as `subject_consistency`.
        value: the raw score on 0..1 (similarities may be negative).
        table: whose bounds; VBench's by default.

    Returns:
        (value - min) / (max - min), not clipped.

    Raises:
        UsageError: for an unknown dimension, a value that is not finite, or a percentage.
    """
    number = _check(dimension, value)
    low, high = (table or VBENCH).bounds[dimension]
    return (number - low) / (high - low)


def _group(
    names: tuple[str, ...], scores: Mapping[str, float], table: NormalisationTable
) -> float | None:
    if any(name not in scores for name in names):
        return None
    weight = math.fsum(table.weights[name] for name in names)
    parts = (table.weights[name] * normalise(name, scores[name], table) for name in names)
    return math.fsum(parts) / weight


def totals(
    scores: Mapping[str, float | None], *, table: NormalisationTable | None = None
) -> Totals:
    """Aggregate raw scores into quality, semantic and total.

    Args:
        scores: dimension id, such as `subject_consistency`, to raw score on 0..1. A key that is
            missing, or None, counts as missing, never as zero.
        table: bounds and weights; VBench's by default. Scores of other judges than VBench's
            need their own.

    Returns:
        Quality needs its 7 dimensions, semantic its 9, total all 16; what lacks one is None.

    Raises:
        UsageError: for an unknown dimension (the nearest names are suggested), a NaN or an
            infinity, or a value that looks like a percentage.
    """
    chosen = table or VBENCH
    strangers = [name for name in scores if name not in WEIGHTS]
    if strangers:
        raise unknown("dimension", strangers[0], DIMENSIONS)
    known = {name: _check(name, v) for name, v in scores.items() if v is not None}
    quality = _group(QUALITY, known, chosen)
    semantic = _group(SEMANTIC, known, chosen)
    if quality is None or semantic is None:
        return Totals(quality, semantic, None)
    whole = QUALITY_WEIGHT * quality + SEMANTIC_WEIGHT * semantic
    return Totals(quality, semantic, whole / (QUALITY_WEIGHT + SEMANTIC_WEIGHT))

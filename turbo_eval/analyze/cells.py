"""Score rows as arrays over prompts: what the statistics are computed on."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from turbo_eval.analyze.bootstrap import Floats, ratio

Slot = tuple[str, int]
"""Prompt id and index of the video."""


@dataclass(frozen=True, slots=True)
class Cells:
    """The scores of one model in one metric.

    Attributes:
        by_slot: (numerator, denominator) of every video that has a value.
    """

    by_slot: Mapping[Slot, tuple[float, float]]

    @property
    def n(self) -> int:
        """Videos that have a value."""
        return len(self.by_slot)

    def sums(
        self, prompts: Sequence[str], slots: Iterable[Slot] | None = None
    ) -> tuple[Floats, Floats]:
        """Sum over each prompt's videos.

        Args:
            prompts: P prompt ids.
            slots: Only these videos; all when None.

        Returns:
            Numerators and denominators, float64 [P] each; 0 where a prompt has no video.
        """
        position = {prompt: p for p, prompt in enumerate(prompts)}
        numerator, denominator = np.zeros(len(prompts)), np.zeros(len(prompts))
        # In a fixed order, so that the last bit does not depend on the order of the rows.
        for slot in sorted(self.by_slot if slots is None else slots):
            if slot[0] in position:
                top, bottom = self.by_slot[slot]
                numerator[position[slot[0]]] += top
                denominator[position[slot[0]]] += bottom
        return numerator, denominator

    def value(self, slots: Iterable[Slot] | None = None) -> float | None:
        """Pool the videos: summed numerators over summed denominators, exactly rounded."""
        chosen = [self.by_slot[slot] for slot in (self.by_slot if slots is None else slots)]
        return ratio(math.fsum(top for top, _ in chosen), math.fsum(low for _, low in chosen))


def collect(
    rows: Iterable[Mapping[str, Any]],
    slots: Mapping[tuple[str, str], Slot],
    versions: Mapping[str, int],
) -> dict[tuple[str, str], Cells]:
    """Arrange score rows by model and metric.

    Args:
        rows: Score rows of one set of judges.
        slots: (model, video id) -> slot, for the videos that count.
        versions: Metric id -> the version that counts.

    Returns:
        (model, metric id) -> cells; pairs without any value are absent.
    """
    found: dict[tuple[str, str], dict[Slot, tuple[float, float]]] = {}
    for row in rows:
        slot = slots.get((row["model"], row["video_id"]))
        if (
            slot is None
            or row["status"] != "ok"
            or row["metric_version"] != versions.get(row["metric"])
        ):
            continue
        found.setdefault((row["model"], row["metric"]), {})[slot] = (
            row["numerator"],
            row["denominator"],
        )
    return {key: Cells(by_slot) for key, by_slot in found.items()}


EMPTY = Cells({})

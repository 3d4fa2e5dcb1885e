"""What a metric is: its facts, a pure function of features, and how videos are pooled.

A score of one video is a fraction. A dimension that VBench averages over videos has the
denominator 1; one that it pools over frames or frame pairs has their count. So one rule serves
all dimensions: the aggregate is the sum of numerators over the sum of denominators.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from numpy.typing import NDArray

from turbo_eval.core.errors import InputError, UsageError
from turbo_eval.core.records import Prompt, Status
from turbo_eval.metrics.compat import Compat

Arrays = Mapping[str, NDArray[Any]]
"""What one backbone extracted from one video, by array name."""

Features = Mapping[str, Arrays]
"""The arrays of every backbone, by the part it plays (`frame_features`, `flow`, ...)."""

ScoreFunction = Callable[[Features, Prompt], "Score"]

REFERENCE: Final = "VBench, arXiv 2311.17982"

FIXED_SUFFIX: Final = ".fixed"


@dataclass(frozen=True, slots=True)
class Score:
    """One metric of one video.

    Attributes:
        value: numerator / denominator; None when there is nothing to divide.
        numerator: what the aggregate sums above the line.
        denominator: what it sums below: 1, or a count of frames or frame pairs.
        status: `ok`, `skipped` (the metric does not apply to this video) or `failed` (the
            features are unusable).
        reason: why it is not ok; empty otherwise.
        details: facts that explain the value; plain JSON types only.
    """

    value: float | None
    numerator: float | None
    denominator: float | None
    status: Status
    reason: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


def ok(numerator: float, denominator: float, **details: Any) -> Score:
    """Make a score that counts.

    Args:
        numerator: finite.
        denominator: finite and above 0.
        **details: plain JSON facts beside the value.

    Returns:
        A score with value = numerator / denominator.

    Raises:
        InputError: if either is not finite or the denominator is not above 0.
    """
    num, den = float(numerator), float(denominator)
    if not (math.isfinite(num) and math.isfinite(den) and den > 0):
        raise InputError(
            f"the score {num} / {den} is no number",
            why="the features of this video gave a value that is not finite",
            fix="extract the features of this video again",
        )
    return Score(num / den, num, den, "ok", "", details)


def skipped(reason: str, **details: Any) -> Score:
    """Make the score of a video that the metric does not apply to: no value, never 0."""
    return Score(None, None, None, "skipped", reason, details)


def failed(reason: str, **details: Any) -> Score:
    """Make the score of a video whose features cannot be used: no value, never 0."""
    return Score(None, None, None, "failed", reason, details)


def aggregate(scores: Iterable[Score]) -> float | None:
    """Pool the scores of many videos the way VBench does (reference note, section 1.6).

    Args:
        scores: in any order; those that are not ok are left out.

    Returns:
        Sum of numerators / sum of denominators, or None when nothing counts.
    """
    counted = [s for s in scores if s.status == "ok"]
    # fsum is exact, so the order of the videos cannot change even the last bit.
    below = math.fsum(s.denominator for s in counted if s.denominator is not None)
    if below <= 0:
        return None
    return math.fsum(s.numerator for s in counted if s.numerator is not None) / below


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """The facts of a metric.

    Attributes:
        id: such as `vbench.color`; a corrected variant ends in `.fixed`.
        version: grows when the same features would score differently.
        roles: the judges' parts whose features it reads.
        low: lower end of the range of a value.
        high: upper end.
        higher_is_better: direction.
        reference: where the definition stands.
        needs: dimensions whose auxiliary facts the prompt must carry.
        group: `quality`, `semantic` or, outside the totals, another word such as `reward`.
        description: one sentence.
        quirks: what the official program does that its name does not say; empty if nothing.
    """

    id: str
    version: int
    roles: tuple[str, ...]
    low: float
    high: float
    higher_is_better: bool
    reference: str
    needs: tuple[str, ...]
    group: str
    description: str
    quirks: str = ""

    @property
    def dimension(self) -> str:
        """The VBench dimension: the id without its family and without `.fixed`."""
        name = self.id.removesuffix(FIXED_SUFFIX)
        return name.partition(".")[2] or name

    @property
    def compat(self) -> Compat:
        """The reading of VBench that this metric follows."""
        return "fixed" if self.id.endswith(FIXED_SUFFIX) else "vbench"


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric: facts and a pure function.

    Attributes:
        info: the facts.
        score: features and prompt to a score. Unusable features give a failed score, not an
            exception, so that one broken file never stops a run.
        fixed: the function without the official quirk; None when there is no difference.
    """

    info: MetricInfo
    score: ScoreFunction
    fixed: ScoreFunction | None = None

    def with_compat(self, compat: Compat) -> "Metric":
        """Return this metric in the wanted reading.

        Args:
            compat: `vbench`, or `fixed` for the variant without the official quirk.

        Returns:
            The metric itself where the two readings agree; else one whose id ends in `.fixed`,
            so that rows of the two readings never mix.
        """
        if compat == "vbench" or self.fixed is None:
            return self
        return Metric(replace(self.info, id=self.info.id + FIXED_SUFFIX), self.fixed)


def guarded(function: ScoreFunction) -> ScoreFunction:
    """Wrap a score function so that unusable features or facts give a failed score.

    Args:
        function: raises InputError on features it cannot use, UsageError on a prompt whose
            auxiliary facts make no sense.

    Returns:
        A function with the same result, and a failed score with the one-line reason instead.
    """

    def score(features: Features, prompt: Prompt) -> Score:
        try:
            return function(features, prompt)
        except (InputError, UsageError) as error:
            return failed(str(error))

    return score

"""Compute the missing scores and append their rows."""

import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any

from numpy.typing import NDArray

from turbo_eval.backbones.judges import Judges
from turbo_eval.core.errors import InputError, one_line
from turbo_eval.core.outcome import ItemFailure, Outcome
from turbo_eval.core.progress import Progress
from turbo_eval.core.records import ScoreRow
from turbo_eval.core.runs import RunFolder
from turbo_eval.features.cache import load_features
from turbo_eval.launch.local import reason_of
from turbo_eval.launch.stop import graceful_stop
from turbo_eval.metrics.base import Metric, Score, failed
from turbo_eval.score.plan import ScoreItem, ScorePlan

logger = logging.getLogger(__name__)

_ROWS_PER_SHARD = 2000


def score_videos(
    plan: ScorePlan, judges: Judges, run: RunFolder, *, quiet: bool = False
) -> Outcome:
    """Score what is missing; rows are appended while it goes on.

    Args:
        plan: What is missing.
        judges: Whose features are read; their key, or a reward's own, stands in every row.
        run: The run folder.
        quiet: Show no progress.

    Returns:
        The account. A score whose features could not be made is not counted as a second failure:
        the features stage has reported it.

    Raises:
        Interrupted: A signal came; what is computed is kept.
    """
    outcome = Outcome("score", plan.total, plan.total - plan.count)
    if not plan.items:
        return outcome
    waiting: list[ScoreRow] = []
    with graceful_stop() as stop, Progress("score", plan.total, quiet=quiet) as progress:
        progress.advance(outcome.cached, cached=outcome.cached)
        try:
            for item in plan.items:
                rows = list(score_item(item, judges, run, outcome))
                waiting += rows
                bad = sum(row.status == "failed" for row in rows)
                outcome.done += len(rows) - bad
                progress.advance(len(rows), failed=bad)
                if len(waiting) >= _ROWS_PER_SHARD:
                    full, waiting = waiting, []
                    run.scores.append(full)
                stop.check(progress.done, progress.total)
        finally:
            # Also after an interrupt: what is computed is kept.
            run.scores.append(waiting)
    return outcome


def score_item(
    item: ScoreItem, judges: Judges, run: RunFolder, outcome: Outcome
) -> Iterator[ScoreRow]:
    """Score one video with each of its missing metrics.

    Args:
        item: The video, its metrics and features.
        judges: Whose features are read.
        run: The run folder.
        outcome: Failures that no earlier stage reported are added here.

    Yields:
        One row per metric.
    """
    arrays: dict[str, Mapping[str, NDArray[Any]]] = {}
    broken: dict[str, str] = {}
    for role, row in item.features.items():
        if row.status != "ok":
            broken[role] = row.reason
            continue
        try:
            arrays[role] = load_features(run.resolve(row.path))
        except InputError as error:
            broken[role] = str(error)
            outcome.failures.append(ItemFailure(_name(item, role), str(error)))
    for metric in item.metrics:
        lacking = [role for role in metric.info.roles if role not in arrays]
        if lacking:
            reason = "; ".join(f"{r}: {broken.get(r, 'no features yet')}" for r in lacking)
            score = failed(f"features are missing ({one_line(reason)})")
        else:
            score = _score(metric, item, arrays)
            if score.status == "failed":
                outcome.failures.append(ItemFailure(_name(item, metric.info.id), score.reason))
        yield _row(item, metric, score, judges)


def _score(metric: Metric, item: ScoreItem, arrays: Mapping[str, Mapping[str, Any]]) -> Score:
    try:
        return metric.score({role: arrays[role] for role in metric.info.roles}, item.prompt)
    except Exception as error:
        # A metric of a third party may raise anything; one video must not stop the run.
        logger.exception("metric %s failed on video %s", metric.info.id, item.video.video_id)
        return failed(reason_of(error))


def _row(item: ScoreItem, metric: Metric, score: Score, judges: Judges) -> ScoreRow:
    return ScoreRow(
        video_id=item.video.video_id,
        prompt_id=item.video.prompt_id,
        model=item.video.model,
        metric=metric.info.id,
        metric_version=metric.info.version,
        judges=judges.key_of(metric.info.roles),
        value=score.value,
        numerator=score.numerator,
        denominator=score.denominator,
        status=score.status,
        reason=score.reason,
        details=json.dumps(dict(score.details), sort_keys=True),
    )


def _name(item: ScoreItem, part: str) -> str:
    return f"{item.video.model}, {item.prompt.text[:60]!r}, video {item.video.seed_index}, {part}"

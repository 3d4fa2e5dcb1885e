"""What is finished and what is missing, stage by stage, and how long the rest may take."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from turbo_eval.cli.session import Session
from turbo_eval.core.runs import RunFolder
from turbo_eval.features.plan import seconds_of
from turbo_eval.generate.plan import FLICKER
from turbo_eval.score.static import KEPT


@dataclass(frozen=True, slots=True)
class StagePlan:
    """One line of a plan: how much there is, how much is finished, how long the rest takes."""

    stage: str
    total: int
    cached: int
    missing: int
    seconds: float | None


def stage_plans(session: Session, sample: Path | None = None) -> list[StagePlan]:
    """Say for each stage what is finished and what is missing, also for videos not made yet.

    Args:
        session: The run.
        sample: Folder of another run, whose measured times count as well.

    Raises:
        PrerequisiteError: There is no run in the sample's folder.
    """
    measured = RunFolder(sample).open() if sample else None
    plan = session.plan_videos(measured.videos.read() if measured else ())
    videos = session.videos()
    todo = {(i.label, i.video_id) for items in plan.missing.values() for i in items}
    there = [v for v in videos if (v.model, v.video_id) not in todo]
    features, scores = session.plan_features(there), session.plan_scores(there)
    to_look: Counter[str] = Counter()
    to_score = 0
    for items in plan.missing.values():
        for item in items:
            # The static filter stops at the fifth static video; how many it looks at by then shows
            # only when it does, so five are counted.
            served = [
                m
                for m in session.metrics_for(item.prompt)
                if item.seed_index < max(session.config.seeds, KEPT * (m.info.dimension == FLICKER))
            ]
            roles = {role for m in served for role in m.info.roles}
            to_look.update(session.judges.infos[role].id for role in roles)
            to_score += len(served)
    waiting = sum(to_look.values())
    for each in features.items:
        to_look.update(session.judges.infos[role].id for role in each.missing)
    rows = [*session.run.features.read(), *(measured.features.read() if measured else ())]
    seconds = seconds_of(to_look, rows)
    # A video that a folder should hold and does not is no finished one.
    unmade = plan.count + len(plan.absent)
    return [
        StagePlan("generate", plan.total, plan.total - unmade, unmade, plan.seconds),
        StagePlan(
            "features",
            features.total + waiting,
            features.total - features.count,
            features.count + waiting,
            seconds,
        ),
        StagePlan(
            "score",
            scores.total + to_score,
            scores.total - scores.count,
            scores.count + to_score,
            # Scores are plain arithmetic on small arrays: about a millisecond each.
            (scores.count + to_score) / 1000,
        ),
    ]

"""The third stage: pure functions of features, one row per video and metric."""

from turbo_eval.score.plan import ScoreItem, ScorePlan, current_videos, needs, plan_scores
from turbo_eval.score.run import score_videos

__all__ = [
    "ScoreItem",
    "ScorePlan",
    "current_videos",
    "needs",
    "plan_scores",
    "score_videos",
]

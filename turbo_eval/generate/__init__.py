"""The first stage: make the videos of a run that are missing."""

from turbo_eval.generate.plan import Source, VideoItem, VideoPlan, open_sources, plan_videos
from turbo_eval.generate.run import generate_videos

__all__ = [
    "Source",
    "VideoItem",
    "VideoPlan",
    "generate_videos",
    "open_sources",
    "plan_videos",
]

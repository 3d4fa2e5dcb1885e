"""Recipe: `mini-video`, the mini world's reward for clips (InternVideo2's part)."""

from turbo_eval.metrics.rewards.mini.networks import MiniVideo
from turbo_train.world.judges.common import Trained, Work
from turbo_train.world.judges.matching import known_words
from turbo_train.world.rewards.learn import Settings, recipe

SETTINGS = Settings(still=False, seed=612, clips=8000, batch=24, steps=1800)


def train(work: Work) -> Trained:
    """Train (or resume) the reward."""
    return recipe(lambda: MiniVideo(known_words()), SETTINGS, work)

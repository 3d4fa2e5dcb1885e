"""Recipe: `mini-image`, the mini world's reward for single frames (HPSv2.1's part)."""

from turbo_eval.metrics.rewards.mini.networks import MiniImage
from turbo_train.world.judges.common import Trained, Work
from turbo_train.world.judges.matching import known_words
from turbo_train.world.rewards.learn import Settings, recipe

SETTINGS = Settings(still=True, seed=611, clips=8000, batch=64, steps=800)


def train(work: Work) -> Trained:
    """Train (or resume) the reward."""
    return recipe(lambda: MiniImage(known_words()), SETTINGS, work)

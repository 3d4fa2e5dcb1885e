"""Property tests of video run on loaded machines: no deadline for a single example."""

from hypothesis import settings

settings.register_profile("loaded-machine", deadline=None, max_examples=50)
settings.load_profile("loaded-machine")

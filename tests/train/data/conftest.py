"""Property tests of data run on loaded machines: no deadline for a single example."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.train.data.builders import Server, serving

settings.register_profile("loaded-machine", deadline=None, max_examples=50)
settings.load_profile("loaded-machine")


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        yield running

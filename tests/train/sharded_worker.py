"""One of several processes that train the tiny runs of a list; see test_sharding.py.

Usage: sharded_worker.py CASES.json, where a case is (folder of the run, settings).
"""

import json
import os
import sys
from pathlib import Path

from tests.train.conftest import Stream
from turbo_train import config, loop
from turbo_train.setup import make_accelerator, make_parts
from turbo_train.teachers import load


def main() -> None:
    """Train every case, one after the other, in the same processes."""
    for folder, values in json.loads(Path(sys.argv[1]).read_text()):
        # Accelerate leaves a note of the last sharded run, which the next one need not be.
        os.environ.pop("ACCELERATE_USE_FSDP", None)
        settings = config.check(values, source="the test")
        parts = make_parts(settings, load(settings.teacher), weights_dir=None, device="cpu")
        accelerator = make_accelerator(settings, "cpu")
        sharded = settings.accelerator.sharding == "fsdp" and accelerator.num_processes > 1
        assert accelerator.is_fsdp2 == sharded
        loop.train(
            settings, parts, Stream(), Path(folder), accelerator=accelerator, say=print, live=False
        )


if __name__ == "__main__":
    main()

"""Several training processes on this machine: each is the same command with a rank."""

import logging
import os
import sys
import uuid
from collections.abc import Sequence


def launch(arguments: Sequence[str], processes: int) -> int:
    """Run `turbo-train ARGUMENTS` in `processes` processes that share gradients.

    They print as one would, since only rank 0 reports. If one fails the others are stopped.

    Args:
        arguments: The command line without the program's name.
        processes: How many; with GPUs, one each.

    Returns:
        The exit code: 0, or that of the process that failed first.
    """
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    # Each process says in one line why it stopped; torch's account of it adds nothing.
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    # Without this every process would take all cores.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
    settings = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        monitor_interval=0.2,
    )
    try:
        elastic_launch(settings, sys.executable)("-m", "turbo_train", *arguments)
    except ChildFailedError as error:
        first = min(error.failures.values(), key=lambda failure: failure.timestamp)
        return int(first.exitcode)
    return 0

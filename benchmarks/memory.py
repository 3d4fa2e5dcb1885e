"""The memory of a process, for the scripts beside this file."""

import contextlib
import ctypes
import gc
import resource
from pathlib import Path


def peak_mib(*, reset: bool = False) -> float:
    """Most memory that this process has held, in MiB, not what its parent held when it began.

    Args:
        reset: Forget what was before, so that a later call tells what was held since (Linux).
    """
    if reset:
        gc.collect()
        with contextlib.suppress(OSError, AttributeError):
            # What is free already must not count as held.
            ctypes.CDLL("libc.so.6").malloc_trim(0)
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024
    except (OSError, IndexError, ValueError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

"""The device that models and judges run on."""

import sys
from pathlib import Path

from turbo_eval.core.errors import PrerequisiteError

_DEVICE_NODES = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg", "/dev/kfd")


def pick_device(wanted: str) -> str:
    """Turn `auto` into the best device there is, and check one that was named.

    Raises:
        PrerequisiteError: The named device is not there.
    """
    if wanted == "cpu":
        return wanted
    # Importing torch takes seconds; without a driver's device file it could only answer "cpu".
    bare = sys.platform == "linux" and not any(Path(node).exists() for node in _DEVICE_NODES)
    found = [] if bare else _devices()
    if wanted == "auto":
        return found[0] if found else "cpu"
    if wanted not in found:
        raise PrerequisiteError(
            f"device {wanted} is not there",
            why=f"this machine has {', '.join([*found, 'cpu'])}",
            fix="choose --device auto, and see `turbo-eval doctor`",
        )
    return wanted


def _devices() -> list[str]:
    import torch

    if torch.cuda.is_available():
        return ["cuda", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
    return ["mps"] if torch.backends.mps.is_available() else []

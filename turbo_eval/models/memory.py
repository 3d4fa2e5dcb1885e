"""Whether a system's networks fit on a GPU, asked before gigabytes are copied there."""

from collections.abc import Sequence

import torch
from torch import nn

from turbo_eval.core.errors import PrerequisiteError


def check_fits(
    parts: Sequence[nn.Module], device: str, dtype: torch.dtype, *, offload: bool
) -> None:
    """Refuse a GPU that cannot hold the weights.

    Args:
        parts: The networks.
        device: Where they go; nothing is asked of another device than a GPU.
        dtype: Their number format there.
        offload: Only the network at work is on the device.

    Raises:
        PrerequisiteError: Too little memory is free; says what would fit.
    """
    if not device.startswith("cuda"):
        return
    counts = [sum(p.numel() for p in network.parameters()) for network in parts]
    count = max(counts) if offload else sum(counts)
    free = torch.cuda.mem_get_info(device)[0]
    need = count * dtype.itemsize
    if need > free:
        gib = 2**30
        raise PrerequisiteError(
            f"the weights need {need / gib:.1f} GiB of memory on {device}",
            why=f"{free / gib:.1f} GiB are free",
            fix=f"--dtype bfloat16 needs {count * 2 / gib:.1f} GiB; with the setting offload=yes "
            f"the largest network counts alone, {max(counts) * 2 / gib:.1f} GiB",
        )

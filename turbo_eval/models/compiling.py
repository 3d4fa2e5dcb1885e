"""`torch.compile` where it is asked for: in place, so names and attributes stay as they are."""

import importlib.util
import os
import shlex
import shutil

from torch import nn

from turbo_eval.core.errors import PrerequisiteError


def check_compiler(device: str) -> None:
    """Refuse early where `torch.compile` could not build its kernels.

    Args:
        device: `cpu` needs a C++ compiler ($CXX, else g++), `cuda` a C compiler ($CC, else gcc or
            clang) and triton.

    Raises:
        PrerequisiteError: One of them is missing.
    """
    cuda = device.startswith("cuda")
    if cuda and importlib.util.find_spec("triton") is None:
        raise PrerequisiteError(
            "torch.compile needs triton on this device",
            why="it is not installed",
            fix="pip install triton, or leave compile out",
        )
    variable = "CC" if cuda else "CXX"
    words = shlex.split(os.environ.get(variable, ""))
    names = words[:1] or (["gcc", "clang"] if cuda else ["g++"])
    if not any(shutil.which(name) for name in names):
        raise PrerequisiteError(
            f"torch.compile needs a {'C' if cuda else 'C++'} compiler",
            why=f"there is no {' or '.join(names)} here",
            fix=f"install one, name yours in ${variable}, or leave compile out",
        )


def compile_networks(*networks: nn.Module, device: str) -> None:
    """Compile networks in place; each is built at its first call.

    Modules, parameter names and state dicts stay as they are. A call of `network.forward` is not
    compiled, a call of `network` is.

    Args:
        networks: UNets, transformers, decoders.
        device: Where they run.

    Raises:
        PrerequisiteError: See `check_compiler`.
    """
    check_compiler(device)
    for network in networks:
        network.compile()

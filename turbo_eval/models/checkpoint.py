"""Published checkpoint files, read without running anything in them, and safetensors, streamed."""

import json
import pickle
import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from turbo_eval.core.errors import PrerequisiteError
from turbo_eval.core.store import atomic_path

_NAMES: Final = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


def refused(path: Path, why: str, fix: str = "download it again") -> PrerequisiteError:
    """The error for a file of weights that cannot be used."""
    return PrerequisiteError(f"the weights {path} cannot be used", why=why, fix=fix)


def read_published(path: Path) -> Any:
    """What a file of `torch.save` or of safetensors holds, with its tensors mapped where possible.

    Args:
        path: A checkpoint. `torch.load` reads it with `weights_only=True`, so files that hold
            more than tensors in plain containers are refused and none of their code runs.

    Returns:
        A dictionary or a list, as saved.

    Raises:
        PrerequisiteError: The file is missing, cut off, damaged, or holds code.
    """
    try:
        with path.open("rb") as file:
            head = file.read(8)
        if path.suffix == ".safetensors":
            return _read_safetensors(path)
        archive = head.startswith(b"PK")
        if archive and not zipfile.is_zipfile(path):
            raise refused(path, "it is cut off: the end of the archive is missing")
        if not archive and not head.startswith(b"\x80"):
            raise refused(path, "it is no checkpoint (a web page saved under this name?)")
        return torch.load(path, map_location="cpu", weights_only=True, mmap=archive)
    except pickle.UnpicklingError as error:
        raise refused(
            path,
            "it holds more than tensors, and code in a checkpoint is never run "
            f"({_first_line(error)})",
            "get the published file, or save its tensors alone with safetensors",
        ) from error
    except OSError as error:
        raise PrerequisiteError(
            f"cannot read the weights {path}", why=error.strerror or str(error)
        ) from error
    except (
        zipfile.BadZipFile, EOFError, KeyError, RuntimeError, ValueError, AttributeError,
        IndexError, TypeError, OverflowError,
    ) as error:  # fmt: skip
        raise refused(path, f"it is damaged or cut off ({_first_line(error)})") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:160] or type(error).__name__


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found: dict[str, Tensor] = load_file(path)
    except SafetensorError as error:
        raise refused(path, f"it is damaged or cut off ({_first_line(error)})") from error
    return found


def read_tensors(path: Path, *, wrapper: str = "") -> dict[str, Tensor]:
    """The named tensors of a checkpoint.

    Args:
        path: See `read_published`.
        wrapper: Key under which the tensors may lie.

    Raises:
        PrerequisiteError: See `read_published`; or it holds no named tensors.
    """
    content = read_published(path)
    if wrapper and isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
        content = content[wrapper]
    if not isinstance(content, Mapping):
        kind = "a list without names" if isinstance(content, list) else type(content).__name__
        raise refused(path, f"it holds {kind}, no dictionary of tensors", _CHECK)
    tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        raise refused(path, "it holds no tensors", _CHECK)
    return tensors


_CHECK = "check that the file is the one that docs/models.md names"


def read_list(path: Path) -> Sequence[Tensor]:
    """The tensors of a released LoRA list, in order.

    Args:
        path: See `read_published`; in a safetensors file the sorted names give the order.

    Raises:
        PrerequisiteError: See `read_published`; or it holds no list of tensors.
    """
    content = read_published(path)
    if isinstance(content, Mapping) and path.suffix == ".safetensors":
        content = [content[name] for name in sorted(content)]
    if not isinstance(content, list) or not content:
        what = f"a {type(content).__name__}" if content else "nothing"
        raise refused(path, f"it holds {what}, no list of tensors", _CHECK)
    for position, tensor in enumerate(content):
        if not isinstance(tensor, Tensor):
            raise refused(path, f"entry {position} is a {type(tensor).__name__}", _CHECK)
    return content


def part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names start with a prefix, without it."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def write_streaming(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a safetensors file one tensor at a time, so that memory holds no second copy.

    Args:
        path: The file; replaced as a whole.
        tensors: Name to tensor on the CPU, mapped ones too.

    Raises:
        PrerequisiteError: The disk is full or the folder cannot be written.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, tensor in tensors.items():
        start, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": _NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    # Numbers must start at a multiple of 8 bytes.
    text += b" " * (-len(text) % 8)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(struct.pack("<Q", len(text)))
        file.write(text)
        for tensor in tensors.values():
            plain = tensor.detach().reshape(-1).contiguous().view(torch.uint8)
            file.write(plain.numpy().data)

"""Tensors out of a checkpoint file, without running anything that the file says.

A checkpoint is a pickle inside a zip archive, and a pickle is a program: it may call any function
of any module. Two readers stand between it and the machine:

- `torch.load(weights_only=True)` knows tensors and plain containers and refuses the rest. It
  refuses TorchScript archives (OpenAI's CLIP) and dictionaries that hold settings of another
  library beside the tensors (AMT).
- `inert_tensors` reads those. Its unpickler never imports: the handful of names that rebuild
  tensors lead to our own functions, and every other name leads to `Inert`, a box that keeps its
  attributes and does nothing. `torch.jit.load` is not used, because it compiles and may run the
  code that lies in the archive.
"""

import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

_DTYPES: Mapping[str, torch.dtype] = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
_MOST_NESTING = 100


class Inert:
    """Stands for an object of a kind that is not needed: it keeps its state and does nothing."""

    def __new__(cls, *_: Any, **__: Any) -> "Inert":  # noqa: PYI034 (no subclass is made)
        """Accept any arguments, as the class it stands for may have wanted some."""
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        self.state: dict[Any, Any] = {}

    def __setstate__(self, state: Any) -> None:
        self.state = {}
        if isinstance(state, dict):
            self.state.update(state)

    # A pickle may fill lists and dictionaries of a class that we do not know.
    def __setitem__(self, key: Any, value: Any) -> None:
        if not hasattr(self, "state"):
            self.state = {}
        self.state[key] = value

    def append(self, value: Any) -> None:
        """Drop an element of a list-like object."""

    def extend(self, values: Any) -> None:
        """Drop elements of a list-like object."""


class _Storage:
    """A named piece of the archive, not read yet."""

    def __init__(self, dtype: torch.dtype, key: str, count: int) -> None:
        self.dtype, self.key, self.count = dtype, key, count


def _second(value: Any, *_: Any) -> Any:
    return value


class _TensorUnpickler(pickle.Unpickler):
    """Unpickles tensors and plain containers; every other object becomes `Inert`."""

    def __init__(self, file: Any, storage: Callable[[_Storage], Tensor]) -> None:
        super().__init__(file, encoding="utf-8")
        self._storage = storage

    def find_class(self, module: str, name: str) -> Any:
        """Return one of our own functions, or the inert stand-in; nothing is imported."""
        if module in ("torch", "torch.storage") and name in _DTYPES:
            return _DTYPES[name]
        known: dict[tuple[str, str], Any] = {
            ("torch._utils", "_rebuild_tensor_v2"): self._tensor,
            ("torch._utils", "_rebuild_tensor"): self._tensor,
            ("torch._utils", "_rebuild_parameter"): _second,
            ("torch.jit._pickle", "restore_type_tag"): _second,
            ("torch.jit._pickle", "build_intlist"): list,
            ("torch.jit._pickle", "build_boollist"): list,
            ("torch.jit._pickle", "build_doublelist"): list,
            ("torch.jit._pickle", "build_tensorlist"): list,
            ("torch", "Size"): tuple,
            ("collections", "OrderedDict"): OrderedDict,
        }
        return known.get((module, name), Inert)

    def persistent_load(self, pid: Any) -> _Storage:
        """Note which piece of the archive a tensor wants."""
        try:
            kind, dtype, key, _, count = pid
            piece = _Storage(dtype, str(key), int(count))
        except (TypeError, ValueError) as error:
            raise pickle.UnpicklingError("it holds tensors of an unknown kind") from error
        if kind != "storage" or not isinstance(dtype, torch.dtype):
            raise pickle.UnpicklingError("it holds tensors of an unknown kind")
        return piece

    def _tensor(self, storage: _Storage, offset: int, size: Any, stride: Any, *_: Any) -> Tensor:
        if not isinstance(storage, _Storage):
            raise pickle.UnpicklingError("a tensor has no data")
        flat = self._storage(storage)
        size, stride = tuple(map(int, size)), tuple(map(int, stride))
        last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
        empty = 0 in size
        if offset < 0 or min((*stride, 0)) < 0 or (not empty and last >= flat.numel()):
            raise pickle.UnpicklingError("a tensor reaches beyond its data")
        return flat.as_strided(size, stride, offset)


def inert_tensors(path: Path) -> dict[str, Any]:
    """Read the tensors of a zip archive of torch.save or TorchScript; run nothing of it.

    Args:
        path: The archive.

    Returns:
        For a pickled dictionary, the dictionary with unknown objects left inert; for a TorchScript
        archive, its state dict (names are the paths of attributes). Tensors are mapped from the
        file, copy on write, where it is not compressed.

    Raises:
        pickle.UnpicklingError: The contents are no such thing.
        zipfile.BadZipFile: It is no archive, or cut off.
        KeyError: A part of it is missing.
    """
    with zipfile.ZipFile(path) as archive:
        index = next((n for n in archive.namelist() if n.endswith("/data.pkl")), None)
        if index is None:
            raise pickle.UnpicklingError("it holds no data.pkl")
        base = index.removesuffix("data.pkl")
        seen: dict[str, Tensor] = {}

        def storage(piece: _Storage) -> Tensor:
            flat = seen.get(piece.key)
            if flat is None:
                flat = _mapped(path, archive, f"{base}data/{piece.key}", piece.dtype)
                seen[piece.key] = flat
            if flat.dtype is not piece.dtype or flat.numel() < piece.count:
                raise pickle.UnpicklingError(f"the data of tensor {piece.key} are cut off")
            return flat

        with archive.open(index) as file:
            found = _TensorUnpickler(file, storage).load()
    if isinstance(found, dict):
        return found
    if isinstance(found, Inert):
        return dict(_attributes(found))
    raise pickle.UnpicklingError(f"it holds a {type(found).__name__}, no dictionary")


def _attributes(module: Inert, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Tensor]]:
    """Tensors of a TorchScript module by the path of their attributes."""
    if depth > _MOST_NESTING:
        raise pickle.UnpicklingError("its modules are nested without end")
    for name, value in module.state.items():
        if isinstance(value, Tensor):
            yield f"{prefix}{name}", value
        elif isinstance(value, Inert):
            yield from _attributes(value, f"{prefix}{name}.", depth + 1)


def _mapped(path: Path, archive: zipfile.ZipFile, name: str, dtype: torch.dtype) -> Tensor:
    """The piece of an archive as a flat tensor, mapped where it lies there as it is."""
    entry = archive.getinfo(name)
    size = entry.file_size - entry.file_size % dtype.itemsize
    if size == 0:
        return torch.empty(0, dtype=dtype)
    start = _start(path, entry)
    if entry.compress_type != zipfile.ZIP_STORED or start % dtype.itemsize:
        return torch.frombuffer(bytearray(archive.read(entry)[:size]), dtype=dtype)
    pages = np.memmap(path, np.uint8, "c", start, (size,))
    return torch.from_numpy(pages).view(dtype)


def _start(path: Path, entry: zipfile.ZipInfo) -> int:
    """Where the bytes of an entry start: its local header may differ from the directory's."""
    with path.open("rb") as file:
        file.seek(entry.header_offset + 26)
        name, extra = struct.unpack("<HH", file.read(4))
    return entry.header_offset + 30 + int(name) + int(extra)

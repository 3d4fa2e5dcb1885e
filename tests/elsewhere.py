"""A pretended accelerator: tensors that live elsewhere, without one.

PyTorch's meta device stands for the accelerator, but its tensors keep their numbers (on the CPU),
so that whole steps really run, backward too. What a real accelerator refuses is refused here: a
tensor of the CPU with dimensions together with one that is elsewhere, a CPU generator for numbers
drawn elsewhere, and an index that is elsewhere into a tensor that is not. Found mistakes are those
that every run on a GPU would meet; speed, memory and half precision are not looked at.

    with Pretending():
        network.to("meta")(torch.ones(2, device="meta"))

`torch.inference_mode` is `torch.no_grad` meanwhile: its tensors do not go into wrappers.
"""

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import (
    TorchDispatchMode,
    _disable_current_modes,
    return_and_correct_aliasing,
)
from torch.utils._pytree import tree_flatten, tree_map

DEVICE = torch.device("meta")
_aten = torch.ops.aten
# Numbers may cross over in these.
_CROSSING = {_aten.copy_.default, _aten._to_copy.default}
# A tensor that is elsewhere may be indexed by one that is not, never the other way round.
_INDEXING = {
    _aten.index.Tensor,
    _aten.index_put.default,
    _aten.index_put_.default,
    _aten._index_put_impl_.default,
}
# Lengths of packed sequences are on the CPU, whatever the sequences are.
_PACKED = {
    _aten._pack_padded_sequence.default,
    _aten._pack_padded_sequence_backward.default,
    _aten._pad_packed_sequence.default,
    _aten.gru.data,
    _aten.lstm.data,
}


class WrongDeviceError(RuntimeError):
    """An accelerator would have refused this."""


class Elsewhere(Tensor):
    """A tensor that says it is on the meta device and keeps its numbers."""

    kept: Tensor

    @staticmethod
    def __new__(cls: Any, inner: Tensor) -> "Elsewhere":  # noqa: PYI034 (the base class wants it)
        made: Elsewhere = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            layout=inner.layout,
            device=DEVICE,
            requires_grad=inner.requires_grad,
        )
        made.kept = inner.detach()
        return made

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"Elsewhere({self.kept!r})"

    def numpy(self, *, force: bool = False) -> Any:
        if not force:
            raise TypeError("can't convert a tensor that is elsewhere to numpy; use .cpu() first")
        return self.kept.numpy()

    def __array__(self, dtype: Any = None) -> Any:
        return np.asarray(self.numpy(), dtype)

    def tolist(self) -> Any:
        return self.kept.tolist()

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Iterable[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        return _run(func, args, kwargs or {})


class Pretending(TorchDispatchMode):
    """While this is entered, what is put on the meta device keeps its numbers."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._inference: Any = torch.inference_mode

    def __enter__(self) -> Any:
        torch.inference_mode = _no_grad  # type: ignore[misc, assignment]
        return super().__enter__()  # type: ignore[no-untyped-call]

    def __exit__(self, *raised: Any) -> None:
        torch.inference_mode = self._inference  # type: ignore[misc]
        super().__exit__(*raised)  # type: ignore[no-untyped-call]

    def __torch_dispatch__(
        self, func: Any, types: Iterable[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        return _run(func, args, kwargs or {})


def _no_grad(mode: Any = True) -> Any:
    if callable(mode):
        return torch.no_grad()(mode)
    return torch.no_grad() if mode else nullcontext()


def _inner(value: Any) -> Any:
    return value.kept if isinstance(value, Elsewhere) else value


def _wrapped(value: Any) -> Any:
    return Elsewhere(value) if isinstance(value, Tensor) else value


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    flat = [value for value in tree_flatten((args, kwargs))[0] if isinstance(value, Tensor)]
    there = any(isinstance(value, Elsewhere) for value in flat)
    named = kwargs.get("device")
    moved = None if named is None else torch.device(named).type == DEVICE.type
    _refuse(func, args, kwargs, flat, there=there, moved=bool(moved))
    inside = dict(kwargs)
    if moved:
        inside["device"] = torch.device("cpu")
    result = func(*tree_map(_inner, args), **tree_map(_inner, inside))
    ends = there if moved is None else moved
    if func is _aten.copy_.default:
        return args[0]
    if not ends:
        return result
    if func is _aten._pack_padded_sequence.default:
        return _wrapped(result[0]), result[1]
    out = tree_map(_wrapped, result)
    if func in _CROSSING or not there:
        return out
    return return_and_correct_aliasing(func, args, kwargs, out)


def _refuse(
    func: Any, args: Any, kwargs: Any, flat: list[Tensor], *, there: bool, moved: bool
) -> None:
    generator: Any = kwargs.get("generator")
    drawn = isinstance(generator, torch.Generator) and generator.device.type == "cpu"
    if drawn and (there or moved):
        raise WrongDeviceError(f"{func}: a CPU generator draws no numbers elsewhere")
    if any(value.device.type == DEVICE.type and not isinstance(value, Elsewhere) for value in flat):
        raise NotImplementedError(f"{func}: numbers were lost; index by a tensor, not by a list")
    if not there or func in _CROSSING | _PACKED:
        return
    here = [value for value in flat if not isinstance(value, Elsewhere) and value.dim() > 0]
    if func in _INDEXING:
        if not isinstance(args[0], Elsewhere):
            raise WrongDeviceError(f"{func}: indexed by a tensor that is elsewhere")
        return
    if here:
        shapes = [tuple(value.shape) for value in here]
        raise WrongDeviceError(f"{func}: {shapes} on the CPU, others elsewhere")


def undisturbed(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function, such as a loader that uses the meta device itself, without pretending."""

    def call(*args: Any, **kwargs: Any) -> Any:
        with _disable_current_modes():
            return function(*args, **kwargs)

    return call

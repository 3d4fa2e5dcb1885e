"""Batches that shrink when memory runs out."""

import gc
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

from turbo_eval.core.errors import MemoryShortage, UsageError

Item = TypeVar("Item")
Result = TypeVar("Result")


def with_batch_halving(
    fn: Callable[[Sequence[Item]], Sequence[Result]],
    items: Sequence[Item],
    batch_size: int,
    *,
    on_halve: Callable[[int], None] | None = None,
) -> list[Result]:
    """Apply a function to batches of items; halve the batch when memory runs out, and go on.

    Batches that were finished are not done again.

    Args:
        fn: Maps a batch to as many results, in order. Must have no effect when it raises.
        items: All items.
        batch_size: Items of the first batch, at least 1.
        on_halve: Told the new size after each halving (to keep it for later calls, to say so).

    Returns:
        One result per item, in order.

    Raises:
        MemoryShortage: A single item does not fit.
        UsageError: `batch_size` is below 1.
        ValueError: The function did not give one result per item.
    """
    if batch_size < 1:
        raise UsageError(f"batch size {batch_size} is below 1", fix="choose 1 or more, or auto")
    results: list[Result] = []
    size = batch_size
    while len(results) < len(items):
        batch = items[len(results) : len(results) + size]
        made = _unless_out_of_memory(fn, batch)
        if made is None:
            if len(batch) == 1:
                raise MemoryShortage(
                    "out of memory with a single item",
                    why="the device has too little memory for this model and size",
                    fix="free memory, choose a smaller --dtype, or another --device",
                )
            size = len(batch) // 2
            free_memory()
            if on_halve is not None:
                on_halve(size)
            continue
        if len(made) != len(batch):
            raise ValueError(f"{len(made)} results for {len(batch)} items")
        results.extend(made)
    return results


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out, in Python or in torch.

    Recognised by name and message, so that torch need not be imported.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error).lower() if isinstance(error, RuntimeError) else ""
    return "out of memory" in text or "can't allocate memory" in text


def _unless_out_of_memory(
    fn: Callable[[Sequence[Item]], Sequence[Result]], batch: Sequence[Item]
) -> Sequence[Result] | None:
    # A function of its own, because the exception keeps every tensor of the failed call alive
    # until its handler is left.
    try:
        return fn(batch)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return None


def free_memory() -> None:
    """Give back what nobody holds any more; call it after the handler of the failure was left."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()

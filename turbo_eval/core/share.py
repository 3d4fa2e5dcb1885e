"""Share the items of a stage between processes that work in the same run folder."""

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from turbo_eval.core.runs import RunFolder

_PATIENCE = 0.2

T = TypeVar("T")


def claimed_batches(
    run: RunFolder,
    items: Iterable[T],
    *,
    key: Callable[[T], str],
    size: Callable[[], int],
    finished: Callable[[T], bool],
) -> Iterator[tuple[list[T], list[T]]]:
    """Hand out items that no other process is doing, a batch at a time.

    Items that another process holds are asked for again at the end, until they are finished there
    or free (that process died); so each process ends with the whole stage done.

    Args:
        run: The run folder that holds the claims.
        items: What is to do.
        key: Names an item, the same in every process.
        size: Most items of the next batch, asked anew each time.
        finished: Whether another process has finished an item meanwhile.

    Yields:
        (items to do now, items found finished). The claims end when the next pair is asked for.
    """
    waiting = deque(items)
    while waiting:
        batch: list[T] = []
        elsewhere: list[T] = []
        busy: list[T] = []
        limit = max(1, size())
        with contextlib.ExitStack() as claims:
            while waiting and len(batch) < limit:
                item = waiting.popleft()
                if not claims.enter_context(run.claim(key(item))):
                    busy.append(item)
                elif finished(item):
                    elsewhere.append(item)
                else:
                    batch.append(item)
            if batch or elsewhere:
                yield batch, elsewhere
        waiting.extend(busy)
        if busy and not batch and not elsewhere:
            time.sleep(_PATIENCE)

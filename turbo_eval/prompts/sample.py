"""A sample of prompts that serves every dimension, the same on every machine."""

from collections import deque
from collections.abc import Sequence
from hashlib import blake2b

from turbo_eval.core.records import Prompt


def stratified(
    prompts: Sequence[Prompt], limit: int, *, dimensions: Sequence[str], seed: int = 0
) -> list[int]:
    """Choose prompts so that the dimensions are served as evenly as `limit` allows.

    First each step takes the prompt that serves the most dimensions not served yet; then each step
    takes one for the dimension served least. Ties fall by a hash of seed and prompt id, so neither
    the order of the file nor the machine matters. A sample is contained in every larger one with
    the same seed: raising the limit of a run keeps what is finished.

    Args:
        prompts: What to choose from.
        limit: How many to choose, at least 1.
        dimensions: Ids of the dimensions to serve.
        seed: Another seed gives another sample.

    Returns:
        Ascending positions in `prompts`.
    """
    order = sorted(range(len(prompts)), key=lambda i: _rank(seed, prompts[i].id))
    serves = [frozenset(prompt.dimensions).intersection(dimensions) for prompt in prompts]
    queues = {
        name: deque(i for i in order if name in serves[i])
        for name in dimensions
        if any(name in names for names in serves)
    }
    served = dict.fromkeys(queues, 0)
    chosen: dict[int, None] = {}

    def take(position: int) -> None:
        chosen[position] = None
        for name in serves[position]:
            served[name] += 1

    while len(chosen) < limit and (unserved := {name for name in served if served[name] == 0}):
        take(max(order, key=lambda i: len(serves[i] & unserved)))
    while len(chosen) < limit and queues:
        name = min(queues, key=lambda name: served[name])
        while queues[name] and queues[name][0] in chosen:
            queues[name].popleft()
        if queues[name]:
            take(queues[name].popleft())
        else:
            del queues[name]
    for position in order:  # prompts that serve none of the dimensions come last
        if len(chosen) >= limit:
            break
        chosen.setdefault(position)
    return sorted(chosen)


def _rank(seed: int, prompt_id: str) -> bytes:
    return blake2b(f"{seed}:{prompt_id}".encode(), digest_size=8).digest()

"""A finite list of samples, and the endless shuffled sequence of batches made from it."""

import threading
from collections import Counter, deque
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from turbo_eval.core.errors import InputError
from turbo_train.data.batch import Batch, Source

_SHUFFLE, _DRAW = 31, 32
_EPOCHS_KEPT = 2
_EXAMPLES = 3


class BrokenSample(Exception):  # noqa: N818 (names the condition)
    """A sample that cannot be used; it is passed over and counted.

    Args:
        reason: What is counted, a short text that names no file, e.g. "is too short".
        detail: More about this one sample.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Sample:
    """One caption with its clip: pixels [F, H, W, 3] in 0..255, or scaled latents [C, F, h, w]."""

    caption: str
    pixels: Tensor | None = None
    latents: Tensor | None = None


class Samples(Protocol):
    """A finite list of samples in a fixed order."""

    where: str
    """What the samples were read from, for error messages."""

    def __len__(self) -> int: ...

    def key(self, index: int) -> str:
        """The name of a sample, for logs."""
        ...

    def read(self, index: int, rng: np.random.Generator) -> Sample:
        """Read a sample; `rng` decides what is random about it, never whether it can be read.

        Raises:
            BrokenSample: It cannot be used.
        """
        ...

    def describe(self) -> dict[str, object]:
        """Plain values that say what these samples are."""
        ...


class Endless:
    """The samples in a new random order each epoch, for ever.

    Batch `number` of `size` takes the samples from position number * size on. A broken sample is
    passed over and the next one takes its place, so a batch depends on (seed, number, size) and
    on which samples are broken, not on what was asked before.

    Args:
        samples: At least one.
        seed: Decides the order and everything drawn inside samples.

    Raises:
        InputError: There is no sample.
    """

    def __init__(self, samples: Samples, seed: int) -> None:
        if len(samples) == 0:
            raise InputError(f"no sample in {samples.where}", fix="check data.path")
        self.samples = samples
        self.seed = seed
        self._orders: dict[int, npt.NDArray[np.int64]] = {}
        self._broken: dict[int, BrokenSample] = {}
        self._lock = threading.Lock()

    @property
    def skipped(self) -> Mapping[str, int]:
        """Broken samples met so far by reason; each counts once."""
        with self._lock:
            return dict(Counter(broken.reason for broken in self._broken.values()))

    def describe(self) -> dict[str, object]:
        """What the samples say about themselves, their number and the seed."""
        return {**self.samples.describe(), "samples": len(self.samples), "seed": self.seed}

    def batch(self, number: int, size: int) -> Batch:
        """See `Source.batch`."""
        taken: list[tuple[int, Sample]] = []
        offset = idle = 0
        # Any 2 n - 1 positions in a row hold a whole epoch, so beyond them nothing is readable.
        while len(taken) < size and idle < 2 * len(self.samples):
            index = self._index(number * size + offset)
            rng = np.random.default_rng([self.seed, number, offset, _DRAW])
            sample = self._read(index, rng)
            offset += 1
            if sample is None:
                idle += 1
            else:
                idle = 0
                taken.append((index, sample))
        if len(taken) < size:
            raise self._nothing()
        return self._stack(taken)

    def _index(self, position: int) -> int:
        epoch, place = divmod(position, len(self.samples))
        with self._lock:
            order = self._orders.get(epoch)
        if order is None:
            order = np.random.default_rng([self.seed, epoch, _SHUFFLE]).permutation(
                len(self.samples)
            )
            with self._lock:
                self._orders[epoch] = order
                while len(self._orders) > _EPOCHS_KEPT:
                    self._orders.pop(next(iter(self._orders)))
        return int(order[place])

    def _read(self, index: int, rng: np.random.Generator) -> Sample | None:
        with self._lock:
            if index in self._broken:
                return None
        try:
            return self.samples.read(index, rng)
        except BrokenSample as broken:
            with self._lock:
                self._broken[index] = broken
            return None

    def _stack(self, taken: list[tuple[int, Sample]]) -> Batch:
        samples = [sample for _, sample in taken]
        pixels = [sample.pixels for sample in samples if sample.pixels is not None]
        latents = [sample.latents for sample in samples if sample.latents is not None]
        return Batch(
            captions=tuple(sample.caption for sample in samples),
            keys=tuple(self.samples.key(index) for index, _ in taken),
            latents=torch.stack(latents).float() if latents else None,
            pixels=torch.stack(pixels) if pixels else None,
        )

    def _nothing(self) -> InputError:
        with self._lock:
            broken = dict(self._broken)
        named = [(self.samples.key(index), fault) for index, fault in broken.items()]
        return nothing_readable(self.samples.where, len(self.samples), named)


def nothing_readable(where: str, count: int, broken: list[tuple[str, BrokenSample]]) -> InputError:
    """The error for data of which not one sample can be used, with the first reasons.

    Args:
        where: What was read.
        count: How many samples there are.
        broken: Keys and faults.
    """
    first: dict[str, str] = {}
    counts = Counter(fault.reason for _, fault in broken)
    for key, fault in broken:
        detail = f" ({fault.detail})" if fault.detail else ""
        first.setdefault(fault.reason, f"{key} {fault.reason}{detail}")
    told = []
    for reason, many in counts.most_common(_EXAMPLES):
        told.append(first[reason] + (f", and {many - 1} more like it" if many > 1 else ""))
    return InputError(
        f"none of the {count} samples in {where} can be read",
        why="; ".join(told),
        fix="see `turbo-train data check` for every one",
    )


class Ahead:
    """A source whose next batches are read in threads while the last one is used.

    The batches are those of the inner source; only the waiting is shorter. Numbers are guessed to
    go on in equal steps, as those of one rank do. `skipped` may be ahead by the batches in hand.

    Args:
        source: The source; its `batch` may run in several threads at once.
        workers: Threads, and batches that are read ahead.
    """

    def __init__(self, source: Source, workers: int) -> None:
        self._source = source
        self._workers = workers
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="data")
        self._coming: dict[tuple[int, int], Future[Batch]] = {}
        self._asked: deque[int] = deque(maxlen=2)

    @property
    def skipped(self) -> Mapping[str, int]:
        """Broken samples met so far by reason, those of the batches in hand included."""
        return self._source.skipped

    def describe(self) -> dict[str, object]:
        """What the inner source says."""
        return self._source.describe()

    def batch(self, number: int, size: int) -> Batch:
        """See `Source.batch`."""
        self._asked.append(number)
        coming = self._coming.pop((number, size), None)
        step = self._asked[-1] - self._asked[0]
        wanted = [(number + step * k, size) for k in range(1, self._workers + 1) if step > 0]
        for stale in set(self._coming) - set(wanted):
            self._coming.pop(stale).cancel()
        if coming is None:
            coming = self._pool.submit(self._source.batch, number, size)
        for key in wanted:
            if key not in self._coming:
                self._coming[key] = self._pool.submit(self._source.batch, *key)
        return coming.result()

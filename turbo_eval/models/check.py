"""Whether a text-to-video system keeps what the protocol promises: a list of small trials.

Four clips are drawn: two at once with two seeds, then the first again, twice, by itself. That is
enough to see shape, range, seeds, repetition and independence of the batch.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from turbo_eval.core.errors import TurboError, one_line
from turbo_eval.models.protocol import Frames, ModelInfo, Sampler, TextToVideo

State = Literal["ok", "wrong", "warning", "skipped"]
PROMPT = "a red ball rolls to the left"
SEEDS = (11, 12)
BATCH_TOLERANCE = 2
"""Levels of 0..255 that the batch may change in a pixel: rounding, and no more."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One line of the list.

    Attributes:
        name: What was tried.
        state: `warning` does not fail the system; `skipped` needs an earlier trial to pass.
        found: What was seen, in a few words.
    """

    name: str
    state: State
    found: str


def check_model(
    open_system: Callable[[], TextToVideo], *, steps: int | None = None
) -> Iterator[Trial]:
    """Try a system; yields one trial after the other, as each is done.

    Args:
        open_system: Opens it; called twice, to compare the keys of two objects.
        steps: Sampling steps of the clips; its own, at most 2, when None.

    Yields:
        The trials, in a fixed order. What raises is a `wrong` trial, and the rest is skipped.
    """
    try:
        system = open_system()
        info, key = system.info, system.fingerprint()
    except Exception as error:
        yield Trial("loads", "wrong", _said(error))
        return
    yield Trial("loads", "ok", f"{type(system).__name__}, no weights read")
    yield _facts(info)
    yield _licence(info)
    yield _key(key, open_system)
    sampler = Sampler(steps=steps or max(1, min(2, info.steps)), guidance=max(info.guidance, 0.0))
    first, second = SEEDS
    try:
        pair = np.asarray(system.generate([PROMPT, PROMPT], [first, second], sampler))
        alone = np.asarray(system.generate([PROMPT], [first], sampler))
        again = np.asarray(system.generate([PROMPT], [first], sampler))
    except Exception as error:
        yield Trial("draws clips", "wrong", _said(error))
        return
    yield Trial(
        "draws clips", "ok", f"4 clips, {sampler.steps} steps, guidance {sampler.guidance:g}"
    )
    shape = _shape(pair, alone)
    yield shape
    if shape.state == "wrong":
        for name in ("frames and size", "range", "repeats by seed", "seeds differ", "batch"):
            yield Trial(name, "skipped", "there are no frames to look at")
        return
    yield _size(pair, info)
    yield _range(pair)
    yield _same("repeats by seed", alone[0], again[0], 0, "the same seed gives another clip")
    yield _seeds(pair)
    yield _same(
        "batch", pair[0], alone[0], BATCH_TOLERANCE, "a clip changes with the batch it is drawn in"
    )


def _said(error: Exception) -> str:
    kind = "" if isinstance(error, TurboError) else f"{type(error).__name__}: "
    return one_line(f"{kind}{error}")


def _facts(info: ModelInfo) -> Trial:
    faults = []
    if not info.name:
        faults.append("no name")
    if info.steps < 1:
        faults.append(f"{info.steps} steps")
    if not info.fps > 0:
        faults.append(f"{info.fps} frames a second")
    if min(info.width, info.height, info.frames) < 0:
        faults.append("a size below 0")
    if info.kind != "generator":
        faults.append(f"kind {info.kind!r}")
    if faults:
        return Trial("facts", "wrong", ", ".join(faults))
    size = f"{info.frames} frames of {info.width}x{info.height}, {info.fps:g} fps"
    return Trial(
        "facts", "ok", f"{info.name}: {size}, {info.steps} steps, guidance {info.guidance:g}"
    )


def _licence(info: ModelInfo) -> Trial:
    if info.licence:
        return Trial("licence", "ok", info.licence)
    return Trial("licence", "warning", "none is told")


def _key(key: object, open_system: Callable[[], TextToVideo]) -> Trial:
    if not isinstance(key, str) or not key:
        return Trial("key", "wrong", f"fingerprint() gave {key!r}; it is a text that is not empty")
    other = open_system().fingerprint()
    if other != key:
        return Trial("key", "wrong", f"two objects give {key} and {other}")
    return Trial("key", "ok", key)


def _shape(pair: Frames, alone: Frames) -> Trial:
    good = pair.ndim == 5 and len(pair) == 2 and pair.shape[-1] == 3 and 0 not in pair.shape
    if not good:
        return Trial("shape", "wrong", f"{tuple(pair.shape)} for two clips, not [2, T, H, W, 3]")
    if pair.dtype != np.uint8:
        return Trial("shape", "wrong", f"type {pair.dtype}, not uint8")
    if alone.shape != (1, *pair.shape[1:]):
        return Trial("shape", "wrong", f"{tuple(pair.shape)} and {tuple(alone.shape)} do not agree")
    return Trial("shape", "ok", f"uint8 {tuple(pair.shape)}")


def _size(pair: Frames, info: ModelInfo) -> Trial:
    _, frames, height, width, _ = pair.shape
    told = (info.frames, info.height, info.width)
    wrong = [(a, f) for a, f in zip(told, (frames, height, width), strict=True) if a and a != f]
    found = f"{frames} frames of {width}x{height}"
    if wrong:
        return Trial("frames and size", "wrong", f"{found}; info tells {info.frames} of "
                     f"{info.width}x{info.height}")  # fmt: skip
    if not all(told):
        return Trial("frames and size", "warning", f"{found}; info tells 0, its own")
    return Trial("frames and size", "ok", found)


def _range(pair: Frames) -> Trial:
    low, high = int(pair.min()), int(pair.max())
    if low == high:
        return Trial("range", "wrong", f"every pixel is {low}")
    if high <= 1:
        return Trial("range", "wrong", f"{low} to {high}: frames on 0..1 were not scaled to 0..255")
    return Trial("range", "ok", f"{low} to {high}, mean {pair.mean():.0f}")


def _seeds(pair: Frames) -> Trial:
    if np.array_equal(pair[0], pair[1]):
        return Trial("seeds differ", "wrong", "two seeds give the same clip")
    share = float((pair[0] != pair[1]).mean())
    return Trial("seeds differ", "ok", f"{share:.0%} of the values differ")


def _same(name: str, one: Frames, other: Frames, tolerance: int, fault: str) -> Trial:
    apart = int(np.abs(one.astype(np.int16) - other.astype(np.int16)).max())
    if apart > tolerance:
        return Trial(name, "wrong", f"{fault}: up to {apart} of 255 apart")
    return Trial(
        name, "ok", "the same to the bit" if apart == 0 else f"at most {apart} of 255 apart"
    )

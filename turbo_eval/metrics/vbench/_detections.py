"""Objects that a detector found, frame by frame."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from turbo_eval.core.errors import InputError
from turbo_eval.metrics.base import Features
from turbo_eval.metrics.read import texts

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels, origin at the top left."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What one frame shows, the highest box score first.

    Attributes:
        labels: one class name per box.
        boxes: as many boxes; empty on frames that carry captions.
        captions: as many captions; empty on frames that carry boxes.
    """

    labels: tuple[str, ...]
    boxes: tuple[Box, ...] = ()
    captions: tuple[str, ...] = ()


def _broken(key: str, number: int) -> InputError:
    return InputError(
        f"frame {number} of 'detector.{key}' is malformed",
        why="labels and what belongs to them must be lists of one length",
        fix="extract the features of this video again",
    )


def _list(frame: Any, name: str, key: str, number: int) -> list[Any]:
    value = frame.get(name) if isinstance(frame, Mapping) else None
    if not isinstance(value, list):
        raise _broken(key, number)
    return value


def object_frames(features: Features) -> list[Frame]:
    """Read the detector's boxes and class names.

    Args:
        features: arrays by part; `detector.objects` is read.

    Returns:
        One entry per sampled frame.

    Raises:
        InputError: if the detections are missing or malformed.
    """
    frames: list[Frame] = []
    for number, frame in enumerate(texts(features, "detector", "objects")):
        labels = _list(frame, "labels", "objects", number)
        boxes = _list(frame, "boxes", "objects", number)
        if len(labels) != len(boxes) or any(len(box) != 4 for box in boxes):
            raise _broken("objects", number)
        corners = tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in boxes)
        frames.append(Frame(tuple(map(str, labels)), corners))
    return frames


def caption_frames(features: Features) -> list[Frame]:
    """Read the detector's class names and dense captions.

    Args:
        features: arrays by part; `detector.captions` is read.

    Returns:
        One entry per sampled frame.

    Raises:
        InputError: if the captions are missing or malformed.
    """
    frames: list[Frame] = []
    for number, frame in enumerate(texts(features, "detector", "captions")):
        labels = _list(frame, "labels", "captions", number)
        captions = _list(frame, "captions", "captions", number)
        if len(labels) != len(captions):
            raise _broken("captions", number)
        frames.append(Frame(tuple(map(str, labels)), captions=tuple(map(str, captions))))
    return frames

"""The detector of VBench: GRiT's objects, names and captions in 16 sampled frames."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from turbo_eval.backbones.official.frames import Judge, float_frames, pieces
from turbo_eval.backbones.official.grit.network import CAPTION, NAME, Grit
from turbo_eval.backbones.official.grit.text import Text
from turbo_eval.backbones.official.tag2text.wordpiece import read_words
from turbo_eval.backbones.official.umt_frames import resize_bilinear
from turbo_eval.backbones.official.weights import find_vocabulary, load_strict
from turbo_eval.backbones.protocol import Features
from turbo_eval.core.records import Prompt, pack_text
from turbo_eval.video.clip import Clip
from turbo_eval.video.sample import middle_indices

SAMPLED: Final = 16
LARGE: Final = 768
"""Frames with a longer short side are made smaller."""
SMALL: Final = 720
"""To a short side of about this many pixels."""
TOGETHER: Final = 32
"""Objects that are written about together; each needs 9 MB."""
OBJECT_DIMENSIONS: Final = frozenset({"object_class", "multiple_objects", "spatial_relationship"})
CAPTION_DIMENSIONS: Final = frozenset({"color"})

_HEADS = "roi_heads"
_SECOND, _FIRST = f"{_HEADS}.text_decoder_det.", f"{_HEADS}.text_decoder."
_OUTPUT, _WORDS = "textual.output.weight", "textual.embedding.words.weight"
_MASK = f"{_HEADS}.mask_head."
_UNUSED: Final = (_MASK, "pixel_")


def _untrained() -> Grit:
    with torch.device("meta"):
        return Grit()


def layout() -> dict[str, Tensor]:
    """The official state without its numbers, on the meta device.

    The head that would draw masks is in the file, and nobody asks it for anything.
    """
    mask = {f"mask_fcn{number}": (256, 256, 3, 3) for number in range(1, 5)}
    mask |= {"deconv": (256, 256, 2, 2), "predictor": (1, 256, 1, 1)}
    state = _untrained().state_dict()
    for name, shape in mask.items():
        state[f"{_MASK}{name}.weight"] = torch.empty(shape, device="meta")
        state[f"{_MASK}{name}.bias"] = torch.empty(shape[0], device="meta")
    return state


def known(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The part of a checkpoint that is used, numbers that go by two names under both."""
    used = {name: t for name, t in state.items() if not name.startswith(_UNUSED)}
    if f"{_FIRST}{_WORDS}" in used:
        used.setdefault(f"{_FIRST}{_OUTPUT}", used[f"{_FIRST}{_WORDS}"])
    for name in [n for n in used if n.startswith(_FIRST)]:
        used.setdefault(name.replace(_FIRST, _SECOND, 1), used[name])
    return used


def kinds(dimensions: Sequence[str]) -> tuple[bool, bool]:
    """Whether objects and whether captions are needed for some dimensions.

    Both are when none of the dimensions names the detector: nobody can tell then.
    """
    objects = bool(OBJECT_DIMENSIONS & set(dimensions))
    captions = bool(CAPTION_DIMENSIONS & set(dimensions))
    return (objects, captions) if objects or captions else (True, True)


class Detector(Judge):
    """Objects with boxes, names and captions."""

    role = "detector"

    def build(self, *states: dict[str, Tensor]) -> nn.Module:
        """Make the network from `grit_b_densecap_objectdet.pth`, and read the vocabulary.

        Raises:
            PrerequisiteError: The file belongs to another network, or the vocabulary is missing.
        """
        self.words = read_words(find_vocabulary(self.weights_dir))
        return load_strict(_untrained(), known(states[0]), self.files[0])

    def look(self, network: nn.Module, clip: Clip, prompt: Prompt) -> Features:
        """Look at 16 sampled frames, each of them once.

        Returns:
            Packed lists, one entry a frame, the surest object first. `objects`: {"boxes": [[x0,
            y0, x1, y1] in pixels of the frame that was looked at, ...], "labels": [name, ...]}.
            `captions`: {"labels": [name, ...], "captions": [text, ...]}. When the prompt serves
            dimensions of the detector, only what they need is there.
        """
        assert isinstance(network, Grit)
        samples = middle_indices(len(clip.frames), SAMPLED)
        distinct = sorted(set(samples))
        frames = clip.frames[distinct]
        objects, captions = kinds(prompt.dimensions)
        found: dict[str, list[Any]] = {}
        if reduced(frames) is None:
            # Both passes see the same pixels, so boxes and names are found once.
            found = self._pass(network, frames, float_frames, objects, captions)
        else:
            if objects:
                found |= self._pass(network, frames, smaller_floats, True, False)
            if captions:
                found |= self._pass(network, frames, smaller_bytes, False, True)
        places = [distinct.index(sample) for sample in samples]
        return {key: pack_text([rows[place] for place in places]) for key, rows in found.items()}

    def _pass(
        self,
        network: Grit,
        frames: NDArray[np.uint8],
        prepare: Callable[[NDArray[np.uint8]], Tensor],
        objects: bool,
        captions: bool,
    ) -> dict[str, list[Any]]:
        at_once = 1 if self.device == "cpu" else 4
        begins = (NAME, CAPTION) if captions else (NAME,)
        boxes: list[list[list[float]]] = []
        texts: list[list[Text]] = [[] for _ in begins]
        waiting: list[Tensor] = []
        for some in pieces(frames, at_once):
            for seen in network.look(prepare(some).to(self.device)):
                boxes.append(seen.objects.boxes.tolist())
                waiting.append(seen.cells)
            # Objects of several frames are written about together: it is faster, and what waits
            # is bounded.
            if sum(map(len, waiting)) >= TOGETHER:
                _extend(texts, network.describe(torch.cat(waiting), begins, at_once=TOGETHER))
                waiting = []
        if waiting:
            _extend(texts, network.describe(torch.cat(waiting), begins, at_once=TOGETHER))
        names, *said = (self._by_frame(kind, boxes) for kind in texts)
        found: dict[str, list[Any]] = {}
        if objects:
            found["objects"] = [
                {"boxes": here, "labels": labels} for here, labels in zip(boxes, names, strict=True)
            ]
        if captions:
            found["captions"] = [
                {"labels": labels, "captions": sentences}
                for labels, sentences in zip(names, said[0], strict=True)
            ]
        return found

    def _by_frame(self, texts: Sequence[Text], boxes: Sequence[Sequence[Any]]) -> list[list[str]]:
        decoded = iter([self.words.decode(text.tokens) for text in texts])
        return [[next(decoded) for _ in here] for here in boxes]


def _extend(all_texts: Sequence[list[Text]], more: Sequence[list[Text]]) -> None:
    for texts, new in zip(all_texts, more, strict=True):
        texts += new


def reduced(frames: NDArray[np.uint8]) -> tuple[int, int] | None:
    """Height and width that frames [N, H, W, 3] are brought to; None when they stay as they are."""
    height, width = frames.shape[1:3]
    short = min(height, width)
    if short <= LARGE:
        return None
    scale = SMALL / short
    return int(scale * height), int(scale * width)


def smaller_floats(frames: NDArray[np.uint8]) -> Tensor:
    """Frames as the object dimensions bring them down: floats, bilinear with antialiasing."""
    size = reduced(frames)
    pictures = float_frames(frames)
    if size is None:
        return pictures
    return F.interpolate(pictures, size, mode="bilinear", antialias=True, align_corners=False)


def smaller_bytes(frames: NDArray[np.uint8]) -> Tensor:
    """Frames as the dimension color brings them down: bytes, OpenCV's bilinear resize."""
    size = reduced(frames)
    return float_frames(frames if size is None else resize_bilinear(frames, *size))

"""The scene judge of VBench: Tag2Text captions of 16 sampled frames."""

from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from turbo_eval.backbones.judges import FLOAT32
from turbo_eval.backbones.official.frames import Judge
from turbo_eval.backbones.official.tag2text.captions import captions
from turbo_eval.backbones.official.tag2text.network import TIES, Tag2Text
from turbo_eval.backbones.official.tag2text.wordpiece import read_words
from turbo_eval.backbones.official.weights import find_vocabulary, load_strict
from turbo_eval.backbones.protocol import Features
from turbo_eval.core.records import Prompt, pack_text
from turbo_eval.video.clip import Clip
from turbo_eval.video.sample import middle_indices
from turbo_eval.video.scaled import decode_scaled

SAMPLED: Final = 16
_CONSTANT: Final = ("relative_position_index", "attn_mask")


def _untrained() -> Tag2Text:
    with torch.device("meta"):
        return Tag2Text()


def layout() -> dict[str, Tensor]:
    """The official state without its numbers: floating-point tensors lie on the meta device."""
    return _untrained().state_dict()


def official_order(count: int = SAMPLED) -> list[int]:
    """The sample whose caption the official program gives to each sample.

    Its beams repeat the picture's memory twice, three times each, and the attention cuts the
    memory at the number of texts; so text f is written from the memory of sample f // 3.
    """
    return [sample // 3 for sample in range(count)]


class Scene(Judge):
    """Captions of the frames of a clip.

    Args:
        device: Where the network runs.
        weights_dir: The folder of weights that the user named, if any.
        dtype: See `Judge`.
        mixed: True gives sample f the caption of sample f // 3, as the official program does,
            and so looks at 6 of 16 samples; False gives every sample its own.
    """

    role = "scene"

    def __init__(
        self,
        *,
        device: str = "cpu",
        weights_dir: Path | None = None,
        dtype: str = FLOAT32,
        mixed: bool = True,
    ) -> None:
        super().__init__(device=device, weights_dir=weights_dir, dtype=dtype)
        self.mixed = mixed

    def build(self, *states: dict[str, Tensor]) -> nn.Module:
        """Make the network from `tag2text_swin_14m.pth`, and read the vocabulary.

        Raises:
            PrerequisiteError: The file belongs to another network, or the vocabulary is missing.
        """
        self.words = read_words(find_vocabulary(self.weights_dir))
        state = {
            name: tensor
            for name, tensor in states[0].items()
            if name.rpartition(".")[2] not in _CONSTANT
        }
        for name, same in TIES.items():
            if name not in state and same in state:
                state[name] = state[same]
        return load_strict(_untrained(), state, self.files[0])

    def look(self, network: nn.Module, clip: Clip, prompt: Prompt) -> Features:  # noqa: ARG002
        """Caption 16 sampled frames.

        Returns:
            `captions`: packed list of 16 texts.
        """
        assert isinstance(network, Tag2Text)
        samples = middle_indices(len(clip.frames), SAMPLED)
        used = [samples[k] for k in official_order()] if self.mixed else samples
        distinct = sorted(set(used))
        frames = torch.from_numpy(scaled(clip, distinct, network.sizes.image))
        at_once = 1 if self.device == "cpu" else len(distinct)
        texts = captions(network, self.words, frames, at_once=at_once)
        found = dict(zip(distinct, texts, strict=True))
        return {"captions": pack_text([found[number] for number in used])}


def scaled(clip: Clip, numbers: list[int], size: int) -> NDArray[np.uint8]:
    """Frames of a clip as squares, without keeping the aspect: uint8 [N, size, size, 3].

    A video is decoded again, because the official program scales while it decodes. GIF and PNG
    files, and clips that never were files, go through Pillow's bilinear resize, as it does too.
    """
    if clip.path is not None and clip.path.suffix.lower() not in (".gif", ".png"):
        return decode_scaled(clip.path, numbers, size, size)
    from PIL import Image

    resized = [
        Image.fromarray(np.ascontiguousarray(clip.frames[number])).resize(
            (size, size), Image.Resampling.BILINEAR
        )
        for number in numbers
    ]
    return np.stack([np.asarray(picture) for picture in resized])

"""What the official networks share: when they are read, and how VBench prepares frames.

A part of the judges is a class of this shape::

    class Dino(Judge):
        role = "frame_features"

        def build(self, *states):  # one state dict a file of the role, in the order of FILES
            return load_strict(make_network(), states[0], self.files[0])

        def look(self, network, clip, prompt):
            return {"features": ...}

It is listed in `turbo_eval.backbones.official.PARTS`, which imports its module at the first clip.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from turbo_eval.backbones.judges import FLOAT32
from turbo_eval.backbones.official.files import WeightsFile, files_of_role
from turbo_eval.backbones.official.packed import pack
from turbo_eval.backbones.official.weights import find, read_state
from turbo_eval.backbones.protocol import Features
from turbo_eval.core.records import Prompt
from turbo_eval.video.clip import Clip

IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
IMAGENET_STD: Final = (0.229, 0.224, 0.225)
CLIP_MEAN: Final = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD: Final = (0.26862954, 0.26130258, 0.27577711)


class Judge(ABC):
    """An official network: read at the first clip, then kept.

    Args:
        device: Where it runs, such as `cpu` or `cuda`.
        weights_dir: The folder of weights that the user named, if any.
        dtype: `float32`, or `bfloat16` for what autocast computes in it; weights and frames stay
            float32.
    """

    role: ClassVar[str]

    def __init__(
        self, *, device: str = "cpu", weights_dir: Path | None = None, dtype: str = FLOAT32
    ) -> None:
        self.device = device
        self.weights_dir = weights_dir
        self.dtype = dtype
        self._network: nn.Module | None = None

    @property
    def files(self) -> tuple[WeightsFile, ...]:
        """The official files of the role."""
        return files_of_role(self.role)

    @abstractmethod
    def build(self, *states: dict[str, Tensor]) -> nn.Module:
        """Make the network from the states of `files`, in their order, strictly.

        Raises:
            PrerequisiteError: A file belongs to another network.
        """

    @abstractmethod
    def look(self, network: nn.Module, clip: Clip, prompt: Prompt) -> Features:
        """The arrays of the role for one clip; called without gradients."""

    def network(self) -> nn.Module:
        """The network in evaluation mode on its device.

        Raises:
            PrerequisiteError: Weights are missing, damaged or of another network.
        """
        if self._network is None:
            # All are found before one is read, so that nothing is waited for in vain.
            paths = [find(file, self.weights_dir) for file in self.files]
            packed = torch.device(self.device).type == "cpu"
            states = [
                read_state(path, wrapper=file.wrapper, prefix=file.prefix, mapped=not packed)
                for path, file in zip(paths, self.files, strict=True)
            ]
            network = self.build(*states)
            # Layers are packed one by one, and each gives up what it was made of.
            del states
            network = network.requires_grad_(False).eval().to(self.device)
            kind = torch.float32 if self.dtype == FLOAT32 else torch.bfloat16
            self._network = pack(network, kind) if packed else network
        return self._network

    def extract(self, clip: Clip, prompt: Prompt) -> Features:
        """Look at a clip (see `turbo_eval.backbones.protocol.Backbone`).

        Raises:
            PrerequisiteError: Weights are missing, damaged or of another network.
        """
        network = self.network()
        kind = torch.device(self.device).type
        reduced = self.dtype != FLOAT32
        with torch.inference_mode(), torch.autocast(kind, torch.bfloat16, enabled=reduced):
            return self.look(network, clip, prompt)


def serves(prompt: Prompt, dimension: str) -> bool:
    """Whether a clip of the prompt may be scored in a dimension: it is named, or none is."""
    return not prompt.dimensions or dimension in prompt.dimensions


def float_frames(frames: NDArray[np.uint8], device: str | torch.device = "cpu") -> Tensor:
    """Frames uint8 [N, H, W, 3] as float32 [N, 3, H, W] in 0..255."""
    # Clips may be views that torch cannot wrap (negative steps, not writable), hence the copy.
    return torch.from_numpy(np.array(frames)).to(device).permute(0, 3, 1, 2).float()


def pieces(frames: NDArray[np.uint8], at_once: int) -> Iterator[NDArray[np.uint8]]:
    """Frames [T, H, W, 3] in pieces of at most `at_once`, so that long clips fit in memory."""
    for start in range(0, len(frames), at_once):
        yield frames[start : start + at_once]


def short_side(height: int, width: int, size: int) -> tuple[int, int]:
    """Height and width after the shorter side became `size`; the longer one is truncated.

    Source: torchvision's `Resize(size)`, which VBench calls.
    """
    short, long = sorted((height, width))
    other = int(size * long / short)
    return (size, other) if height <= width else (other, size)


def resize_short(pictures: Tensor, size: int, mode: str) -> Tensor:
    """Resize [N, 3, H, W] to a shorter side of `size` without antialiasing, as VBench does.

    Args:
        pictures: float32; bicubic overshoot stays.
        size: Shorter side.
        mode: `bilinear` or `bicubic`.
    """
    height, width = pictures.shape[-2:]
    target = short_side(height, width, size)
    if target == (height, width):
        return pictures
    return F.interpolate(pictures, target, mode=mode, align_corners=False)


def resized_frames(
    frames: NDArray[np.uint8], size: int, mode: str, device: str | torch.device = "cpu"
) -> Tensor:
    """Frames uint8 [N, H, W, 3] as `resize_short` makes them, float32 [N, 3, h, w] in 0..255.

    One at a time: as floats, a handful of large frames would take more memory than the network.
    """
    return torch.cat(
        [resize_short(float_frames(frame[None], device), size, mode) for frame in frames]
    )


def centre_crop(pictures: Tensor, size: int) -> Tensor:
    """The middle [.., size, size] of [.., H, W] with both sides at least `size`.

    Source: torchvision's `CenterCrop`, which rounds half to even.
    """
    top, left = (round((side - size) / 2.0) for side in pictures.shape[-2:])
    return pictures[..., top : top + size, left : left + size]


def normalised(pictures: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """(pictures - mean) / std for [N, 3, H, W] in 0..1."""
    m, s = (
        torch.tensor(v, dtype=pictures.dtype, device=pictures.device)[:, None, None]
        for v in (mean, std)
    )
    return (pictures - m) / s


def clip_tensor(frames: NDArray[np.uint8], device: str = "cpu", *, rounded: bool = False) -> Tensor:
    """VBench's clip-tensor transform: bicubic without antialiasing to 224, middle, CLIP's scale.

    Args:
        frames: uint8 [N, H, W, 3].
        device: Where to compute.
        rounded: True as for uint8 tensors (the ViCLIP dimensions): values are rounded and cut to
            0..255 after resizing; False as for float tensors: overshoot stays.

    Returns:
        float32 [N, 3, 224, 224].
    """
    pictures = resized_frames(frames, 224, "bicubic", device)
    if rounded:
        pictures = pictures.clamp(0, 255).round()
    return normalised(centre_crop(pictures, 224) / 255, CLIP_MEAN, CLIP_STD)


def clip_pil(frames: NDArray[np.uint8], device: str = "cpu") -> Tensor:
    """VBench's clip-PIL transform: Pillow's (antialiased) bicubic to 224, middle, CLIP's scale.

    Returns:
        float32 [N, 3, 224, 224] for uint8 [N, H, W, 3].
    """
    from PIL import Image

    height, width = short_side(frames.shape[1], frames.shape[2], 224)
    resized = np.stack(
        [
            np.asarray(
                Image.fromarray(np.ascontiguousarray(frame)).resize(
                    (width, height), Image.Resampling.BICUBIC
                )
            )
            for frame in frames
        ]
    )
    return normalised(centre_crop(float_frames(resized, device), 224) / 255, CLIP_MEAN, CLIP_STD)

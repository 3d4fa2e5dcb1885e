"""Long clips: what a judge holds at once does not grow with the length of the clip.

Decoded frames are bytes, and a copy of a whole clip as floats takes four times as much: 2 GB for
1,000 frames of 512 x 320.
"""

import tracemalloc
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from tests.backbones.official.small_judges import MAKERS, make_judge
from turbo_eval.backbones.official.frames import Judge, float_frames
from turbo_eval.backbones.official.grit.network import Grit
from turbo_eval.backbones.official.grit.text import Text
from turbo_eval.backbones.official.raft import Raft
from turbo_eval.backbones.pixels import Pixels
from turbo_eval.core.records import Prompt
from turbo_eval.video.clip import Clip, clip_of

# Both filter dimensions, so that RAFT looks at all of its pairs.
PROMPT = Prompt(
    "0" * 16, "a cat", (), {"appearance_style": {"appearance_style": "oil painting"}}, "s", 0
)
SHORT, LONG = 24, 48
HEIGHT, WIDTH = 128, 160
FRAME = HEIGHT * WIDTH * 3
SIZES = {"scene": (32, 32), "detector": (64, 80)}
"""Small frames where the network costs the most and only 16 frames are looked at anyway."""


class Largest(TorchDispatchMode):
    """Bytes of the largest tensor that any operation made."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, tuple | list) else (made,):
            if isinstance(tensor, Tensor):
                self.found = max(self.found, tensor.untyped_storage().nbytes())
        return made


class Once(nn.Module):
    """Computes the first pass of a size and repeats its answer: passes are alike, and slow."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        self.answers: dict[Any, Any] = {}

    def forward(self, *args: Any) -> Any:
        shape = getattr(args[0], "pixels", args[0]).shape
        if shape not in self.answers:
            self.answers[shape] = self.network(*args)
        return self.answers[shape]


def _spare_the_networks(role: str, judge: Any, patch: pytest.MonkeyPatch) -> None:
    """Leave out what takes long and is the same for every piece of a clip."""
    if role in ("interpolation", "image_quality"):
        judge._network = Once(judge._network)
    if role == "flow":
        patch.setattr(Raft, "features", lambda _, pictures: F.avg_pool2d(pictures, 8))
        patch.setattr(Raft, "flow", lambda _, pictures, first, second: pictures[:, :2])
    if role == "detector":
        none = Text([], 0.0)
        patch.setattr(
            Grit, "describe", lambda _, cells, begins, at_once: [[none] * len(cells)] * len(begins)
        )


def _clip(role: str, frames: int) -> Clip:
    height, width = SIZES.get(role, (HEIGHT, WIDTH))
    rng = np.random.default_rng(0)
    return clip_of(rng.integers(0, 256, (frames, height, width, 3), np.uint8), 8.0)


def _held(judge: Any, clip: Clip) -> tuple[int, int]:
    """Bytes of the largest tensor, and the most that NumPy held at once beside the clip."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        with Largest() as largest:
            judge.extract(clip, PROMPT)
        return largest.found, tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("role", MAKERS)
def test_what_is_held_does_not_grow_with_the_clip(
    role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for frames in (SHORT, LONG):
        judge = make_judge(role, monkeypatch)
        _spare_the_networks(role, judge, monkeypatch)
        judge.extract(_clip(role, 2 if role == "detector" else 16), PROMPT)  # what is made once
        found.append(_held(judge, _clip(role, frames)))
    short, long = found
    # The detector's objects differ from frame to frame, nothing else does.
    assert long[0] <= short[0] * (1.25 if role == "detector" else 1)
    # Results grow by some numbers a frame; a frame as bytes takes 61,440, as floats 245,760.
    height, width = SIZES.get(role, (HEIGHT, WIDTH))
    assert long[1] - short[1] < (LONG - SHORT) * height * width * 3 / 4


def test_frame_differences_do_not_grow_with_the_clip() -> None:
    short, long = (_held(Pixels(), _clip("pixels", n))[1] for n in (SHORT, LONG))
    assert long - short < (LONG - SHORT) * FRAME / 4


class _WholeTensor(Judge):
    role = "frame_features"

    def build(self, *states: dict[str, Tensor]) -> nn.Module:
        raise NotImplementedError

    def look(self, network: nn.Module, clip: Clip, prompt: Prompt) -> Any:
        return {"mean": float_frames(clip.frames).mean((1, 2, 3)).numpy()}


class _WholeArray(Judge):
    role = "frame_features"
    build = _WholeTensor.build

    def look(self, network: nn.Module, clip: Clip, prompt: Prompt) -> Any:
        return {"mean": clip.frames.astype(np.float32).mean((1, 2, 3))}


@pytest.mark.parametrize("kind", [_WholeTensor, _WholeArray])
def test_a_whole_clip_as_floats_would_be_seen(kind: Any) -> None:
    judge = kind()
    judge._network = nn.Identity()
    short, long = (_held(judge, _clip("x", n)) for n in (SHORT, LONG))
    assert long[0] > short[0] or long[1] - short[1] > (LONG - SHORT) * FRAME


def test_pieces_change_nothing_that_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    for role, module, name in (
        ("frame_features", "dino", "AT_ONCE"),
        ("image_text", "clip", "AT_ONCE"),
        ("aesthetic", "aesthetic", "AT_ONCE"),
        ("image_quality", "musiq", "FRAMES_AT_ONCE"),
    ):
        judge = make_judge(role, monkeypatch)
        clip = _clip(role, 5)
        with monkeypatch.context() as patch:
            patch.setattr(f"turbo_eval.backbones.official.{module}.{name}", 5)
            whole = judge.extract(clip, PROMPT)
            patch.setattr(f"turbo_eval.backbones.official.{module}.{name}", 2)
            parts = judge.extract(clip, PROMPT)
        for key, array in whole.items():
            scale = max(1.0, float(np.abs(array).max()))
            np.testing.assert_allclose(parts[key] / scale, array / scale, rtol=0, atol=1e-6)

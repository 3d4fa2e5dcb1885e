"""ViCLIP in small: both towers against the official ones, tokens, and what must not matter."""

import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from turbo_eval.backbones.official.random_weights import random_state
from turbo_eval.backbones.official.viclip import VideoText, layout, tokens
from turbo_eval.backbones.official.viclip_network import Block, Sizes, ViCLIP, quick_gelu
from turbo_eval.core.errors import PrerequisiteError
from turbo_eval.core.records import Prompt
from turbo_eval.video.clip import clip_of

SMALL = Sizes(
    size=28, patch=7, frames=8, width=32, layers=3, heads=4, text_width=24, text_layers=2,
    text_heads=3, tokens=32, vocabulary=49408, out=16,
)  # fmt: skip
TEXTS = (
    "a cat",
    "A boat sailing leisurely along the Seine River with the Eiffel Tower in background, zoom in",
    "In a still frame, a tranquil pond, the crystal-clear water; 3 ducks don't move &amp; wait. "
    "The leaves are red, yellow and brown, and the sky above them is covered with grey clouds.",
    "\u00e9t\u00e9 \u2014 \u65b0\u5e74 \U0001f600 !?",
    "",
)


@dataclass(frozen=True)
class Official:
    """The official program's modules of the two towers."""

    video: Any
    text: Any


def _rearrange(x: Tensor, pattern: str, b: int, t: int) -> Tensor:
    """The two patterns that the official video tower asks of einops."""
    if pattern == "(b t) n m -> (b n) t m":
        return x.unflatten(0, (b, t)).transpose(1, 2).flatten(0, 1)  # type: ignore[no-any-return]
    assert pattern == "(b n) t m -> b (n t) m"
    return x.unflatten(0, (b, -1)).flatten(1, 2)  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Official]:
    """The official towers; what they import and the networks do not need is replaced."""
    if find_spec("vbench") is None:
        pytest.fail("vbench is not installed: run make setup")
    open_clip = import_module("open_clip.tokenizer")
    folder = tmp_path_factory.mktemp("cache") / "ViCLIP"
    folder.mkdir()
    (folder / "bpe_simple_vocab_16e6.txt.gz").symlink_to(open_clip.default_bpe())
    import_module("packaging.version")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setenv("VBENCH_CACHE_DIR", str(folder.parent))
        replaced: dict[str, dict[str, Any]] = {
            "decord": {"VideoReader": None, "cpu": None},
            "einops": {"rearrange": _rearrange},
            "pkg_resources": {"packaging": import_module("packaging")},
        }
        for name, attributes in replaced.items():
            module = ModuleType(name)
            module.__dict__.update(attributes)
            patch.setitem(sys.modules, name, module)
        # Importing would put its networks among timm's own for the rest of the tests.
        patch.setattr("timm.models.registry.register_model", lambda network: network)
        towers = Official(
            import_module("vbench.third_party.ViCLIP.viclip_vision"),
            import_module("vbench.third_party.ViCLIP.viclip_text"),
        )
    yield towers
    for name in [n for n in sys.modules if n.partition(".")[0] == "vbench"]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def small() -> ViCLIP:
    made = ViCLIP(SMALL).eval().requires_grad_(False)
    made.load_state_dict(random_state(made.state_dict(), 11))
    return made


def video_tower(module: Any, sizes: Sizes) -> Any:
    return module.VisionTransformer(
        input_resolution=sizes.size, patch_size=sizes.patch, width=sizes.width,
        layers=sizes.layers, heads=sizes.heads, output_dim=sizes.out, num_frames=sizes.frames,
    ).eval()  # fmt: skip


def text_tower(module: Any, sizes: Sizes) -> Any:
    return module.CLIP_TEXT(
        sizes.out, sizes.tokens, sizes.vocabulary, sizes.text_width, sizes.text_heads,
        sizes.text_layers, 0,
    ).eval()  # fmt: skip


@torch.no_grad()
def test_features_of_clips_are_the_official_ones(small: ViCLIP, theirs: Official) -> None:
    tower = video_tower(theirs.video, SMALL)
    tower.load_state_dict(small.vision_encoder.state_dict())
    torch.manual_seed(0)
    clips = torch.randn(2, 8, 3, 28, 28)
    expected = tower(clips.transpose(1, 2))
    assert expected.std() > 0.3
    assert torch.allclose(small.vision_encoder(clips), expected, atol=1e-5)


@torch.no_grad()
def test_features_and_tokens_of_texts_are_the_official_ones(
    small: ViCLIP, theirs: Official
) -> None:
    tower = text_tower(theirs.text, SMALL)
    tower.load_state_dict(small.text_encoder.state_dict())
    numbers = tower.tokenize(list(TEXTS), context_length=32)
    assert tokens(TEXTS).tolist() == numbers.tolist()
    expected = tower(numbers)
    assert expected.std() > 0.3
    assert torch.allclose(small.text_encoder(tokens(TEXTS)), expected, atol=1e-5)


def test_names_and_shapes_are_the_official_ones(theirs: Official) -> None:
    sizes = replace(Sizes(), layers=1, text_layers=1)
    ours = {name: tuple(tensor.shape) for name, tensor in layout().items()}
    assert ours.pop("temp") == ()
    for prefix, tower, layers in (
        ("vision_encoder.", video_tower(theirs.video, sizes), 24),
        ("text_encoder.", text_tower(theirs.text, sizes), 12),
    ):
        for name, tensor in tower.state_dict().items():
            shape = tuple(tensor.shape)
            for k in range(layers):
                full = prefix + name.replace("resblocks.0.", f"resblocks.{k}.")
                assert ours.pop(full, shape) == shape
    assert not ours


def test_the_checkpoint_has_447_tensors_and_428_million_numbers() -> None:
    assert len(layout()) == 447
    assert sum(tensor.numel() for tensor in layout().values()) == 427_590_145


def test_tokens_end_with_the_last_number_and_are_cut_at_32() -> None:
    numbers = tokens(TEXTS)
    assert numbers.shape == (len(TEXTS), 32)
    assert numbers[0].tolist() == [49406, 320, 2368, 49407] + [0] * 28
    assert int(numbers[2, -1]) == 49407
    assert (numbers[2, 1:-1] < 49406).all()
    assert numbers[4].tolist() == [49406, 49407] + [0] * 30


def test_without_open_clip_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from turbo_eval.backbones.official import viclip

    viclip._tokenizer.cache_clear()
    monkeypatch.setitem(sys.modules, "open_clip.tokenizer", None)
    with pytest.raises(PrerequisiteError, match="open_clip"):
        tokens(["a cat"])
    monkeypatch.undo()
    assert tokens(["a cat"]).shape == (1, 32)


def test_what_follows_the_end_of_a_text_does_not_matter(small: ViCLIP) -> None:
    numbers = tokens(["a cat", "a small dog in the snow"])
    before = small.text_encoder(numbers)
    numbers[0, 4:] = 77
    assert torch.allclose(small.text_encoder(numbers), before, atol=1e-5)
    assert torch.allclose(small.text_encoder(numbers[:1]), before[:1], atol=1e-5)


def test_frames_and_places_are_told_apart(small: ViCLIP) -> None:
    torch.manual_seed(1)
    clip = torch.randn(1, 8, 3, 28, 28)
    before = small.vision_encoder(clip)
    for other in (clip.flip(1), clip.flip(3), clip.roll(1, 1)):
        assert (small.vision_encoder(other) - before).abs().max() > 1e-3


def test_clips_of_a_batch_do_not_see_each_other(small: ViCLIP) -> None:
    torch.manual_seed(2)
    clips = torch.randn(3, 8, 3, 28, 28)
    single = torch.cat([small.vision_encoder(clips[k : k + 1]) for k in range(3)])
    assert torch.allclose(small.vision_encoder(clips), single, atol=1e-5)


def test_wanting_one_token_gives_the_first_of_all() -> None:
    torch.manual_seed(3)
    block = Block(12, 3).requires_grad_(False)
    x = torch.randn(2, 7, 12)
    assert torch.allclose(block(x, wanted=1), block(x)[:, :1], atol=1e-6)


def test_the_activation_is_clips_with_and_without_gradients() -> None:
    x = torch.linspace(-6, 6, 49)
    expected = x * torch.sigmoid(1.702 * x)
    assert torch.allclose(quick_gelu(x.clone()), expected, atol=1e-6)
    asking = x.clone().requires_grad_()
    quick_gelu(asking).sum().backward()
    assert asking.grad is not None
    step = 1e-3
    slope = (quick_gelu(x + step) - quick_gelu(x - step)) / (2 * step)
    assert torch.allclose(asking.grad, slope, atol=1e-3)
    assert torch.equal(asking.detach(), x)


class Watching(nn.Module):
    """A tower that keeps its input and answers a constant."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x)
        return torch.full((1, 16), self.value)


def test_eight_middle_frames_and_the_whole_prompt_are_looked_at(small: ViCLIP) -> None:
    network = ViCLIP(SMALL)
    video, text = Watching(1.0), Watching(2.0)
    network.vision_encoder, network.text_encoder = video, text  # type: ignore[assignment]
    frames = np.empty((16, 224, 224, 3), np.uint8)
    frames[:] = np.arange(16, dtype=np.uint8)[:, None, None, None] * 16
    prompt = Prompt("0" * 16, TEXTS[1], (), {}, "test", 0)
    features = VideoText().look(network, clip_of(frames, 8.0), prompt)
    assert features["video"].tolist() == [1.0] * 16
    assert features["text"].tolist() == [2.0] * 16
    assert features["video"].dtype == features["text"].dtype == np.float32
    (shown,) = video.seen
    assert shown.shape == (1, 8, 3, 224, 224)
    grey = (shown[0, :, 0, 0, 0] * 0.26862954 + 0.48145466) * 255 / 16
    assert grey.round().int().tolist() == [0, 2, 4, 6, 8, 10, 12, 14]
    assert torch.equal(text.seen[0], tokens([TEXTS[1]]))


def test_frames_are_rounded_to_bytes_after_resizing() -> None:
    network = ViCLIP(SMALL)
    video = Watching(0.0)
    network.vision_encoder, network.text_encoder = video, Watching(0.0)  # type: ignore[assignment]
    frames = np.random.default_rng(0).integers(0, 256, (8, 300, 400, 3), dtype=np.uint8)
    VideoText().look(network, clip_of(frames, 8.0), Prompt("0" * 16, "a", (), {}, "test", 0))
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073])[:, None, None]
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711])[:, None, None]
    levels = (video.seen[0][0] * std + mean) * 255
    assert (levels - levels.round()).abs().max() < 1e-3
    assert levels.min() > -0.01
    assert levels.max() < 255.01


def test_weights_of_another_network_are_refused() -> None:
    state = {name: torch.zeros(()).expand(tensor.shape) for name, tensor in layout().items()}
    state["vision_encoder.positional_embedding"] = torch.zeros(197, 1024)
    with pytest.raises(PrerequisiteError, match="1 of another shape"):
        VideoText().build(state)

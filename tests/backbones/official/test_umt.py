"""UMT: frames, labels and blocks in small, against OpenCV and the official network."""

import sys
import warnings
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from turbo_eval.backbones.official.files import file_of
from turbo_eval.backbones.official.random_weights import random_state
from turbo_eval.backbones.official.umt import Action, layout
from turbo_eval.backbones.official.umt_frames import prepare, resize_bilinear
from turbo_eval.backbones.official.umt_labels import FILE, build, class_names
from turbo_eval.backbones.official.umt_network import UMT, sinusoids
from turbo_eval.core.errors import InputError, PrerequisiteError
from turbo_eval.core.records import Prompt, unpack_text
from turbo_eval.video.clip import clip_of

PROMPT = Prompt("0" * 16, "A person is marching", (), {}, "test", 0)
SMALL = {"width": 24, "layers": 2, "heads": 3, "classes": 7, "size": 32}
TABLE = "third_party/umt/kinetics_400_categories.txt"


@pytest.fixture(scope="module")
def theirs() -> Iterator[Any]:
    """The official program's module; it imports a video reader that the network does not need."""
    if find_spec("vbench") is None:
        pytest.fail("vbench is not installed: run make setup")
    decord = ModuleType("decord")
    decord.VideoReader = decord.cpu = None  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setitem(sys.modules, "decord", decord)
        # Importing would put its networks in place of timm's own for the rest of the tests.
        patch.setattr("timm.models.registry.register_model", lambda network: network)
        module = import_module("vbench.third_party.umt.models.modeling_finetune")
    yield module
    for name in [n for n in sys.modules if n.partition(".")[0] == "vbench"]:
        del sys.modules[name]


def official(module: Any, width: int, layers: int, heads: int, classes: int, size: int) -> Any:
    return module.VisionTransformer(
        img_size=size, patch_size=16, num_classes=classes, embed_dim=width, depth=layers,
        num_heads=heads, qkv_bias=True, norm_layer=lambda n: nn.LayerNorm(n, 1e-6),
        all_frames=16, tubelet_size=1, use_mean_pooling=True, init_scale=0.001,
    ).eval()  # fmt: skip


@pytest.fixture(scope="module")
def small() -> UMT:
    made = UMT(**SMALL).eval().requires_grad_(False)
    made.load_state_dict(random_state(made.state_dict(), 3))
    return made


def test_names_and_shapes_are_those_of_the_official_network(
    theirs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Computing its table in Python takes most of a minute; only the shape matters here.
    monkeypatch.setattr(
        theirs,
        "get_sinusoid_encoding_table",
        lambda number, width, *_, **__: nn.Parameter(torch.zeros(1, number, width)),
    )
    whole = official(theirs, width=1024, layers=1, heads=16, classes=400, size=224)
    one_block = {n: tuple(t.shape) for n, t in whole.state_dict().items()}
    ours = {n: tuple(t.shape) for n, t in layout().items()}
    for k in range(24):
        for name, shape in one_block.items():
            assert ours.pop(name.replace("blocks.0.", f"blocks.{k}."), shape) == shape
    assert not ours


@torch.no_grad()
def test_logits_are_the_official_ones(small: UMT, theirs: Any) -> None:
    network = official(theirs, **SMALL)
    network.load_state_dict(small.state_dict())
    torch.manual_seed(0)
    clips = torch.randn(2, 3, 16, 32, 32)
    expected = network(clips)
    assert expected.std() > 0.3
    assert torch.allclose(small(clips), expected, atol=1e-5)


def test_the_computed_positions_are_the_official_ones(theirs: Any) -> None:
    # The official table is always that of 14 x 14 patches.
    expected = theirs.get_sinusoid_encoding_table(3136, 32, 16, pre_n_position=1568)
    assert torch.allclose(sinusoids(16, 196, 32), expected, atol=1e-5)


def test_positions_are_sines_and_cosines_in_turn() -> None:
    table = sinusoids(8, 4, 6)[0]
    assert table[0].tolist() == [0, 1] * 3
    for position in (1, 13, 31):
        for pair in range(3):
            angle = position / 10000 ** (2 * pair / 6)
            row = [float(np.sin(angle)), float(np.cos(angle))]
            assert table[position, 2 * pair : 2 * pair + 2].tolist() == pytest.approx(row, abs=1e-6)


def test_positions_of_more_frames_are_interpolated_over_time() -> None:
    short, long = sinusoids(8, 4, 6).view(8, 4, 6), sinusoids(16, 4, 6).view(16, 4, 6)
    assert torch.allclose(long[0], short[0])
    assert torch.allclose(long[-1], short[-1])
    assert torch.allclose(long[5], 0.25 * short[3] + 0.75 * short[2], atol=1e-6)


def test_the_checkpoint_has_319_tensors_and_307_million_numbers() -> None:
    assert len(layout()) == 319
    assert sum(tensor.numel() for tensor in layout().values()) == 306_695_568


def without_memory() -> dict[str, Tensor]:
    """A whole state that takes no room: every tensor repeats one number."""
    return {name: torch.zeros(()).expand(tensor.shape) for name, tensor in layout().items()}


def test_a_checkpoint_without_positions_gets_the_computed_ones() -> None:
    state = without_memory()
    del state["pos_embed"]
    network = Action().build(state)
    assert torch.equal(network.get_parameter("pos_embed"), sinusoids(16, 196, 1024))
    state["pos_embed"] = torch.full((), 2.0).expand(1, 3136, 1024)
    assert float(Action().build(state).get_parameter("pos_embed")[0, 0, 0]) == 2.0


def test_weights_of_another_network_are_refused() -> None:
    state = without_memory()
    state["module.head.weight"] = state.pop("head.weight")
    with pytest.raises(PrerequisiteError, match=r"1 missing \(head\.weight\); 1 unknown") as caught:
        Action().build(state)
    assert file_of("umt").file in str(caught.value)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(2, 90), st.integers(2, 90), st.integers(1, 120), st.integers(1, 120), st.integers(0)
)
def test_resizing_is_opencvs_to_the_bit(h: int, w: int, height: int, width: int, seed: int) -> None:
    cv2 = import_module("cv2")
    frames = np.random.default_rng(seed).integers(0, 256, (2, h, w, 3), dtype=np.uint8)
    expected = [cv2.resize(f, (width, height), interpolation=cv2.INTER_LINEAR) for f in frames]
    assert np.array_equal(resize_bilinear(frames, height, width), expected)


@pytest.mark.parametrize(
    ("h", "w", "height", "width"),
    [(320, 512, 256, 409), (240, 426, 256, 454), (720, 1280, 256, 455), (640, 360, 455, 256)],
)
def test_resizing_usual_sizes_is_opencvs(h: int, w: int, height: int, width: int) -> None:
    cv2 = import_module("cv2")
    frame = np.random.default_rng(h).integers(0, 256, (h, w, 3), dtype=np.uint8)
    expected = cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(resize_bilinear(frame[None], height, width)[0], expected)


def test_halving_takes_the_rounded_mean_of_four() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (8, 10, 3), dtype=np.uint8)
    four = frame.astype(int).reshape(4, 2, 5, 2, 3).sum((1, 3))
    assert np.array_equal(resize_bilinear(frame, 4, 5), (four + 2) // 4)


def test_a_frame_of_the_right_size_stays_as_it_is() -> None:
    frame = np.random.default_rng(1).integers(0, 256, (6, 7, 3), dtype=np.uint8)
    assert resize_bilinear(frame, 6, 7) is frame


def test_frames_are_cut_to_the_middle_and_normalised() -> None:
    frames = np.zeros((2, 256, 341, 3), np.uint8)
    frames[:, :, 58:282] = 255  # 341 - 224 = 117 columns go: half of them, 58.5, rounds to 58
    clip = prepare(frames)
    assert clip.shape == (3, 2, 224, 224)
    white = (1 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    assert clip[:, 1, 100, 100].tolist() == pytest.approx(white.tolist(), abs=1e-5)
    assert (clip == clip[:, :1, :1, :1]).all()


@pytest.mark.parametrize(("height", "width"), [(64, 64), (480, 720), (512, 320), (300, 1000)])
def test_frames_of_every_size_become_224(height: int, width: int) -> None:
    assert prepare(np.zeros((1, height, width, 3), np.uint8)).shape == (3, 1, 224, 224)


class Answers(nn.Module):
    """Gives fixed logits and keeps the clips it was shown."""

    def __init__(self, logits: dict[int, float]) -> None:
        super().__init__()
        self.logits = logits
        self.seen: list[Tensor] = []

    def forward(self, clips: Tensor) -> Tensor:
        self.seen.append(clips)
        result = torch.full((1, 400), -9.0)
        for k, value in self.logits.items():
            result[0, k] = value
        return result


def test_the_five_likeliest_classes_come_with_their_sigmoids() -> None:
    frames = np.empty((40, 256, 256, 3), np.uint8)
    frames[:] = np.arange(40, dtype=np.uint8)[:, None, None, None] * 6
    network = Answers({1: 2.0, 0: 1.0, 3: 4.0, 399: 0.0, 7: -1.0, 8: -2.0})
    features = Action().look(network, clip_of(frames, 8.0), PROMPT)
    names = class_names()
    assert unpack_text(features["labels"]) == [names[k] for k in (3, 1, 0, 399, 7)]
    expected = [1 / (1 + np.exp(-x)) for x in (4.0, 2.0, 1.0, 0.0, -1.0)]
    assert features["scores"].tolist() == pytest.approx(expected, abs=1e-6)
    assert features["scores"].dtype == np.float32
    # One view of the 16 middle frames: 0, 3, 6, 8, 11, ... for 40 frames.
    (shown,) = network.seen
    assert shown.shape == (1, 3, 16, 224, 224)
    grey = (shown[0, 0, :, 0, 0] * 0.229 + 0.485) * 255 / 6
    assert grey.round().int().tolist()[:6] == [0, 3, 5, 8, 10, 13]


def test_a_short_clip_repeats_its_last_frame() -> None:
    frames = np.empty((3, 256, 256, 3), np.uint8)
    frames[:] = np.array([0, 60, 120], np.uint8)[:, None, None, None]
    network = Answers({})
    Action().look(network, clip_of(frames, 8.0), PROMPT)
    grey = (network.seen[0][0, 0, :, 0, 0] * 0.229 + 0.485) * 255
    assert grey.round().int().tolist() == [0, 60] + [120] * 14


def test_the_labels_are_the_400_names_of_kinetics() -> None:
    from torchvision.models.video import MViT_V2_S_Weights

    public = [name.lower() for name in MViT_V2_S_Weights.KINETICS400_V1.meta["categories"]]
    assert sorted(class_names()) == sorted(public)
    # Not in alphabetical order: that order would give wrong names.
    assert class_names()[:3] == ("riding a bike", "marching", "dodgeball")


def test_the_list_of_labels_is_built_from_the_official_table(tmp_path: Path) -> None:
    spec = find_spec("vbench")
    if spec is None:
        pytest.fail("vbench is not installed: run make setup")
    assert spec.submodule_search_locations
    table = Path(spec.submodule_search_locations[0]) / TABLE
    build(table, tmp_path / FILE)
    committed = Path(str(sys.modules[Action.__module__].__file__)).with_name(FILE)
    assert (tmp_path / FILE).read_bytes() == committed.read_bytes()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("marching\t0\n", "does not number 400"),
        ("".join(f"a{min(k, 398)}\t{k}\n" for k in range(400)), "does not number 400"),
        ("marching 0\n", "no table of numbered names"),
        ("marching\tone\n", "no table of numbered names"),
    ],
)
def test_a_wrong_table_of_labels_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "table").write_text(text)
    with pytest.raises(InputError, match=message):
        build(tmp_path / "table", tmp_path / "labels.json")
    assert not (tmp_path / "labels.json").exists()

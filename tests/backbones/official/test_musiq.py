"""MUSIQ: patches and blocks in closed form; tests/golden compares with the official numbers."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from turbo_eval.backbones.official.files import file_of
from turbo_eval.backbones.official.musiq import ImageQuality, layout, reduced
from turbo_eval.backbones.official.musiq_network import MUSIQ, Block, StdConv, pad_same
from turbo_eval.backbones.official.musiq_patches import Patches, cells, cut, multiscale
from turbo_eval.backbones.official.random_weights import make_state, random_state
from turbo_eval.core.errors import InputError, PrerequisiteError
from turbo_eval.core.records import Prompt
from turbo_eval.video.clip import clip_of

PROMPT = Prompt("0" * 16, "a star", (), {}, "test", 0)


@pytest.fixture(scope="module")
def small() -> MUSIQ:
    made = MUSIQ(width=24, layers=2, heads=3, inner=40).eval().requires_grad_(False)
    made.load_state_dict(random_state(made.state_dict(), 5))
    return made


def test_the_checkpoint_has_248_tensors_and_27_million_numbers() -> None:
    assert len(layout()) == 248
    assert sum(tensor.numel() for tensor in layout().values()) == 27_125_825


@given(st.integers(1, 200))
def test_cells_run_from_first_to_last_without_gaps(count: int) -> None:
    found = cells(count).tolist()
    assert found == [min(9, k * 10 // count) for k in range(count)]


def test_patches_are_cut_row_by_row_with_zeros_around() -> None:
    picture = torch.ones(1, 3, 33, 64) * torch.arange(1, 34.0)[None, None, :, None]
    patches, places = cut(picture)
    assert patches.shape == (1, 4, 3, 32, 32)
    # 31 missing rows: 15 above and 16 below.
    first, last = patches[0, 0, 0], patches[0, 3, 2]
    assert first[:, 0].tolist() == [0.0] * 15 + [float(k) for k in range(1, 18)]
    assert last[:, 31].tolist() == [float(k) for k in range(18, 34)] + [0.0] * 16
    assert places.tolist() == [0, 5, 50, 55]


def test_a_picture_is_seen_at_three_sizes() -> None:
    seen = multiscale(torch.full((2, 3, 320, 512), 0.75))
    counts = [5 * 7, 8 * 12, 10 * 16]
    assert seen.pixels.shape == (2, sum(counts), 3, 32, 32)
    assert seen.scales.bincount().tolist() == counts
    assert seen.places.shape == seen.scales.shape
    # 0.75 becomes 0.5; 224 x 140 leaves 20 rows of the first copy empty, 10 above.
    assert torch.allclose(seen.pixels[0, 0, 0, 10:], torch.tensor(0.5), atol=1e-5)
    assert not seen.pixels[0, 0, 0, :10].any()


@pytest.mark.parametrize(
    ("length", "kernel", "stride", "before", "after"),
    [(32, 7, 2, 2, 3), (16, 3, 2, 0, 1), (8, 3, 1, 1, 1), (8, 1, 1, 0, 0), (9, 3, 2, 1, 1)],
)
def test_same_padding_puts_what_is_odd_behind(
    length: int, kernel: int, stride: int, before: int, after: int
) -> None:
    padded = pad_same(torch.ones(1, 1, length, length), kernel, stride)
    row = [0.0] * before + [1.0] * length + [0.0] * after
    assert padded[0, 0, before].tolist() == row
    assert padded[0, 0, :, before].tolist() == row


def test_kernels_are_standardised_before_use() -> None:
    torch.manual_seed(0)
    conv = StdConv(3, 4, 3).requires_grad_(False)
    x = torch.randn(1, 3, 6, 6)
    before = conv(x)
    conv.weight.mul_(7).add_(3)
    assert torch.allclose(conv(x), before, atol=2e-3)
    weight = conv.weight[1]
    standard = (weight - weight.mean()) / (weight.std() + 1e-5)
    assert torch.allclose(conv(x)[0, 1], F.conv2d(x, standard[None], padding=1)[0, 0], atol=1e-5)


def test_wanting_one_token_gives_the_first_of_all() -> None:
    torch.manual_seed(1)
    block = Block(12, 3, 20).eval().requires_grad_(False)
    x = torch.randn(2, 7, 12)
    assert torch.allclose(block(x, wanted=1), block(x)[:, :1], atol=1e-6)


def test_patches_that_attention_ignores_change_nothing(small: MUSIQ) -> None:
    """The official program fills sequences up with patches masked at -1000."""
    encoder = small.transformer_encoder
    torch.manual_seed(2)
    tokens, places, scales = (
        torch.randn(1, 6, 24),
        torch.arange(6),
        torch.zeros(6, dtype=torch.long),
    )
    ours = encoder(tokens, places, scales)
    filled = torch.cat([tokens, torch.randn(1, 4, 24)], 1)
    where = torch.cat([places, places[:4] * 0])
    x = (
        filled
        + encoder.posembed_input.position_emb[0, where]
        + encoder.scaleembed_input.scale_emb[0]
    )
    x = torch.cat([encoder.cls, x], 1)
    keep = torch.arange(11) < 7
    mask = torch.where(keep[:, None] & keep, 0.0, -1e3)
    for block in encoder.transformer.values():
        assert isinstance(block, Block)
        attention = block.attention
        y = block.norm1(x)
        q, k, v = (
            layer(y).view(1, 11, 3, 8).transpose(1, 2)
            for layer in (attention.query, attention.key, attention.value)
        )
        weights = ((q @ k.transpose(2, 3)) / 8**0.5 + mask).softmax(-1)
        x = x + attention.out((weights @ v).transpose(1, 2).flatten(2))
        x = x + block.mlp(block.norm2(x))
    assert torch.allclose(ours, encoder.encoder_norm(x[:, 0]), atol=1e-5)


def test_pictures_of_a_batch_do_not_see_each_other(small: MUSIQ) -> None:
    torch.manual_seed(3)
    pictures = torch.rand(3, 3, 70, 100)
    single = torch.cat([small(multiscale(pictures[k : k + 1])) for k in range(3)])
    assert torch.allclose(small(multiscale(pictures)), single, atol=1e-5)
    assert single.std() > 1e-3


def test_places_and_scales_matter(small: MUSIQ) -> None:
    torch.manual_seed(4)
    seen = multiscale(torch.rand(1, 3, 70, 100))
    before = float(small(seen))
    moved = Patches(seen.pixels, seen.places.flip(0), seen.scales)
    other = Patches(seen.pixels, seen.places, 2 - seen.scales)
    assert abs(float(small(moved)) - before) > 1e-4
    assert abs(float(small(other)) - before) > 1e-4


@pytest.mark.parametrize(
    ("height", "width", "size"),
    [
        (320, 512, (320, 512)),
        (1080, 1920, (288, 512)),
        (854, 480, (512, 287)),
        (513, 513, (512, 512)),
    ],
)
def test_frames_are_reduced_to_a_longer_side_of_512(
    height: int, width: int, size: tuple[int, int]
) -> None:
    picture = reduced(np.full((height, width, 3), 51, np.uint8), "cpu")
    assert picture.shape == (1, 3, *size)
    assert torch.allclose(picture, torch.tensor(0.2))


def test_reducing_takes_single_pixels_without_smoothing() -> None:
    frame = np.zeros((4, 1536, 3), np.uint8)
    frame[:, 1::3] = 255
    # A third of the width: bilinear weights fall on the middle pixel of each three.
    assert reduced(frame, "cpu").unique().tolist() == [1.0]


class Counting(nn.Module):
    """Answers the mean brightness and counts the pictures of each call."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[int] = []

    def forward(self, patches: Patches) -> Tensor:
        self.calls.append(len(patches.pixels))
        whole = patches.pixels[:, patches.scales == 2]
        return (whole.mean((1, 2, 3, 4)) + 1) * 50


def test_every_frame_gets_a_score_in_order() -> None:
    frames = np.empty((19, 64, 96, 3), np.uint8)
    frames[:] = np.arange(19, dtype=np.uint8)[:, None, None, None] * 10
    network = Counting()
    scores = ImageQuality().look(network, clip_of(frames, 8.0), PROMPT)["scores"]
    assert network.calls == [8, 8, 3]
    assert scores.dtype == np.float32
    assert scores.tolist() == pytest.approx([k * 1000 / 255 for k in range(19)], abs=1e-3)


def test_a_strip_without_a_visible_side_is_refused() -> None:
    clip = clip_of(np.zeros((2, 2, 1000, 3), np.uint8), 8.0)
    with pytest.raises(InputError, match="1000 x 2 pixels"):
        ImageQuality().look(Counting(), clip, PROMPT)


def test_weights_of_another_network_are_refused() -> None:
    state = make_state(file_of("musiq"), 7)
    del state["head.weight"]
    with pytest.raises(PrerequisiteError, match=r"head\.weight"):
        ImageQuality().build(state)

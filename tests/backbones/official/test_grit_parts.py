"""GRiT's transformer and its text decoder against the formulas, written as plain loops."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from turbo_eval.backbones.official.grit.network import CAPTION, NAME
from turbo_eval.backbones.official.grit.text import END, LONGEST, Textual
from turbo_eval.backbones.official.grit.vitdet import Attention, Block, positions, relative


@pytest.fixture(autouse=True)
def _same_numbers_every_time() -> None:
    torch.manual_seed(0)


def _random(module: torch.nn.Module, seed: int = 0, std: float = 0.2) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.requires_grad_(False).normal_(std=std, generator=generator)


def _plain_attention(attention: Attention, x: Tensor) -> Tensor:
    """Scores one by one, from the formula."""
    height, width, channels = x.shape
    size = channels // attention.heads
    query, key, value = attention.qkv(x).view(height, width, 3, attention.heads, size).unbind(2)
    rows, columns = relative(attention.rel_pos_h, height), relative(attention.rel_pos_w, width)
    result = torch.zeros(height, width, attention.heads, size)
    for head in range(attention.heads):
        for r in range(height):
            for c in range(width):
                q = query[r, c, head]
                scores = torch.stack(
                    [
                        q @ key[i, j, head] / math.sqrt(size) + q @ rows[r, i] + q @ columns[c, j]
                        for i in range(height)
                        for j in range(width)
                    ]
                ).softmax(0)
                result[r, c, head] = scores @ value[:, :, head].reshape(-1, size)
    return result.reshape(height, width, channels)


@pytest.mark.parametrize("at_once", [1 << 24, 1])
def test_attention_is_the_formula(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("turbo_eval.backbones.official.grit.vitdet._SCORES_AT_ONCE", at_once)
    attention = Attention(8, 2, 4)
    _random(attention, std=0.5)
    x = torch.randn(2, 3, 5, 8)
    mixed = attention.mix(attention.qkv(x))
    for n in range(2):
        assert torch.allclose(mixed[n], _plain_attention(attention, x[n]), atol=1e-5)


def test_windows_are_filled_with_zero_patches_that_are_seen() -> None:
    block = Block(8, 2, 4, 3)
    _random(block, std=0.5)
    x = torch.randn(1, 4, 5, 8)
    filled = F.pad(block.norm1(x), (0, 0, 0, 1, 0, 2))
    expected = torch.zeros(6, 6, 8)
    for i in (0, 3):
        for j in (0, 3):
            window = filled[0, i : i + 3, j : j + 3]
            expected[i : i + 3, j : j + 3] = _plain_attention(block.attn, window)
    attended = x + block.attn.proj(expected[None, :4, :5])
    assert torch.allclose(block(x), attended + block.mlp(block.norm2(attended)), atol=1e-4)


def test_relative_vectors_depend_on_the_distance_and_stretch() -> None:
    table = torch.arange(7.0)[:, None]
    assert relative(table, 4)[:, :, 0].tolist() == [
        [3, 2, 1, 0], [4, 3, 2, 1], [5, 4, 3, 2], [6, 5, 4, 3],
    ]  # fmt: skip
    stretched = relative(table, 7)
    assert stretched.shape == (7, 7, 1)
    assert torch.all(stretched[:, :, 0].diff(dim=0) >= 0)
    assert stretched[0, 0] == pytest.approx(3.0)


def test_positions_drop_the_first_and_stretch() -> None:
    table = torch.cat([torch.full((1, 1, 2), 99.0), torch.randn(1, 9, 2)], dim=1)
    assert torch.equal(positions(table, 3, 3), table[:, 1:].view(1, 3, 3, 2))
    assert positions(table, 4, 6).shape == (1, 4, 6, 2)
    assert positions(table, 4, 6).abs().max() < 20


@pytest.fixture
def textual() -> Textual:
    made = Textual(seen=6, width=24, heads=2, inner=32, layers=3, words=150, positions=60).eval()
    _random(made, seed=5, std=0.4)
    made.output.bias[END] += 2.0
    return made


def _plain_next(textual: Textual, cells: Tensor, tokens: list[int]) -> Tensor:
    """Logits of the next word with everything computed anew under the full mask."""
    objects = textual.object_feature_projection(cells)
    places = torch.arange(len(tokens))
    embedding = textual.embedding
    words = embedding.layer_norm(embedding.words.weight[tokens] + embedding.positions(places))
    hidden = torch.cat([objects, words])[None]
    count = len(cells)
    mask = torch.ones(count + len(tokens), count + len(tokens), dtype=torch.bool).tril()
    mask[:count, :count] = True
    for layer in textual.layers:
        seen = layer.attention(hidden, layer.attention.keys_values(hidden), mask)
        hidden = layer.output(layer.intermediate(seen), seen)
    result: Tensor = textual.output(hidden[0, -1])
    return result


def test_texts_are_the_likeliest_words_one_after_the_other(textual: Textual) -> None:
    cells = torch.randn(5, 4, 6) * 2
    texts = textual.write(textual.read(cells), NAME)
    for n in range(5):
        tokens, total = [NAME], 0.0
        while len(tokens) < LONGEST and (len(tokens) == 1 or tokens[-1] != END):
            logits = _plain_next(textual, cells[n], tokens)
            if len(tokens) > 1:
                logits[tokens[-1]] = -10000
            gain, best = logits.log_softmax(0).max(0)
            tokens.append(int(best))
            total += float(gain)
        assert texts[n].tokens == tokens[1:]
        assert texts[n].chance == pytest.approx(total / (len(tokens) - 1), abs=1e-4)
    assert len({tuple(text.tokens) for text in texts}) > 1


def test_one_reading_serves_two_kinds_of_text(textual: Textual) -> None:
    cells = torch.randn(3, 4, 6) * 2
    kept = textual.read(cells)
    textual.write(kept, NAME)
    assert textual.write(kept, CAPTION) == textual.write(textual.read(cells), CAPTION)

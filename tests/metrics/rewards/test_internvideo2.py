"""InternVideo2 as a reward, on small random networks in the official file format."""

import math
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F
from transformers import BertConfig, BertModel

from turbo_eval.backbones.official.tag2text.wordpiece import SPECIAL, START, WORDS
from turbo_eval.core.errors import InputError, PrerequisiteError, UsageError
from turbo_eval.core.hashing import file_sha256
from turbo_eval.metrics.rewards import Reward, load
from turbo_eval.metrics.rewards.files import BERT_LARGE, INTERNVIDEO2
from turbo_eval.metrics.rewards.internvideo2 import InternVideo2Reward, tokens
from turbo_eval.metrics.rewards.internvideo2_network import (
    Attention,
    AttentionPool,
    Block,
    InternVideo2,
    PatchEmbed,
    Sizes,
    for_scoring,
    position_embedding,
    stretched,
)
from turbo_eval.metrics.rewards.preprocess import IMAGENET_MEAN, IMAGENET_STD
from turbo_train.rewards import video_score

SIZES = Sizes(
    size=28, width=32, layers=2, heads=2, hidden=40, pooled=12, text_width=24, text_layers=2,
    text_all=3, text_heads=2, text_hidden=48, out=10,
)  # fmt: skip
PROMPTS = ["A red star, spinning", "two cats on a roof"]
PIECES = ["a", "red", "star", ",", "spin", "##ning", "two", "cats", "on", "roof"]


def lines() -> list[str]:
    """A vocabulary as long as BERT's, with BERT's special words in their places."""
    names = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    words = [f"[unused{k}]" for k in range(WORDS)]
    for number, name in zip(SPECIAL, names, strict=True):
        words[number] = name
    words[2000 : 2000 + len(PIECES)] = PIECES
    return words


def vocabulary(folder: Path) -> Path:
    path = folder / "bert-large-uncased" / "vocab.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines()) + "\n", encoding="utf-8")
    return path


def random_network(sizes: Sizes = SIZES) -> InternVideo2:
    torch.manual_seed(3)
    network = InternVideo2(sizes).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return network


def training_only(sizes: Sizes = SIZES) -> dict[str, Tensor]:
    """What the published file holds beside a score's weights, by the published code's names."""
    width, text = sizes.width, sizes.text_width
    last = f"text_encoder.bert.encoder.layer.{sizes.text_layers}"
    return {
        "temp": torch.tensor(0.07),
        "itm_head.weight": torch.zeros(2, text),
        "itm_head.bias": torch.zeros(2),
        "vision_encoder.img_pos_embed": torch.zeros(1, 5, width),
        "vision_encoder.clip_pos_embed": torch.zeros(1, 17, width),
        "vision_encoder.clip_img_pos_embed": torch.zeros(1, 5, width),
        "vision_encoder.clip_decoder.0.head.weight": torch.zeros(9, width),
        "vision_encoder.clip_decoder.5.norm.bias": torch.zeros(9),
        "vision_encoder.final_clip_decoder.head.weight": torch.zeros(9, sizes.pooled),
        "text_encoder.cls.predictions.bias": torch.zeros(WORDS),
        "text_encoder.bert.embeddings.position_ids": torch.arange(sizes.positions)[None],
        f"{last}.attention.self.query.weight": torch.zeros(text, text),
        f"{last}.crossattention.self.key.weight": torch.zeros(text, width),
    }


def written(folder: Path, **how: Any) -> tuple[InternVideo2Reward, InternVideo2]:
    """The reward of a file, and the network that was written into it."""
    network = random_network()
    path = folder / INTERNVIDEO2.files[0]
    torch.save({"module": network.state_dict() | training_only(), "global_steps": 7}, path)
    return InternVideo2Reward(path, vocabulary(folder), sizes=SIZES, **how), network


def heads_of(x: Tensor, weight: Tensor, bias: Tensor | None, count: int) -> Tensor:
    """Projected [N, L, D] as [N, heads, L, D / heads]."""
    y = torch.einsum("nld,ed->nle", x, weight) + (0 if bias is None else bias)
    return torch.stack(y.chunk(count, -1), 1)


def attended(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Softmax attention, spelled out: [N, heads, L, D] to [N, L, heads * D]."""
    weights = torch.einsum("nhqd,nhkd->nhqk", q, k) / math.sqrt(q.shape[-1])
    weights = weights.exp() / weights.exp().sum(-1, keepdim=True)
    return torch.cat(torch.einsum("nhqk,nhkd->nhqd", weights, v).unbind(1), -1)


def root_mean_square(x: Tensor, weight: Tensor) -> Tensor:
    return x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * weight


def test_attention_normalises_queries_and_keys_over_all_heads() -> None:
    torch.manual_seed(0)
    mine = Attention(32, 4).double()
    for norm in (mine.q_norm, mine.k_norm):
        norm.weight.data.uniform_(0.5, 2)
    x = torch.randn(2, 7, 32, dtype=torch.float64)
    wq, wk, wv = mine.qkv.weight.split(32)
    q = root_mean_square(x @ wq.T, mine.q_norm.weight)
    k = root_mean_square(x @ wk.T, mine.k_norm.weight)
    each = [torch.stack(part.chunk(4, -1), 1) for part in (q, k, x @ wv.T)]
    expected = attended(*each) @ mine.proj.weight.T + mine.proj.bias
    torch.testing.assert_close(mine(x), expected)


def test_a_block_adds_two_scaled_branches() -> None:
    block = Block(SIZES).double()
    for scale in (block.ls1, block.ls2):
        scale.gamma.data.uniform_(-1, 1)
    x = torch.randn(2, 5, 32, dtype=torch.float64)
    y = x + block.ls1.gamma * block.attn(root_mean_square(x, block.norm1.weight))
    inner = root_mean_square(y, block.norm2.weight) @ block.mlp.fc1.weight.T + block.mlp.fc1.bias
    gelu = inner / 2 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (inner + 0.044715 * inner**3)))
    expected = y + block.ls2.gamma * (gelu @ block.mlp.fc2.weight.T + block.mlp.fc2.bias)
    torch.testing.assert_close(block(x), expected)
    assert Block(SIZES).ls1.gamma.tolist() == pytest.approx([1e-5] * 32)


def test_pooling_asks_with_the_mean_of_the_tokens() -> None:
    torch.manual_seed(0)
    pool = AttentionPool(32, 4, 12).double()
    with torch.no_grad():
        for parameter in pool.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    x, cross = torch.randn(3, 9, 32, dtype=torch.float64), pool.cross_attn
    normed = [
        F.layer_norm(part, (32,), norm.weight, norm.bias, 1e-5)
        for part, norm in (
            (x.sum(1, keepdim=True) / 9, pool.norm1_q), (x, pool.norm1_k), (x, pool.norm1_v),
        )
    ]  # fmt: skip
    q = heads_of(normed[0], cross.q.weight, cross.q_bias, 4)
    k = heads_of(normed[1], cross.k.weight, cross.k_bias, 4)
    v = heads_of(normed[2], cross.v.weight, cross.v_bias, 4)
    expected = attended(q, k, v)[:, 0] @ cross.proj.weight.T + cross.proj.bias
    torch.testing.assert_close(pool(x), expected)


def test_patches_are_those_of_the_three_dimensional_convolution() -> None:
    embed = PatchEmbed(8, 14)
    clips = torch.randn(2, 3, 3, 28, 28)
    volume = embed.proj(clips.transpose(1, 2))  # [N, D, T, 2, 2]
    torch.testing.assert_close(embed(clips), volume.flatten(2).transpose(1, 2))


def test_the_position_embedding_tells_time_then_column_then_row() -> None:
    found = position_embedding(32, 3, 2)
    assert found.shape == (1, 1 + 2 * 9, 32)
    assert not found[0, 0].any()
    for frame, row, column in ((0, 0, 0), (1, 0, 2), (0, 2, 1), (1, 2, 2)):
        expected = []
        for position, width in ((frame, 8), (column, 12), (row, 12)):
            turns = [position / 10000 ** (2 * k / width) for k in range(width // 2)]
            expected += [math.sin(a) for a in turns] + [math.cos(a) for a in turns]
        place = 1 + (frame * 3 + row) * 3 + column
        torch.testing.assert_close(found[0, place], torch.tensor(expected))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 6), st.integers(1, 12), st.integers(1, 3))
def test_positions_are_stretched_in_time_alone(trained: int, frames: int, side: int) -> None:
    rows = torch.randn(1, 1 + trained * side * side, 8)
    found = stretched(rows, trained, frames)
    torch.testing.assert_close(found[:, :1], rows[:, :1])
    volume = rows[0, 1:].view(trained, side, side, 8).permute(3, 0, 1, 2)[None]
    longer = F.interpolate(volume, (frames, side, side), mode="trilinear")
    torch.testing.assert_close(found[0, 1:], longer[0].permute(1, 2, 3, 0).reshape(-1, 8))


def test_four_frames_keep_the_positions_and_eight_lie_between() -> None:
    rows = torch.tensor([9.0, 0, 1, 2, 3])[None, :, None]
    assert torch.equal(stretched(rows, 4, 4), rows)
    expected = torch.tensor([9.0, 0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3])
    torch.testing.assert_close(stretched(rows, 4, 8)[0, :, 0], expected)


def test_a_text_passes_the_first_layers_of_bert_alone() -> None:
    network = random_network()
    whole = BertModel(
        BertConfig(
            vocab_size=WORDS, hidden_size=24, num_hidden_layers=3, num_attention_heads=2,
            intermediate_size=48, max_position_embeddings=512,
        ),
        add_pooling_layer=False,
    ).eval()  # fmt: skip
    whole.load_state_dict(network.text_encoder.bert.state_dict(), strict=False)
    numbers = torch.randint(1, WORDS, (2, 9))
    mask = torch.ones_like(numbers)
    mask[1, 5:] = 0
    states = whole(numbers, attention_mask=mask, output_hidden_states=True).hidden_states
    expected = network.text_proj(states[2][:, 0])
    torch.testing.assert_close(network.encode_text(numbers, mask), expected)
    # What stands behind the text is not seen.
    shorter = network.encode_text(numbers[1:, :5], mask[1:, :5])
    torch.testing.assert_close(shorter, expected[1:], rtol=1e-4, atol=1e-5)


def test_a_text_has_a_start_and_no_end(tmp_path: Path) -> None:
    reward, _ = written(tmp_path)
    numbers, mask = tokens(["A red star, spinning", "", "red " * 60], reward._words, 40)
    assert numbers.shape == mask.shape == (3, 40)
    assert numbers[0, :8].tolist() == [START, 2000, 2001, 2002, 2003, 2004, 2005, 0]
    assert mask.sum(1).tolist() == [7, 1, 40]
    assert numbers[2].tolist() == [START] + [2001] * 39


def test_the_score_is_the_cosine_behind_the_middle_window(tmp_path: Path) -> None:
    reward, network = written(tmp_path)
    clips = torch.rand(2, 16, 3, 28, 40)
    chosen = clips[:, ::2, :, :, 6:34]  # 12 columns of room; frames need no resizing.
    mean, std = (torch.tensor(v)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD))
    with torch.no_grad():
        seen = network.encode_video((chosen - mean) / std)
        said = network.encode_text(*tokens(PROMPTS, reward._words, 40))
    assert isinstance(reward, Reward)
    score = reward.score(clips, PROMPTS)
    torch.testing.assert_close(score, F.cosine_similarity(seen, said), rtol=1e-5, atol=1e-6)
    assert abs(float(score[0] - score[1])) > 1e-3
    # Order in time counts, so the positions were really stretched over eight frames.
    turned = reward.score(clips.flip(1).roll(1, 1), PROMPTS)
    assert float((turned - score).abs().max()) > 1e-6


@pytest.mark.parametrize(("length", "seen"), [(4, [0, 1, 2, 3]), (7, [0, 1, 2, 3])])
def test_a_short_clip_is_seen_with_four_frames(
    tmp_path: Path, length: int, seen: list[int]
) -> None:
    reward, network = written(tmp_path)
    clips = torch.rand(1, length, 3, 28, 28, requires_grad=True)
    score = reward.score(clips, PROMPTS[:1])
    score.sum().backward()
    assert clips.grad is not None
    touched = clips.grad.abs().sum((0, 2, 3, 4)) > 0
    assert touched.nonzero().flatten().tolist() == seen
    with torch.no_grad():
        looked = network.encode_video(reward.preprocess(clips[0, :4])[None])
        said = network.encode_text(*tokens(PROMPTS[:1], reward._words, 40))
    torch.testing.assert_close(score.detach(), F.cosine_similarity(looked, said))


def test_the_gradient_reaches_the_pixels_in_the_window_and_nothing_else(tmp_path: Path) -> None:
    reward, network = written(tmp_path)
    with torch.inference_mode():
        reward.score(torch.rand(1, 8, 3, 28, 40), PROMPTS[:1])  # As a metric does, before.
    clips = torch.rand(1, 16, 3, 28, 40, requires_grad=True)
    reward.score_through(clips, PROMPTS[:1], (0, 3)).sum().backward()
    assert clips.grad is not None
    touched = clips.grad.abs().sum((0, 2, 3)) > 0  # [16, 40]
    assert touched[::2, 3:31].all()
    assert int(touched.sum()) == 8 * 28
    assert all(p.grad is None and not p.requires_grad for p in reward.network.parameters())
    assert not reward.network.training
    # Blocks that are computed twice give the gradient of blocks that are kept.
    prepared = torch.randn(1, 8, 3, 28, 28, requires_grad=True)
    (twice,) = torch.autograd.grad(network.encode_video(prepared).sum(), prepared)
    x = network.vision_encoder.patch_embed(prepared)
    x = torch.cat([network.vision_encoder.cls_token, x], 1)
    x = x + stretched(network.vision_encoder.pos_embed, 4, 8)
    for block in network.vision_encoder.blocks:
        x = block(x)
    out = network.vision_proj(network.vision_encoder.clip_projector(x))
    (once,) = torch.autograd.grad(out.sum(), prepared)
    torch.testing.assert_close(twice, once)


def test_training_draws_the_window(tmp_path: Path) -> None:
    reward, _ = written(tmp_path)
    clips = torch.rand(1, 8, 3, 28, 60)
    drawn = {
        round(float(video_score(reward, clips, PROMPTS[:1], torch.Generator().manual_seed(k))), 6)
        for k in range(6)
    }
    assert len(drawn) > 3


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_casts_the_input_and_scores_in_float32(tmp_path: Path, dtype: str) -> None:
    clips = torch.rand(2, 8, 3, 28, 40)
    exact = written(tmp_path)[0].score(clips, PROMPTS)
    reward, _ = written(tmp_path, dtype=dtype)
    rough = reward.score(clips, PROMPTS)
    assert {p.dtype for p in reward.network.parameters()} == {getattr(torch, dtype)}
    assert rough.dtype is torch.float32
    torch.testing.assert_close(rough, exact, rtol=0, atol=0.05)


def test_info_holds_both_checksums(tmp_path: Path) -> None:
    reward, _ = written(tmp_path)
    info = reward.info
    path, words = tmp_path / INTERNVIDEO2.files[0], tmp_path / BERT_LARGE.files[0]
    assert info.weights == {path.name: file_sha256(path), "vocab.txt": file_sha256(words)}
    assert (info.id, info.kind, info.frames, info.size) == ("internvideo2", "video", 8, 28)


def test_what_training_alone_needs_is_left_out_and_nothing_else() -> None:
    network = random_network()
    state = network.state_dict()
    strange = {
        "temperature": torch.zeros(1),
        "vision_encoder.pos_embed_2": torch.zeros(1),
        "text_encoder.bert.pooler.dense.weight": torch.zeros(1),
        f"text_encoder.bert.encoder.layer.{SIZES.text_all}.output.dense.bias": torch.zeros(1),
    }
    kept = for_scoring(state | training_only() | strange, SIZES)
    assert kept.keys() == state.keys() | strange.keys()


def saved(path: Path, state: dict[str, Tensor]) -> InternVideo2Reward:
    torch.save({"module": state}, path)
    return InternVideo2Reward(path, path.parent / BERT_LARGE.files[0], sizes=SIZES)


def test_strict_loading_names_the_first_three_wrong_keys(tmp_path: Path) -> None:
    written(tmp_path)
    state = random_network().state_dict()
    clips = torch.rand(1, 8, 3, 28, 28)
    lost = [name for name in state if "clip_projector.cross_attn" in name]
    short = {name: value for name, value in state.items() if name not in lost}
    with pytest.raises(PrerequisiteError) as caught:
        saved(tmp_path / "short.pt", short).score(clips, PROMPTS[:1])
    text = str(caught.value)
    assert f"{len(lost)} missing" in text
    assert all(name in text for name in lost[:3])
    assert lost[3] not in text
    more = state | {"vision_encoder.blocks.2.ls1.gamma": torch.zeros(32)}
    with pytest.raises(PrerequisiteError, match=r"1 unknown.*blocks\.2\.ls1\.gamma"):
        saved(tmp_path / "more.pt", more).score(clips, PROMPTS[:1])
    # A file that was made for eight frames has another position embedding.
    eight = state | {"vision_encoder.pos_embed": torch.zeros(1, 33, 32)}
    with pytest.raises(PrerequisiteError, match=r"of another shape.*pos_embed"):
        saved(tmp_path / "eight.pt", eight).score(clips, PROMPTS[:1])
    torch.save({"model": state}, tmp_path / "bare.pt")
    bare = InternVideo2Reward(tmp_path / "bare.pt", tmp_path / BERT_LARGE.files[0], sizes=SIZES)
    with pytest.raises(PrerequisiteError, match="'module'"):
        bare.score(clips, PROMPTS[:1])


class _Bomb:
    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return (Path.touch, (Path("exploded"),))


def test_a_checkpoint_with_code_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reward, _ = written(tmp_path)
    monkeypatch.chdir(tmp_path)
    with (tmp_path / INTERNVIDEO2.files[0]).open("wb") as file:
        pickle.dump({"module": _Bomb()}, file)
    with pytest.raises(PrerequisiteError):
        reward.score(torch.rand(1, 8, 3, 28, 28), PROMPTS[:1])
    assert not (tmp_path / "exploded").exists()


def test_missing_files_are_named_with_their_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VBENCH_CACHE_DIR", str(tmp_path / "empty"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv("TURBO_EVAL_WEIGHTS_DIR", raising=False)
    mine = tmp_path / "mine"
    mine.mkdir()
    with pytest.raises(PrerequisiteError, match=r"InternVideo2-stage2_1b-224p-f4\.pt"):
        load("internvideo2", weights_dir=mine)
    (mine / INTERNVIDEO2.files[0]).touch()
    with pytest.raises(PrerequisiteError) as caught:
        load("internvideo2", weights_dir=mine)
    assert str(mine / "bert-large-uncased/vocab.txt") in str(caught.value)
    for name in BERT_LARGE.files:
        (mine / name).parent.mkdir()
        (mine / name).touch()
        assert load("internvideo2", weights_dir=mine).info.id == "internvideo2"
        (mine / name).unlink()


def test_bad_input(tmp_path: Path) -> None:
    reward, _ = written(tmp_path)
    with pytest.raises(InputError, match="too short"):
        reward.score(torch.rand(1, 3, 3, 28, 28), PROMPTS[:1])
    with pytest.raises(InputError, match="inside"):
        reward.score_through(torch.rand(1, 8, 3, 28, 28), PROMPTS[:1], (0, 1))
    with pytest.raises(UsageError, match="float9"):
        InternVideo2Reward(tmp_path / "x", tmp_path / "y", dtype="float9")
    (tmp_path / BERT_LARGE.files[0]).write_text("too\nshort\n", encoding="utf-8")
    with pytest.raises(PrerequisiteError, match="vocabulary"):
        reward.score(torch.rand(1, 8, 3, 28, 28), PROMPTS[:1])


def test_the_official_sizes() -> None:
    with torch.device("meta"):
        network = InternVideo2()
    # 40 blocks of (3 + 1) d^2 + 2 d h and their vectors, patches, positions and pooling.
    d, h, sizes = 1408, 6144, Sizes()
    block = 4 * d * d + 2 * d * h + (d + 4 * d + 2 * d) + h + d
    outside = d + 1025 * d + (3 * 14 * 14 * d + d)
    pool = 3 * d * d + 3 * d + 6 * d + d * 768 + 768
    assert sum(p.numel() for p in network.vision_encoder.parameters()) == (
        40 * block + outside + pool
    )
    names = network.state_dict()
    assert names["vision_encoder.pos_embed"].shape == (1, 1 + 4 * 16 * 16, d)
    assert names["text_encoder.bert.encoder.layer.18.output.dense.weight"].shape == (1024, 4096)
    assert "text_encoder.bert.encoder.layer.19.output.dense.weight" not in names
    assert names["text_proj.weight"].shape == (512, 1024)
    assert names["vision_proj.weight"].shape == (512, 768)
    assert h == round(d * 48 / 11)
    assert replace(sizes, size=56).side == 4

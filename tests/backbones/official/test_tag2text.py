"""Tag2Text in small: blocks against other code and closed forms, search against all texts."""

import itertools
from collections.abc import Callable
from importlib import import_module

import numpy as np
import pytest
import torch
from torch import Tensor

from turbo_eval.backbones.official.tag2text import captions as captions_module
from turbo_eval.backbones.official.tag2text.beams import Rules, search
from turbo_eval.backbones.official.tag2text.captions import captions, labels, tag_texts, tag_tokens
from turbo_eval.backbones.official.tag2text.judge import Scene, official_order, scaled
from turbo_eval.backbones.official.tag2text.network import TIES, Sizes, Tag2Text, Writing
from turbo_eval.backbones.official.tag2text.swin import Swin
from turbo_eval.backbones.official.tag2text.wordpiece import WordPieces
from turbo_eval.backbones.official.weights import load_strict
from turbo_eval.core.errors import PrerequisiteError
from turbo_eval.core.records import Prompt, unpack_text
from turbo_eval.video.clip import clip_of

SMALL = Sizes(
    image=32, channels=8, depths=(2, 2), swin_heads=(2, 2), window=4, width=24, heads=3,
    label_heads=2, inner=32, layers=3, label_layers=2, words=120, positions=48, labels=3429,
)  # fmt: skip
PIECES = [f"w{n}" for n in range(118)]


@pytest.fixture(autouse=True)
def _same_numbers_every_time() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def network() -> Tag2Text:
    torch.manual_seed(0)
    made = Tag2Text(SMALL).eval().requires_grad_(False)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return made


def test_the_swin_transformer_agrees_with_timm() -> None:
    swin_transformer = import_module("timm.models.swin_transformer")
    torch.manual_seed(1)
    ours = Swin(64, 16, (2, 4), (2, 4), 4).eval()
    for parameter in ours.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    theirs = swin_transformer.SwinTransformer(
        img_size=64, patch_size=4, embed_dim=16, depths=(2, 4), num_heads=(2, 4), window_size=4,
        num_classes=0,
    ).eval()  # fmt: skip
    renamed = {
        k.replace("layers.0.downsample", "layers.1.downsample"): v
        for k, v in ours.state_dict().items()
    }
    missing, unexpected = theirs.load_state_dict(renamed, strict=False)
    assert not unexpected
    assert all("relative_position_index" in k or "attn_mask" in k for k in missing)
    pictures = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        tokens = ours(pictures)
        expected = theirs.forward_features(pictures).flatten(1, 2)
    assert torch.allclose(tokens[:, 1:], expected, atol=1e-4)
    assert torch.allclose(tokens[:, 0], expected.mean(dim=1), atol=1e-4)


def test_shared_weights_are_one_tensor_under_two_names(network: Tag2Text) -> None:
    state = network.state_dict(keep_vars=True)
    for second, first in TIES.items():
        assert state[second] is state[first]
    for name, tensor in state.items():
        if name.startswith("vision_multi."):
            assert tensor is state[name.replace("vision_multi", "tag_encoder")]
    assert not any("position_index" in name or "attn_mask" in name for name in state)


def test_labels_look_at_the_picture_only(network: Tag2Text) -> None:
    # Without attention among labels, the logit of one label cannot depend on another label.
    seen = torch.randn(1, 5, SMALL.seen)
    before = network.tag_logits(seen)
    row = network.label_embed.weight[7].clone()
    network.label_embed.weight[7] = 3.0
    after = network.tag_logits(seen)
    network.label_embed.weight[7] = row
    changed = (before - after).abs()[0] > 1e-6
    assert changed.nonzero().flatten().tolist() == [7]


def test_padding_of_tags_changes_nothing_that_counts(network: Tag2Text) -> None:
    seen = torch.randn(1, 5, SMALL.seen)
    short = torch.tensor([[5, 6, 7]])
    long = torch.tensor([[5, 6, 7, 9, 9]])
    mask = torch.tensor([[True, True, True, False, False]])
    alone = network.memory(short, torch.ones_like(short, dtype=torch.bool), seen)
    padded = network.memory(long, mask, seen)
    assert torch.allclose(alone, padded[:, :3], atol=1e-5)


def test_kept_keys_and_values_give_what_reading_from_the_start_gives(network: Tag2Text) -> None:
    memory = torch.randn(2, 6, SMALL.width)
    texts = torch.randint(0, SMALL.words, (2, 7))
    whole = Writing(network.text_decoder, memory).advance(texts, torch.arange(2))
    writing = Writing(network.text_decoder, memory)
    writing.advance(texts[:, :3], torch.arange(2))
    for place in range(3, 7):
        stepwise = writing.advance(texts[:, place : place + 1], torch.arange(2))
    assert torch.allclose(whole, stepwise, atol=1e-4)


def test_rows_follow_the_row_that_they_continue(network: Tag2Text) -> None:
    memory = torch.randn(3, 6, SMALL.width)
    writing = Writing(network.text_decoder, memory)
    writing.advance(torch.tensor([[4, 5]] * 3), torch.arange(3))
    # Two rows a text, then the middle text is finished and the last one's rows change places.
    writing.advance(torch.tensor([[n] for n in range(6)]), torch.tensor([0, 0, 1, 1, 2, 2]))
    got = writing.advance(torch.tensor([[7], [8], [7], [8]]), torch.tensor([0, 1, 5, 4]))
    for row, (text, tokens) in enumerate(
        [(0, [4, 5, 0, 7]), (0, [4, 5, 1, 8]), (2, [4, 5, 5, 7]), (2, [4, 5, 4, 8])]
    ):
        fresh = Writing(network.text_decoder, memory[text : text + 1])
        expected = fresh.advance(torch.tensor([tokens]), torch.arange(1))
        assert torch.allclose(got[row], expected[0], atol=1e-4)


def _markov(table: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda tokens, rows: table[tokens[:, -1]]


@pytest.mark.parametrize("seed", range(8))
def test_a_wide_search_finds_the_best_of_all_texts(seed: int) -> None:
    words, longest, shortest, end = 4, 5, 3, 3
    table = torch.randn(words, words, generator=torch.Generator().manual_seed(seed)) * 2
    gain = table.log_softmax(dim=-1)
    # So many beams follow every text, and nothing is finished before all are written.
    rules = Rules(beams=3**4, shortest=shortest, longest=longest, end=end)
    ratings: dict[tuple[int, ...], float] = {}
    for length in range(shortest - 1, longest):
        for rest in itertools.product(range(3), repeat=length):
            text = (0, *rest)
            total = sum(float(gain[a, b]) for a, b in itertools.pairwise(text))
            if len(text) < longest:
                total += float(gain[text[-1], end])
            ratings[text] = total / len(text)
    # More words than beams are needed, and these never come.
    padded = torch.full((200, 200), -1e4)
    padded[:words, :words] = gain
    (found,) = search(_markov(padded), [0], 1, rules)
    # Texts with the same pairs of words rate the same, so the text itself may differ.
    assert ratings[tuple(found)] == pytest.approx(max(ratings.values()), abs=1e-5)


def test_a_text_does_not_end_before_its_shortest_length() -> None:
    table = torch.zeros(10, 10)
    table[:, 9] = 20.0
    rules = Rules(beams=3, shortest=6, longest=9, end=9)
    assert [len(t) for t in search(_markov(table), [1, 2], 2, rules)] == [6, 6]


def test_texts_that_end_early_leave_the_others_alone() -> None:
    torch.manual_seed(3)
    quick = torch.randn(12, 12)
    quick[:, 11] += 6
    slow = torch.randn(12, 12)
    slow[:, 11] -= 6
    rules = Rules(beams=3, shortest=4, longest=12, end=11)

    text_of_row = [torch.tensor([0, 1])]

    def both(tokens: Tensor, rows: Tensor) -> Tensor:
        text_of_row.append(text_of_row[-1][rows])
        return torch.stack([quick, slow])[text_of_row[-1], tokens[:, -1]]

    together = search(both, [0], 2, rules)
    assert together == [
        search(_markov(quick), [0], 1, rules)[0], search(_markov(slow), [0], 1, rules)[0],
    ]  # fmt: skip
    assert len(together[0]) < len(together[1]) == rules.longest


def test_sure_tags_are_joined_and_silent_ones_left_out() -> None:
    names = labels()
    assert len(names) == 3429
    assert names[0] == "tennis"
    logits = torch.full((2, 3429), -5.0)
    logits[0, [0, 3, 127]] = torch.tensor([0.9, 0.8, 4.0])
    # sigmoid(0.8473) is just above 0.7, sigmoid(0.8472) just below.
    logits[0, 3], logits[0, 5] = 0.8473, 0.8472
    assert tag_texts(logits, names) == [f"{names[0]} | {names[3]}", ""]


def test_tags_are_cut_and_padded_to_forty_tokens() -> None:
    vocabulary = ["[PAD]", *(f"u{n}" for n in range(1, 100)), "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = WordPieces([*vocabulary, "boat", "|"])
    none, some, many = tag_tokens(["", "Boat | boat", " | ".join(["boat"] * 60)], words)
    assert none.tolist() == [30523, 102] + [0] * 38
    assert some.tolist() == [30523, 104, 105, 104, 102] + [0] * 35
    assert many.tolist() == [30523, *[104, 105] * 19, 102]


def test_the_official_order_reads_six_of_sixteen_frames() -> None:
    assert official_order() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5]


def _patched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    looked: list[int] = []

    def spoken(
        network: Tag2Text, words: WordPieces, frames: Tensor, *, at_once: int = 2
    ) -> list[str]:
        looked.append(len(frames))
        return [f"a picture of {int(frame[0, 0, 0])}" for frame in frames]

    monkeypatch.setattr("turbo_eval.backbones.official.tag2text.judge.captions", spoken)
    return looked


@pytest.mark.parametrize(("mixed", "looks"), [(True, 6), (False, 16)])
def test_each_sample_gets_the_caption_of_its_memory(
    network: Tag2Text, monkeypatch: pytest.MonkeyPatch, mixed: bool, looks: int
) -> None:
    looked = _patched(monkeypatch)
    judge = Scene(mixed=mixed)
    monkeypatch.setattr(judge, "network", lambda: network)
    judge.words = WordPieces([])
    frames = np.arange(16, dtype=np.uint8)[:, None, None, None] + np.zeros((1, 8, 8, 3), np.uint8)
    features = judge.extract(clip_of(frames, 8.0), Prompt("0" * 16, "x", (), {}, "s", 0))
    order = official_order() if mixed else range(16)
    assert unpack_text(features["captions"]) == [f"a picture of {k}" for k in order]
    assert looked == [looks]


def test_a_repeated_frame_is_looked_at_once(
    network: Tag2Text, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = _patched(monkeypatch)
    judge = Scene(mixed=False)
    monkeypatch.setattr(judge, "network", lambda: network)
    judge.words = WordPieces([])
    frames = np.zeros((3, 8, 8, 3), np.uint8)
    judge.extract(clip_of(frames, 8.0), Prompt("0" * 16, "x", (), {}, "s", 0))
    assert looked == [3]


def test_frames_that_never_were_a_file_are_resized_by_pillow() -> None:
    frames = np.full((2, 5, 9, 3), 70, np.uint8)
    assert np.array_equal(
        scaled(clip_of(frames, 8.0), [0, 1], 32), np.full((2, 32, 32, 3), 70, np.uint8)
    )


def test_batches_do_not_change_captions(network: Tag2Text, monkeypatch: pytest.MonkeyPatch) -> None:
    words = WordPieces(
        ["[PAD]", *PIECES[1:100], "[UNK]", "[CLS]", "[SEP]", "[MASK]", *PIECES[104:]]
    )
    monkeypatch.setattr(captions_module, "DECODE", 118)
    monkeypatch.setattr(captions_module, "ENCODE", 119)
    frames = torch.randint(0, 256, (3, 32, 32, 3), dtype=torch.uint8)
    together = captions(network, words, frames, at_once=3)
    single = [captions(network, words, frame[None])[0] for frame in frames]
    assert together == single
    assert all(together)


def test_weights_of_another_network_are_refused(network: Tag2Text) -> None:
    state = dict(network.state_dict())
    del state["fc.W"]
    with pytest.raises(PrerequisiteError, match=r"1 missing \(fc\.W\)"):
        load_strict(Tag2Text(SMALL), state, "tag2text_swin_14m.pth")


def test_a_judge_fills_names_that_a_saver_left_out(
    network: Tag2Text, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "turbo_eval.backbones.official.tag2text.judge.Tag2Text", lambda: Tag2Text(SMALL)
    )
    monkeypatch.setattr(
        "turbo_eval.backbones.official.tag2text.judge.find_vocabulary", lambda folder: folder
    )
    monkeypatch.setattr(
        "turbo_eval.backbones.official.tag2text.judge.read_words", lambda path: WordPieces([])
    )
    state = dict(network.state_dict())
    for second in TIES:
        del state[second]
    state["visual_encoder.layers.0.blocks.1.attn_mask"] = torch.zeros(1)
    built = Scene().build(state)
    assert isinstance(built, Tag2Text)
    pictures = torch.randn(1, 3, 32, 32)
    assert torch.equal(built.look(pictures), network.look(pictures))
    memory = torch.randn(1, 4, SMALL.width)
    tokens = torch.tensor([[3, 4]])
    ours, theirs = (
        Writing(n.text_decoder, memory).advance(tokens, torch.arange(1)) for n in (built, network)
    )
    assert torch.equal(ours, theirs)

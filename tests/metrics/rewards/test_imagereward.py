"""ImageReward on small random networks in the official file format, against transformers' BLIP."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import BlipTextConfig, BlipVisionConfig
from transformers.models.blip.modeling_blip import BlipVisionModel
from transformers.models.blip.modeling_blip_text import BlipTextModel

from turbo_eval.backbones.official.tag2text.wordpiece import END, START, WORDS, WordPieces
from turbo_eval.core.errors import InputError, PrerequisiteError, UsageError
from turbo_eval.core.hashing import file_sha256
from turbo_eval.metrics.rewards import Reward, load
from turbo_eval.metrics.rewards.files import IMAGEREWARD
from turbo_eval.metrics.rewards.imagereward import ImageRewardReward, squash, tokens
from turbo_eval.metrics.rewards.imagereward_network import MEAN, POSITIONS, STD, ImageReward, Sizes
from turbo_eval.metrics.rewards.preprocess import CLIP_MEAN, CLIP_STD

SIZES = Sizes(
    image=32, patch=8, seen=32, blocks=2, seen_heads=2,
    width=24, heads=2, inner=48, layers=3, positions=64, tokens=9,
)  # fmt: skip
PROMPTS = ["a red cat", "two", "a red cat on a roof on a roof"]
SPECIAL = {0: "[PAD]", 100: "[UNK]", START: "[CLS]", END: "[SEP]", 103: "[MASK]"}
KNOWN = {2000 + i: word for i, word in enumerate(["a", "red", "cat", "two", "on", "roof"])}


def pieces() -> list[str]:
    """A vocabulary as long as BERT's, with BERT's special words in their places."""
    return [(SPECIAL | KNOWN).get(number, f"[u{number}]") for number in range(WORDS)]


def vocabulary(folder: Path) -> Path:
    path = folder / "bert-base-uncased" / "vocab.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(pieces()) + "\n", encoding="utf-8")
    return path


def shaken(module: nn.Module) -> Any:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return module.eval()


def theirs() -> tuple[Any, Any, Any]:
    """Picture encoder and text encoder as transformers has them, and the head."""
    torch.manual_seed(4)
    vision = BlipVisionConfig(
        hidden_size=SIZES.seen, intermediate_size=4 * SIZES.seen, num_hidden_layers=SIZES.blocks,
        num_attention_heads=SIZES.seen_heads, image_size=SIZES.image, patch_size=SIZES.patch,
        hidden_act="gelu", layer_norm_eps=1e-6, attn_implementation="eager",
    )  # fmt: skip
    text = BlipTextConfig(
        vocab_size=SIZES.words, hidden_size=SIZES.width, encoder_hidden_size=SIZES.seen,
        intermediate_size=SIZES.inner, num_hidden_layers=SIZES.layers,
        num_attention_heads=SIZES.heads, max_position_embeddings=SIZES.positions,
        hidden_act="gelu", layer_norm_eps=1e-12, attn_implementation="eager",
    )  # fmt: skip
    widths = (SIZES.width, 1024, 128, 64, 16, 1)
    head = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths, widths[1:], strict=False))
    return (
        shaken(BlipVisionModel(vision)),
        shaken(BlipTextModel(text, add_pooling_layer=False)),
        shaken(head),
    )


RENAMED = (
    ("embeddings.class_embedding", "cls_token"),
    ("embeddings.position_embedding", "pos_embed"),
    ("embeddings.patch_embedding", "patch_embed.proj"),
    ("encoder.layers.", "blocks."),
    ("self_attn.qkv", "attn.qkv"),
    ("self_attn.projection", "attn.proj"),
    ("layer_norm", "norm"),
    ("post_layernorm", "norm"),
)


def official_state(vision: nn.Module, text: nn.Module, head: nn.Module) -> dict[str, Tensor]:
    """The networks' weights under the names of the released file, its unused parts too."""
    state: dict[str, Tensor] = {}
    for name, tensor in vision.state_dict().items():
        for old, new in RENAMED:
            name = name.replace(old, new)
        state[f"blip.visual_encoder.{name}"] = tensor
    state |= {f"blip.text_encoder.{n}": t for n, t in text.state_dict().items()}
    state[POSITIONS] = torch.arange(SIZES.positions)[None]
    for name, tensor in head.state_dict().items():
        place, _, kind = name.partition(".")
        state[f"mlp.layers.{(0, 2, 4, 6, 7)[int(place)]}.{kind}"] = tensor
    for name, width in (("vision_proj", SIZES.seen), ("text_proj", SIZES.width)):
        state[f"blip.{name}.weight"] = torch.randn(256, width)
        state[f"blip.{name}.bias"] = torch.randn(256)
    return {name: tensor.detach().clone() for name, tensor in state.items()}


def reward_of(state: dict[str, Tensor], folder: Path, **how: Any) -> ImageRewardReward:
    path = folder / IMAGEREWARD.files[0]
    torch.save(state, path)
    return ImageRewardReward(path, vocabulary(folder), sizes=SIZES, **how)


def test_equal_to_an_independent_blip(tmp_path: Path) -> None:
    vision, text, head = theirs()
    reward = reward_of(official_state(vision, text, head), tmp_path)
    assert isinstance(reward, Reward)
    frames = torch.rand(3, 3, 32, 40)
    mean, std = (torch.tensor(v)[:, None, None] for v in (CLIP_MEAN, CLIP_STD))
    numbers, mask = tokens(PROMPTS, WordPieces(pieces()), SIZES.tokens)
    with torch.no_grad():
        seen = vision(pixel_values=(frames[..., 4:36] - mean) / std).last_hidden_state
        read = text(
            input_ids=numbers,
            attention_mask=mask.long(),
            encoder_hidden_states=seen,
            encoder_attention_mask=torch.ones(seen.shape[:2]),
            is_decoder=False,
        ).last_hidden_state[:, 0]
        for layer in head:
            read = layer(read)
        wanted = (read[:, 0] - 0.16717362830052426) / 1.0333394966054072
        rated = reward.rate(frames, PROMPTS)
        torch.testing.assert_close(rated, wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))
        # Otherwise the test would not tell whether picture and prompt are read at all.
        assert float((rated[0] - rated[1]).abs()) > 1e-2
        same = reward.rate(frames[:1].expand(2, -1, -1, -1), PROMPTS[:2])
        assert float((same[0] - same[1]).abs()) > 1e-3
        torch.testing.assert_close(reward.score(frames, PROMPTS), rated.clamp(max=2) - 2)


def test_nothing_is_gained_above_two() -> None:
    scores = torch.tensor([-1.0, 1.5, 2.0, 7.0], requires_grad=True)
    reward = squash(scores)
    torch.testing.assert_close(reward, torch.tensor([-3.0, -0.5, 0.0, 0.0]))
    reward.sum().backward()
    assert scores.grad is not None
    assert scores.grad.tolist()[:2] == [1.0, 1.0]
    assert scores.grad.tolist()[3] == 0.0
    assert torch.isnan(squash(torch.tensor(torch.nan)))


def test_prompts_are_cut_and_padded_with_both_ends() -> None:
    numbers, mask = tokens(PROMPTS, WordPieces(pieces()), 6)
    a, red, cat, two, on, _ = KNOWN
    assert numbers.tolist() == [
        [START, a, red, cat, END, 0],
        [START, two, END, 0, 0, 0],
        [START, a, red, cat, on, END],
    ]
    assert mask.sum(1).tolist() == [5, 3, 6]
    assert mask[1].tolist() == [True] * 3 + [False] * 3


def test_padding_changes_no_score(tmp_path: Path) -> None:
    network = shaken(ImageReward(SIZES))
    pictures = torch.rand(1, 3, 32, 32)
    numbers, mask = tokens(["two"], WordPieces(pieces()), 9)
    with torch.no_grad():
        torch.testing.assert_close(
            network(pictures, numbers, mask), network(pictures, numbers[:, :3], mask[:, :3])
        )


def test_the_gradient_reaches_the_pixels_and_no_weight(tmp_path: Path) -> None:
    reward = reward_of(official_state(*theirs()), tmp_path)
    frames = torch.rand(1, 3, 32, 40)
    moved = frames.clone().requires_grad_()
    reward.rate(moved, PROMPTS[:1]).sum().backward()
    assert moved.grad is not None
    # The sides are cut off.
    assert moved.grad[..., :4].abs().max() == moved.grad[..., 36:].abs().max() == 0
    assert not any(p.requires_grad for p in reward.network.parameters())
    # Along the gradient the score changes as the gradient says.
    step = 1e-2 / float(moved.grad.norm())
    with torch.no_grad():
        up = reward.rate(frames + step * moved.grad, PROMPTS[:1])
        down = reward.rate(frames - step * moved.grad, PROMPTS[:1])
    slope = float(up - down) / (2 * step)
    assert slope == pytest.approx(float(moved.grad.square().sum()), rel=2e-2)


def test_frames_are_looked_at_as_the_official_program_does(tmp_path: Path) -> None:
    reward = reward_of(official_state(*theirs()), tmp_path)
    assert reward.preprocess(torch.rand(2, 3, 64, 97)).shape == (2, 3, 32, 32)
    mean, std = (torch.tensor(v)[:, None, None] for v in (CLIP_MEAN, CLIP_STD))
    frames = torch.rand(1, 3, 32, 33)
    # round(0.5) is 0: the left column stays.
    torch.testing.assert_close(reward.preprocess(frames), (frames[..., :32] - mean) / std)


def test_half_precision_is_near(tmp_path: Path) -> None:
    state = official_state(*theirs())
    frames = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        exact = reward_of(state, tmp_path).rate(frames, PROMPTS[:2])
        near = reward_of(state, tmp_path, dtype="bfloat16").rate(frames, PROMPTS[:2])
    assert near.dtype == torch.float32
    torch.testing.assert_close(near, exact, rtol=0.1, atol=0.1 * float(exact.abs().max()))
    with pytest.raises(UsageError, match="float31"):
        reward_of(state, tmp_path, dtype="float31")


def test_facts(tmp_path: Path) -> None:
    reward = reward_of(official_state(*theirs()), tmp_path)
    info = reward.info
    assert (info.id, info.kind, info.high) == ("imagereward", "image", 0.0)
    assert info.low == -float("inf")
    assert info.weights == {
        "ImageReward.pt": file_sha256(tmp_path / "ImageReward.pt"),
        "vocab.txt": file_sha256(vocabulary(tmp_path)),
    }
    assert (MEAN, STD) == (0.16717362830052426, 1.0333394966054072)


def test_the_released_sizes() -> None:
    with torch.device("meta"):
        state = ImageReward(Sizes()).state_dict()
    assert state["blip.visual_encoder.pos_embed"].shape == (1, 197, 1024)
    assert state["blip.visual_encoder.patch_embed.proj.weight"].shape == (1024, 3, 16, 16)
    assert state["blip.visual_encoder.blocks.23.attn.qkv.bias"].shape == (3072,)
    assert state["blip.text_encoder.embeddings.word_embeddings.weight"].shape == (30524, 768)
    layer = "blip.text_encoder.encoder.layer.11."
    assert state[f"{layer}crossattention.self.key.weight"].shape == (768, 1024)
    assert state[f"{layer}attention.output.LayerNorm.weight"].shape == (768,)
    assert state["mlp.layers.0.weight"].shape == (1024, 768)
    assert state["mlp.layers.7.weight"].shape == (1, 16)
    vision = sum(t.numel() for n, t in state.items() if n.startswith("blip.visual_encoder."))
    # ViT-L/16 without its classes.
    assert vision == 303_301_632


def test_another_network_is_refused_with_three_names(tmp_path: Path) -> None:
    state = official_state(*theirs())
    kept = {n: t for n, t in state.items() if ".blocks.1." not in n}
    with pytest.raises(PrerequisiteError, match=r"12 missing") as caught:
        _ = reward_of(kept, tmp_path).network
    assert len(re.findall(r"blip\.visual_encoder\.blocks\.1\.", str(caught.value))) == 3
    with pytest.raises(PrerequisiteError, match=r"1 unknown \(mlp.layers.9.bias\)"):
        _ = reward_of(state | {"mlp.layers.9.bias": torch.zeros(1)}, tmp_path).network
    with pytest.raises(PrerequisiteError, match=r"1 of another shape \(mlp.layers.7.bias\)"):
        _ = reward_of(state | {"mlp.layers.7.bias": torch.zeros(2)}, tmp_path).network


def test_the_constant_table_may_be_absent(tmp_path: Path) -> None:
    state = official_state(*theirs())
    frames = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        whole = reward_of(state, tmp_path).score(frames, ["two"])
        del state[POSITIONS]
        torch.testing.assert_close(reward_of(state, tmp_path).score(frames, ["two"]), whole)


def test_code_in_a_file_does_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "ran",)

    torch.save({"mlp": Evil()}, tmp_path / "ImageReward.pt")
    reward = ImageRewardReward(tmp_path / "ImageReward.pt", vocabulary(tmp_path), sizes=SIZES)
    with pytest.raises(PrerequisiteError):
        _ = reward.network
    assert not (tmp_path / "ran").exists()


def test_missing_files_say_where_they_belong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_HUB_CACHE", "VBENCH_CACHE_DIR", "TURBO_EVAL_WEIGHTS_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    with pytest.raises(PrerequisiteError, match=r"ImageReward.pt \(1.8 GB\)") as caught:
        load("imagereward", weights_dir=tmp_path)
    assert str(tmp_path / "ImageReward.pt") in str(caught.value)
    (tmp_path / "ImageReward.pt").write_bytes(b"")
    with pytest.raises(PrerequisiteError, match=r"bert-base-uncased/vocab.txt"):
        load("imagereward", weights_dir=tmp_path)
    vocabulary(tmp_path)
    assert load("imagereward", weights_dir=tmp_path).info.id == "imagereward"


def test_wrong_frames_and_broken_numbers_are_refused(tmp_path: Path) -> None:
    reward = reward_of(official_state(*theirs()), tmp_path)
    with pytest.raises(InputError, match="cannot look at"):
        reward.score(torch.rand(1, 2, 3, 32, 32), ["two"])
    with pytest.raises(InputError, match="2 prompts for 1 images"):
        reward.score(torch.rand(1, 3, 32, 32), ["two", "a"])
    with pytest.raises(InputError, match="the frames hold NaN"):
        reward.score(torch.full((1, 3, 32, 32), torch.nan), ["two"])

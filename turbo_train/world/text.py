"""Recipe: the mini world's tokenizer and text encoder (a small CLIP text model).

The encoder is trained to say which facts a caption states. That is all a text encoder has to know
in this world, and it lets the diffusion model spend its steps on pictures.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from turbo_train.world.facts import ACTIONS, CAMERAS, COLORS, RELATIONS, SCENES, SHAPES, STYLES
from turbo_train.world.fit import Plan, Progress, fit
from turbo_train.world.stream import Item, item

LENGTH = 32
WIDTH = 128
BATCH = 64
START, END = "<|startoftext|>", "<|endoftext|>"
FACTS: dict[str, tuple[str, ...]] = {
    "shape": SHAPES,
    "shape_2": SHAPES,
    "color": COLORS,
    "color_2": COLORS,
    "action": ACTIONS,
    "scene": SCENES,
    "style": STYLES,
    "camera": CAMERAS,
    "relation": RELATIONS,
}


def stated(entry: Item) -> dict[str, str]:
    """The facts that the caption of `entry` states, by the keys of `FACTS`."""
    scene, said = entry.scene, entry.said
    facts: dict[str, str] = {}
    if said.sprites:
        for suffix, sprite in zip(("", "_2"), scene.sprites, strict=False):
            facts["shape" + suffix] = sprite.shape
            if said.colors:
                facts["color" + suffix] = sprite.color
        if said.action:
            facts["action"] = scene.action
        if said.relation and scene.relation:
            facts["relation"] = scene.relation
    for key in ("scene", "style", "camera"):
        if getattr(said, key):
            facts[key] = getattr(scene, key)
    return facts


def targets(entries: Sequence[Item]) -> dict[str, Tensor]:
    """Class indices [N] of each fact; the last class means that the caption does not say."""
    found = [stated(entry) for entry in entries]
    return {
        key: torch.tensor([options.index(f[key]) if key in f else len(options) for f in found])
        for key, options in FACTS.items()
    }


def build_tokenizer(seed: int, captions: int = 4000) -> CLIPTokenizer:
    """A CLIP tokenizer with merges from captions of the world; any other text still encodes."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trained = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    trained.normalizer = normalizers.Lowercase()
    trained.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=1200, initial_alphabet=alphabet, end_of_word_suffix="</w>", show_progress=False
    )
    trained.train_from_iterator((item(seed, k).caption for k in range(captions)), trainer)
    import json

    merges = [tuple(pair) for pair in json.loads(trained.to_str())["model"]["merges"]]
    words = alphabet + [letter + "</w>" for letter in alphabet]
    words += ["".join(pair) for pair in merges if "".join(pair) not in set(words)]
    words = list(dict.fromkeys(words)) + [START, END]
    return CLIPTokenizer(
        vocab={word: k for k, word in enumerate(words)},
        merges=merges,
        model_max_length=LENGTH,
    )


def build_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """The untrained text encoder: three layers of width 128 over 32 tokens."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=WIDTH * 4,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=LENGTH,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def encode(tokenizer: CLIPTokenizer, encoder: nn.Module, texts: Sequence[str]) -> Tensor:
    """Hidden states [N, 32, 128] of `texts`, padded and truncated to 32 tokens."""
    ids = tokenizer(
        list(texts), padding="max_length", max_length=LENGTH, truncation=True, return_tensors="pt"
    ).input_ids
    device = next(encoder.parameters()).device
    return encoder(ids.to(device)).last_hidden_state  # type: ignore[no-any-return]


class FactReader(nn.Module):
    """The text encoder with one linear head a fact, read from the last position."""

    def __init__(self, encoder: CLIPTextModel) -> None:
        super().__init__()
        self.encoder = encoder
        self.heads = nn.ModuleDict(
            {key: nn.Linear(WIDTH, len(options) + 1) for key, options in FACTS.items()}
        )

    def forward(self, hidden: Tensor) -> dict[str, Tensor]:
        """Logits [N, classes] of each fact from hidden states [N, 32, 128]."""
        return {key: head(hidden[:, -1]) for key, head in self.heads.items()}


@torch.no_grad()
def measure(reader: FactReader, tokenizer: CLIPTokenizer, seed: int = 990_002) -> dict[str, float]:
    """Share of held-out captions whose every stated and unstated fact is read right."""
    entries = [item(seed, k, held=True) for k in range(512)]
    wanted = targets(entries)
    logits = reader(encode(tokenizer, reader.encoder, [e.caption for e in entries]))
    logits = {key: value.cpu() for key, value in logits.items()}
    right = torch.stack([logits[key].argmax(1) == wanted[key] for key in FACTS])
    return {"facts": float(right.float().mean()), "captions": float(right.all(0).float().mean())}


def train(
    folder: Path,
    *,
    steps: int,
    seed: int,
    lr: float = 1e-3,
    device: str = "cpu",
    say: Callable[[str], None],
) -> tuple[CLIPTokenizer, CLIPTextModel, dict[str, float], Progress]:
    """Train (or resume) the text encoder in `folder`; also returns its accuracy."""
    tokenizer = build_tokenizer(seed)
    torch.manual_seed(seed)
    reader = FactReader(build_encoder(tokenizer)).to(device)

    def loss(step: int) -> Tensor:
        entries = [item(seed, step * BATCH + k) for k in range(BATCH)]
        logits = reader(encode(tokenizer, reader.encoder, [e.caption for e in entries]))
        wanted = targets(entries)
        losses = [
            nn.functional.cross_entropy(logits[key], wanted[key].to(logits[key].device))
            for key in FACTS
        ]
        return torch.stack(losses).sum()

    plan = Plan(steps=steps, lr=lr, seed=seed, folder=folder, ema=0.99, report_every=100)
    progress = fit(reader, loss, plan, say=say)
    return tokenizer, reader.encoder, measure(reader, tokenizer), progress

"""From frames to captions with Tag2Text, as VBench runs it."""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Final

import torch
from torch import Tensor

from turbo_eval.backbones.official.tag2text.beams import Rules, search
from turbo_eval.backbones.official.tag2text.network import Tag2Text, Writing
from turbo_eval.backbones.official.tag2text.wordpiece import PAD, SPECIAL, WORDS, WordPieces

THRESHOLD: Final = 0.7
"""Tags above this probability guide the caption."""
SILENT: Final = (127, 3265, 3338, 3351, 3355, 3359)
"""Labels that never become tags."""
LONGEST_TAGS: Final = 40
DECODE: Final = WORDS
"""Number of the token that begins a caption."""
ENCODE: Final = WORDS + 1
"""Number of the token that begins a list of tags."""
PROMPT: Final = "a picture of "
RULES: Final = Rules(beams=3, shortest=10, longest=30, end=102)
MEAN: Final = (0.485, 0.456, 0.406)
DEVIATION: Final = (0.229, 0.224, 0.225)


@cache
def labels() -> tuple[str, ...]:
    """The names of all labels, in the order of the network's outputs.

    Names and order are a property of the checkpoint. The file `tags.txt` lists them as Tag2Text
    publishes them (Huang et al. 2023, arXiv 2303.05657; its code and VBench's package, which ships
    the same list, are under the licence Apache-2.0).
    """
    text = files(__package__).joinpath("tags.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())


def normalised(frames: Tensor) -> Tensor:
    """Frames as the network sees them.

    Args:
        frames: uint8 [N, H, W, 3], RGB, of the network's size.

    Returns:
        float32 [N, 3, H, W].
    """
    pictures = frames.permute(0, 3, 1, 2).float().div(255)
    mean = torch.tensor(MEAN, device=frames.device).view(3, 1, 1)
    deviation = torch.tensor(DEVIATION, device=frames.device).view(3, 1, 1)
    return pictures.sub_(mean).div_(deviation)


def tag_texts(logits: Tensor, names: Sequence[str]) -> list[str]:
    """The tags of each picture, joined by " | ".

    Args:
        logits: [N, labels].
        names: Of the labels.
    """
    sure = logits.sigmoid() > THRESHOLD
    sure[:, [number for number in SILENT if number < len(names)]] = False
    return [" | ".join(names[k] for k in row.nonzero()[:, 0].tolist()) for row in sure.cpu()]


def tag_tokens(texts: Sequence[str], words: WordPieces) -> Tensor:
    """Tokens of lists of tags, cut and padded to 40: [N, 40]."""
    rows = [words.encode(text, most=LONGEST_TAGS) for text in texts]
    return torch.tensor([[ENCODE, *r[1:]] + [PAD] * (LONGEST_TAGS - len(r)) for r in rows])


def write(network: Tag2Text, memory: Tensor, words: WordPieces) -> list[str]:
    """Captions for memories [N, 40, width], without the words they all begin with."""
    prompt = [DECODE, *words.encode(PROMPT)[1:-1]]
    writing = Writing(network.text_decoder, memory)
    found = search(writing.advance, prompt, len(memory), RULES)
    special = (*SPECIAL, DECODE, ENCODE)
    # The official program cuts characters, whatever they are.
    return [words.decode(tokens, special=special)[len(PROMPT) :] for tokens in found]


def captions(
    network: Tag2Text, words: WordPieces, frames: Tensor, *, at_once: int = 2
) -> list[str]:
    """Caption frames.

    Args:
        network: With its weights, in evaluation mode.
        words: The vocabulary.
        frames: uint8 [N, H, W, 3], RGB, of the network's size.
        at_once: Frames that the picture part looks at together; captions are written together.

    Returns:
        One caption a frame.
    """
    device = network.label_embed.weight.device
    memories = []
    for some in frames.split(at_once):
        seen = network.look(normalised(some.to(device)))
        tags = tag_tokens(tag_texts(network.tag_logits(seen), labels()), words).to(device)
        memories.append(network.memory(tags, tags != PAD, seen))
    return write(network, torch.cat(memories), words)

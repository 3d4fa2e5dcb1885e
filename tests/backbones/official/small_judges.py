"""Every official judge with a small untrained network, for what depends on no trained number."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from turbo_eval.backbones.official.aesthetic import Aesthetic, Rating
from turbo_eval.backbones.official.amt import Interpolation
from turbo_eval.backbones.official.amt_network import AMT
from turbo_eval.backbones.official.clip import ImageText
from turbo_eval.backbones.official.dino import Dino
from turbo_eval.backbones.official.files import BY_ID, file_of
from turbo_eval.backbones.official.frames import Judge
from turbo_eval.backbones.official.grit import network as grit
from turbo_eval.backbones.official.grit.judge import Detector
from turbo_eval.backbones.official.grit.text import END
from turbo_eval.backbones.official.musiq import ImageQuality
from turbo_eval.backbones.official.musiq_network import MUSIQ
from turbo_eval.backbones.official.raft import Flow
from turbo_eval.backbones.official.random_weights import make_state, random_state
from turbo_eval.backbones.official.tag2text import network as tag2text
from turbo_eval.backbones.official.tag2text.judge import Scene
from turbo_eval.backbones.official.tag2text.wordpiece import WordPieces
from turbo_eval.backbones.official.umt import Action
from turbo_eval.backbones.official.umt_network import UMT
from turbo_eval.backbones.official.viclip import VideoText
from turbo_eval.backbones.official.viclip_network import Sizes, ViCLIP

WORDS = [f"w{n}" for n in range(150)]


def _filled(network: nn.Module, seed: int = 0) -> nn.Module:
    network.load_state_dict(random_state(network.state_dict(), seed))
    return network


def _vit() -> nn.Module:
    from timm.models.vision_transformer import VisionTransformer

    network: nn.Module = VisionTransformer(
        patch_size=16, embed_dim=48, depth=2, num_heads=3, num_classes=0
    )
    return network


def _clip(width: int) -> Any:
    from open_clip.model import CLIP

    vision = {"image_size": 224, "layers": 2, "width": 64, "patch_size": 32, "head_width": 32}
    text = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
    return CLIP(width, vision, text, quick_gelu=True)


def _raft() -> nn.Module:
    return Flow().build(make_state(BY_ID["raft"], 101))


def _amt() -> nn.Module:
    network = AMT()
    network.load_state_dict(make_state(file_of("amt"), 7))
    return network


def _grit() -> nn.Module:
    sizes = grit.Sizes(
        width=24, depth=3, heads=2, window=3, side=4, trained=3, channels=64, box=16, text=24,
        text_heads=2, inner=32, layers=3, words=150, positions=60,
    )  # fmt: skip
    network = grit.Grit(sizes)
    for parameter in network.parameters():
        parameter.requires_grad_(False).normal_(std=0.2)
    state = network.state_dict()
    state["proposal_generator.centernet_head.bbox_pred.bias"].fill_(3.0)
    network.roi_heads.text_decoder.textual.output.bias[END] += 3.0
    for number in range(3):
        state[f"roi_heads.box_predictor.{number}.cls_score.bias"][0] += 2.0
    return network


def _tag2text() -> nn.Module:
    sizes = tag2text.Sizes(
        image=32, channels=8, depths=(2, 2), swin_heads=(2, 2), window=4, width=24, heads=3,
        label_heads=2, inner=32, layers=3, label_layers=2, words=150, positions=48, labels=3429,
    )  # fmt: skip
    network = tag2text.Tag2Text(sizes)
    for parameter in network.parameters():
        nn.init.normal_(parameter.requires_grad_(False), std=0.3)
    return network


def _viclip() -> nn.Module:
    sizes = Sizes(
        size=224, patch=32, frames=8, width=32, layers=2, heads=4, text_width=24, text_layers=2,
        text_heads=3, tokens=32, vocabulary=49408, out=16,
    )  # fmt: skip
    return _filled(ViCLIP(sizes))


def _rating() -> nn.Module:
    head = nn.Linear(768, 1)
    nn.init.constant_(head.bias, 5.0)
    return Rating(_clip(768).visual, head)


MAKERS: dict[str, tuple[type[Judge], Callable[[], nn.Module]]] = {
    "frame_features": (Dino, lambda: _filled(_vit())),
    "image_text": (ImageText, lambda: _clip(24)),
    "aesthetic": (Aesthetic, _rating),
    "image_quality": (
        ImageQuality,
        lambda: _filled(MUSIQ(width=24, layers=2, heads=3, inner=40)),
    ),
    "flow": (Flow, _raft),
    "interpolation": (Interpolation, _amt),
    "action": (Action, lambda: _filled(UMT(width=24, layers=2, heads=3, size=224))),
    "detector": (Detector, _grit),
    "scene": (Scene, _tag2text),
    "video_text": (VideoText, _viclip),
}
"""Role -> the judge's class and what makes a small network for it (RAFT and AMT are small)."""


def make_judge(role: str, patch: pytest.MonkeyPatch, dtype: str = "float32") -> Judge:
    """The judge of a role with a small network, the same one each time."""
    kind, make = MAKERS[role]
    torch.manual_seed(0)
    judge = kind(dtype=dtype)
    judge._network = make().eval().requires_grad_(False)
    if isinstance(judge, Detector):
        judge.words = WordPieces(WORDS)
    if isinstance(judge, Scene):
        names = ["[PAD]", *WORDS[1:100], "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS[104:]]
        judge.words = WordPieces(names)
        for name, number in (("DECODE", 148), ("ENCODE", 149)):
            patch.setattr(f"turbo_eval.backbones.official.tag2text.captions.{name}", number)
    return judge

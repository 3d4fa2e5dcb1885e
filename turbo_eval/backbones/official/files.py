"""The eleven checkpoint files of VBench's networks: names, places, terms and formats.

No tensor library is imported here; the plan of a run and the command line read this table.

Source: VBench's own program (`vbench` 0.1.5) names every file, its address and its place in the
cache. The order is the one in which seeds of random weights are counted.
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from turbo_eval.core.errors import unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsFile:
    """One official checkpoint file.

    Attributes:
        id: Short name to type.
        file: Its published file name.
        roles: The parts of the judges that read it (`turbo_eval.backbones.ROLES`).
        cache: Folder below VBench's own cache where the official program keeps it.
        megabytes: About how large it is (10^6 bytes).
        licence: SPDX name, or who says what.
        page: Where people find it and its terms.
        url: Where it can be pulled from.
        member: Its path inside the zip archive at `url`; empty when `url` is the file itself.
        sha256: Checksum of the published file; shorter when only its first digits are public,
            empty when none is.
        wrapper: Key of the dictionary that holds the state; empty when the file is the state.
        prefix: What every name in the state starts with.
        also: Other names under which a port of the same weights is published.
        torchscript: The file is a TorchScript archive, not a pickled dictionary.
    """

    id: str
    file: str
    roles: tuple[str, ...]
    cache: str
    megabytes: float
    licence: str
    page: str
    url: str = ""
    member: str = ""
    sha256: str = ""
    wrapper: str = ""
    prefix: str = ""
    also: tuple[str, ...] = ()
    torchscript: bool = False


_CLIP = "https://openaipublic.azureedge.net/clip/models"
_B32 = "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af"
_L14 = "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836"
_HUB = "https://huggingface.co"
_VBENCH = f"{_HUB}/OpenGVLab/VBench_Used_Models"
_TAG2TEXT = f"{_HUB}/spaces/xinyu1205/recognize-anything"

FILES: Final[tuple[WeightsFile, ...]] = (
    WeightsFile(
        id="clip-b32",
        file="ViT-B-32.pt",
        roles=("image_text",),
        cache="clip_model",
        megabytes=354,
        licence="MIT",
        page="https://github.com/openai/CLIP",
        url=f"{_CLIP}/{_B32}/ViT-B-32.pt",
        sha256=_B32,
        torchscript=True,
    ),
    WeightsFile(
        id="clip-l14",
        file="ViT-L-14.pt",
        roles=("aesthetic",),
        cache="clip_model",
        megabytes=933,
        licence="MIT",
        page="https://github.com/openai/CLIP",
        url=f"{_CLIP}/{_L14}/ViT-L-14.pt",
        sha256=_L14,
        torchscript=True,
    ),
    WeightsFile(
        id="aesthetic",
        file="sa_0_4_vit_l_14_linear.pth",
        roles=("aesthetic",),
        cache="aesthetic_model/emb_reader",
        megabytes=0.004,
        licence="MIT",
        page="https://github.com/LAION-AI/aesthetic-predictor",
        url="https://github.com/LAION-AI/aesthetic-predictor/raw/main/sa_0_4_vit_l_14_linear.pth",
    ),
    WeightsFile(
        id="dino",
        file="dino_vitbase16_pretrain.pth",
        roles=("frame_features",),
        cache="dino_model",
        megabytes=343,
        licence="Apache-2.0",
        page="https://github.com/facebookresearch/dino",
        url="https://dl.fbaipublicfiles.com/dino/dino_vitbase16_pretrain/"
        "dino_vitbase16_pretrain.pth",
    ),
    WeightsFile(
        id="raft",
        file="raft-things.pth",
        roles=("flow",),
        cache="raft_model/models",
        megabytes=21,
        licence="BSD-3-Clause",
        page="https://github.com/princeton-vl/RAFT",
        url="https://dl.dropboxusercontent.com/s/4j4z58wuv8o0mfz/models.zip",
        member="models/raft-things.pth",
        prefix="module.",
        # The same weights by torchvision's names, as torchvision publishes them.
        also=("raft_large_C_T_V1-22a6c225.pth",),
    ),
    WeightsFile(
        id="amt",
        file="amt-s.pth",
        roles=("interpolation",),
        cache="amt_model",
        megabytes=12,
        licence="CC-BY-NC-4.0",
        page=f"{_HUB}/lalala125/AMT",
        url=f"{_HUB}/lalala125/AMT/resolve/main/amt-s.pth",
        wrapper="state_dict",
    ),
    WeightsFile(
        id="musiq",
        file="musiq_spaq_ckpt-358bb6af.pth",
        roles=("image_quality",),
        cache="pyiqa_model",
        megabytes=109,
        licence="see the page (MUSIQ: Apache-2.0; its PyTorch port: non-commercial)",
        page="https://github.com/chaofengc/IQA-PyTorch",
        url="https://github.com/chaofengc/IQA-PyTorch/releases/download/v0.1-weights/"
        "musiq_spaq_ckpt-358bb6af.pth",
        # Its publisher writes the first digits of the checksum into the name.
        sha256="358bb6af",
    ),
    WeightsFile(
        id="viclip",
        file="ViClip-InternVid-10M-FLT.pth",
        roles=("video_text",),
        cache="ViCLIP",
        megabytes=1711,
        licence="see the page",
        page=_VBENCH,
        url=f"{_VBENCH}/resolve/main/ViClip-InternVid-10M-FLT.pth",
        wrapper="model",
    ),
    WeightsFile(
        id="umt",
        file="l16_ptk710_ftk710_ftk400_f16_res224.pth",
        roles=("action",),
        cache="umt_model",
        megabytes=1227,
        licence="see the page",
        page=_VBENCH,
        url=f"{_VBENCH}/resolve/main/l16_ptk710_ftk710_ftk400_f16_res224.pth",
    ),
    WeightsFile(
        id="tag2text",
        file="tag2text_swin_14m.pth",
        roles=("scene",),
        cache="caption_model",
        megabytes=4480,
        licence="see the page",
        page=_TAG2TEXT,
        url=f"{_TAG2TEXT}/resolve/main/tag2text_swin_14m.pth",
        wrapper="model",
    ),
    WeightsFile(
        id="grit",
        file="grit_b_densecap_objectdet.pth",
        roles=("detector",),
        cache="grit_model",
        megabytes=834,
        licence="MIT",
        page="https://github.com/JialianW/GRiT",
        url=f"{_VBENCH}/resolve/main/grit_b_densecap_objectdet.pth",
        wrapper="model",
    ),
)
"""The table, in the order in which random weights count their seeds."""

BY_ID: Final = MappingProxyType({entry.id: entry for entry in FILES})
"""Short name -> file."""

BERT_VOCABULARY: Final = "bert-base-uncased/vocab.txt"
"""The word pieces of GRiT and Tag2Text, below the folder of weights."""

VOCABULARY: Final = WeightsFile(
    id="bert-vocabulary",
    file=BERT_VOCABULARY,
    roles=("detector", "scene"),
    cache="",
    megabytes=0.23,
    licence="Apache-2.0",
    page=f"{_HUB}/google-bert/bert-base-uncased",
    url=f"{_HUB}/google-bert/bert-base-uncased/resolve/main/vocab.txt",
    sha256="07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
)
"""Not weights, but two networks cannot write without it; it takes no seed."""

ALL: Final = (*FILES, VOCABULARY)
"""Everything that the sixteen dimensions read."""


def file_of(name: str) -> WeightsFile:
    """The entry of a file by its short name or its file name.

    Raises:
        UsageError: No such file; the nearest names are suggested.
    """
    for entry in ALL:
        if name in (entry.id, entry.file):
            return entry
    raise unknown("file of weights", name, [e.id for e in ALL] + [e.file for e in ALL])


def files_of_role(role: str) -> tuple[WeightsFile, ...]:
    """The files that a part of the judges reads, in the order of the table."""
    return tuple(entry for entry in FILES if role in entry.roles)

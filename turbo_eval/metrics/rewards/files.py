"""The weights of the rewards: names, places and terms. No tensor library is imported.

Nothing is downloaded. A file is looked for below the folder that the user named, below
`TURBO_EVAL_WEIGHTS_DIR`, and among the files that the hub client keeps on this machine.
"""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from turbo_eval.core.errors import PrerequisiteError


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One reward's weights.

    Attributes:
        id: The reward.
        files: Names that its weights may have below a folder of weights; the first is the best.
        hub: Repository on the hub that holds them.
        hub_files: Names of the files there, in the same formats.
        naming: Whose names the tensors have: open_clip's, transformers', or the network's own.
        wrapper: Key of the dictionary that holds the state; empty when the file is the state.
        megabytes: About how large the file is (10^6 bytes).
        licence: Who says what.
        page: Where people find the weights and their terms.
        pull: What `turbo-eval weights pull` calls the file; empty where a person must ask for it.
        description: One sentence.
        kind: `image` scores single frames, `video` whole clips.
        low: Lower end of the range of a score.
        high: Upper end.
    """

    id: str
    files: tuple[str, ...]
    hub: str
    hub_files: tuple[str, ...]
    naming: Literal["open_clip", "transformers", "own"] = "own"
    wrapper: str = ""
    megabytes: float
    licence: str
    page: str
    pull: str = ""
    description: str
    kind: Literal["image", "video"] = "image"
    low: float = -1.0
    high: float = 1.0


_HUB = "https://huggingface.co"
_LAION = "laion/CLIP-ViT-H-14-laion2B-s32B-b79K"

SOURCES: Final = MappingProxyType(
    {
        source.id: source
        for source in (
            Source(
                id="hpsv2.1",
                files=("HPS_v2.1_compressed.pt", "HPS_v2.1_compressed.safetensors"),
                hub="xswu/HPSv2",
                hub_files=("HPS_v2.1_compressed.pt",),
                naming="open_clip",
                wrapper="state_dict",
                megabytes=1973,
                licence="Apache-2.0 (code); see the page",
                page=f"{_HUB}/xswu/HPSv2",
                pull="hpsv2.1",
                description="Human preference score 2.1 of a frame (ViT-H/14, arXiv 2306.09341).",
            ),
            Source(
                id="pickscore",
                files=("PickScore_v1.safetensors", "PickScore_v1/model.safetensors"),
                hub="yuvalkirstain/PickScore_v1",
                hub_files=("model.safetensors",),
                naming="transformers",
                megabytes=3945,
                licence="MIT (code); see the page",
                page=f"{_HUB}/yuvalkirstain/PickScore_v1",
                pull="pickscore",
                description="PickScore of a frame (ViT-H/14, arXiv 2305.01569).",
            ),
            Source(
                id="clip",
                files=(
                    "CLIP-ViT-H-14-laion2B-s32B-b79K.safetensors",
                    "CLIP-ViT-H-14-laion2B-s32B-b79K/open_clip_model.safetensors",
                    "CLIP-ViT-H-14-laion2B-s32B-b79K/open_clip_pytorch_model.bin",
                ),
                hub=_LAION,
                hub_files=("open_clip_model.safetensors", "open_clip_pytorch_model.bin"),
                naming="open_clip",
                megabytes=3945,
                licence="MIT",
                page=f"{_HUB}/{_LAION}",
                pull="clip",
                description="CLIP score of a frame (OpenCLIP ViT-H/14, LAION-2B).",
            ),
        )
    }
)
"""CLIP-like reward -> its weights."""

INTERNVIDEO2: Final = Source(
    id="internvideo2",
    files=("InternVideo2-stage2_1b-224p-f4.pt",),
    hub="OpenGVLab/InternVideo2-Stage2_1B-224p-f4",
    hub_files=("InternVideo2-stage2_1b-224p-f4.pt",),
    wrapper="module",
    megabytes=2800,
    licence="Apache-2.0; access to the file is asked for on the page",
    page=f"{_HUB}/OpenGVLab/InternVideo2-Stage2_1B-224p-f4",
    description="InternVideo2 score of a clip (stage 2, 1B, 8 frames, arXiv 2403.15377).",
    kind="video",
)
BERT_LARGE: Final = Source(
    id=INTERNVIDEO2.id,
    # Both BERTs have the same word pieces, and two of the judges read the smaller one's.
    files=("bert-large-uncased/vocab.txt", "bert-base-uncased/vocab.txt"),
    hub="google-bert/bert-large-uncased",
    hub_files=("vocab.txt",),
    megabytes=0.23,
    licence="Apache-2.0",
    page=f"{_HUB}/google-bert/bert-large-uncased",
    pull="bert-vocabulary",
    description="The word pieces that InternVideo2 reads.",
)

VICLIP: Final = Source(
    id="viclip",
    files=("ViClip-InternVid-10M-FLT.pth",),
    hub="OpenGVLab/VBench_Used_Models",
    hub_files=("ViClip-InternVid-10M-FLT.pth",),
    wrapper="model",
    megabytes=1711,
    licence="see the page",
    page=f"{_HUB}/OpenGVLab/VBench_Used_Models",
    description="ViCLIP score of a clip (ViT-L/14, 8 frames, arXiv 2307.06942).",
    kind="video",
)
"""The facts only: the file is the judge's, which `turbo-eval weights` knows."""

IMAGEREWARD: Final = Source(
    id="imagereward",
    files=("ImageReward.pt",),
    hub="THUDM/ImageReward",
    hub_files=("ImageReward.pt",),
    megabytes=1790,
    licence="Apache-2.0",
    page=f"{_HUB}/THUDM/ImageReward",
    pull="imagereward",
    description="ImageReward of a frame, r -> min(r, 2) - 2 (BLIP ViT-L/16, arXiv 2304.05977).",
    low=float("-inf"),
    high=0.0,
)


def locate(source: Source, weights_dir: Path | None = None) -> Path | None:
    """The path of a reward's weights, or None if they are nowhere.

    Args:
        source: The reward's entry.
        weights_dir: The folder that the user named, if any.
    """
    # Its package brings a video decoder, which those who only list names do not need.
    from turbo_eval.backbones.official.weights import folders

    for folder in folders(weights_dir):
        for name in source.files:
            # A name that cannot be, or a folder that may not be entered, holds no weights.
            with suppress(OSError, ValueError):
                if (folder / name).is_file():
                    return folder / name
    from huggingface_hub import try_to_load_from_cache

    for name in source.hub_files:
        # It looks into a folder only; it answers with a string, None, or a mark of absence.
        found = try_to_load_from_cache(source.hub, name)
        if isinstance(found, str):
            return Path(found)
    return None


def find(source: Source, weights_dir: Path | None = None) -> Path:
    """The path of a reward's weights.

    Args:
        source: The reward's entry.
        weights_dir: The folder that the user named, if any.

    Raises:
        PrerequisiteError: They are nowhere; says which file is missing and where to put it.
    """
    path = locate(source, weights_dir)
    if path is None:
        from turbo_eval.backbones.official.weights import folders

        searched = folders(weights_dir)
        raise PrerequisiteError(
            f"no weights {source.files[0]} of the reward {source.id!r}",
            why=f"searched {', '.join(map(str, searched))} and the hub's cache",
            fix=(f"turbo-eval weights pull {source.pull}, or " if source.pull else "")
            + f"get {source.hub_files[0]} ({_size(source.megabytes)}) from {source.page} "
            f"and put it at {searched[0] / source.files[0]}",
        )
    return path


def _size(megabytes: float) -> str:
    return f"{megabytes / 1000:.1f} GB" if megabytes >= 100 else f"{megabytes:g} MB"

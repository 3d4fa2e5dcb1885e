"""What a pipeline draws when it is told nothing, read from the configurations of its networks."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from turbo_eval.models.diffusers_families import FAMILIES, Family


def native(name: str, folder: Path) -> Family:
    """The defaults of a pipeline, with the sizes that its networks were made for.

    Args:
        name: A key of `FAMILIES`.
        folder: In diffusers' layout.
    """
    family = FAMILIES[name]
    reader = _READERS.get(name)
    return family if reader is None else reader(family, folder)


def config_of(folder: Path, component: str) -> dict[str, Any]:
    """The configuration of one network; empty when there is none."""
    try:
        found = json.loads((folder / component / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _vae_scale(folder: Path) -> int:
    blocks = config_of(folder, "vae").get("block_out_channels")
    return 2 ** (len(blocks) - 1) if isinstance(blocks, list) and blocks else 8


def _from_unet(family: Family, folder: Path) -> Family:
    size = config_of(folder, "unet").get("sample_size")
    if isinstance(size, int):
        height = width = size
    elif isinstance(size, list) and len(size) == 2:
        height, width = size
    else:
        return family
    scale = _vae_scale(folder)
    return replace(family, width=width * scale, height=height * scale)


def _from_cogvideox(family: Family, folder: Path) -> Family:
    config, scale = config_of(folder, "transformer"), _vae_scale(folder)
    # The second generation (1.5) packs frames in time and runs at twice the rate.
    packed = config.get("patch_size_t")
    return replace(
        family,
        frames=config.get("sample_frames", family.frames),
        width=config.get("sample_width", 90) * scale,
        height=config.get("sample_height", 60) * scale,
        fps=16 if packed else family.fps,
    )


def _from_allegro(family: Family, folder: Path) -> Family:
    config, vae = config_of(folder, "transformer"), config_of(folder, "vae")
    scale, pace = _vae_scale(folder), vae.get("temporal_compression_ratio", 4)
    return replace(
        family,
        frames=config.get("sample_frames", 22) * pace,
        width=config.get("sample_width", 160) * scale,
        height=config.get("sample_height", 90) * scale,
        every=pace,
    )


def _from_latte(family: Family, folder: Path) -> Family:
    config, scale = config_of(folder, "transformer"), _vae_scale(folder)
    side = config.get("sample_size", 64) * scale
    return replace(
        family, frames=config.get("video_length", family.frames), width=side, height=side
    )


def _from_hunyuan15(family: Family, folder: Path) -> Family:
    # The pipeline picks the 16:9 size nearest to this area by itself.
    if config_of(folder, "transformer").get("target_size") == 960:
        family = replace(family, width=1280, height=720)
    return _from_guider(family, folder)


def _from_guider(family: Family, folder: Path) -> Family:
    try:
        text = (folder / "guider" / "guider_config.json").read_text(encoding="utf-8")
        scale = json.loads(text).get("guidance_scale")
    except (OSError, ValueError, AttributeError):
        return family
    return replace(family, guidance=float(scale)) if isinstance(scale, int | float) else family


_READERS: Final[Mapping[str, Callable[[Family, Path], Family]]] = {
    "AllegroPipeline": _from_allegro,
    "AnimateDiffPAGPipeline": _from_unet,
    "AnimateDiffPipeline": _from_unet,
    "AnimateDiffSDXLPipeline": _from_unet,
    "CogVideoXPipeline": _from_cogvideox,
    "HunyuanVideo15Pipeline": _from_hunyuan15,
    "LattePipeline": _from_latte,
    "MotifVideoPipeline": _from_guider,
    "TextToVideoSDPipeline": _from_unet,
    "TextToVideoZeroPipeline": _from_unet,
}

"""Reading a pipeline of diffusers into memory, and reading what it returns."""

import inspect
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from turbo_eval.core.errors import ConfigError, InputError, PrerequisiteError, UsageError
from turbo_eval.models.diffusers_adapters import motion_adapter
from turbo_eval.models.diffusers_families import Family
from turbo_eval.models.diffusers_files import check_safetensors
from turbo_eval.models.diffusers_folder import Pipeline, weight_files

_FILTER: Final = {"safety_checker", "feature_extractor"}
_ENABLE: Final = "enable_safety_checker"


def read_pipeline(source: Pipeline, family: Family, motion: Path | None, dtype: Any) -> Any:
    """Read a pipeline's networks from its folder: safetensors files only, no code, no download.

    Args:
        source: The folder, checked.
        family: Facts of its class.
        motion: A motion adapter to put into its UNet.
        dtype: A torch type.

    Returns:
        The diffusers pipeline, on the CPU.

    Raises:
        ConfigError: The installed diffusers has no such class.
        PrerequisiteError: A library is missing, or the files do not fit together.
    """
    import diffusers
    import torch

    # Some classes want to be told that there is no filter; the others do not mind.
    given: dict[str, Any] = dict.fromkeys(set(source.absent) & _FILTER)
    if motion is not None:
        given["motion_adapter"] = motion_adapter(motion, source.folder, dtype)
    parts: Any = {"default": dtype, "vae": torch.float32} if family.exact_vae else dtype
    pipeline_class = getattr(diffusers, source.name, None)
    if pipeline_class is None:
        raise ConfigError(
            f"diffusers {diffusers.__version__} has no {source.name}",
            fix="install a newer diffusers",
        )
    # A folder may ask for drawing without the check; what is drawn here is always checked.
    if _ENABLE in inspect.signature(pipeline_class.__init__).parameters:
        given[_ENABLE] = True
    try:
        return pipeline_class.from_pretrained(
            source.folder, local_files_only=True, use_safetensors=True, torch_dtype=parts, **given
        )
    except ImportError as error:
        raise PrerequisiteError(
            f"{source.name} needs a library that is not installed",
            why=str(error),
            fix=f"pip install {family.needs}" if family.needs else "install it",
        ) from error
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, AttributeError) as error:
        raise PrerequisiteError(
            f"{source.folder} cannot be read as {source.name}",
            why=str(error),
            fix="copy the repository's files again, all of one version",
        ) from error


def check_memory(source: Pipeline, device: str, dtype: Any) -> None:
    """Say what would fit on a GPU before gigabytes are read for nothing.

    Raises:
        PrerequisiteError: The weights alone need more than is free.
    """
    if not device.startswith("cuda"):
        return
    import torch

    free = torch.cuda.mem_get_info(device)[0]
    needed = dtype.itemsize * sum(check_safetensors(path) for path in weight_files(source))
    if needed > free:
        halved = dtype == torch.float32 and needed / 2 < free
        raise PrerequisiteError(
            f"{source.folder} does not fit on {device}",
            why=f"its weights fill {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free",
            fix="choose --dtype bfloat16" if halved else "add the setting offload=yes",
        )


def frames_of(result: Any, family: Family, name: str) -> NDArray[Any]:
    """The frames in what a pipeline returned, [B, T, H, W, 3] on 0..1.

    Raises:
        InputError: It returned images, or nothing that is an array.
    """
    found = getattr(result, family.frames_in, None)
    if found is None:
        kind = "images" if hasattr(result, "images") else type(result).__name__
        raise InputError(f"{name} returned {kind}, no frames", fix="name a text-to-video pipeline")
    frames = np.asarray(found)
    if family.frames_in != "frames" and frames.ndim == 4:
        # One clip, whose frames are all that the call returned.
        frames = frames[None]
    if frames.ndim == 4:
        raise InputError(
            f"{name} returned images of shape {tuple(frames.shape)}, no frames",
            fix="name a text-to-video pipeline",
        )
    return frames


def tile(pipeline: Any, name: str) -> None:
    """Let the decoder work tile by tile and clip by clip, which needs less memory.

    Raises:
        UsageError: It cannot.
    """
    vae = pipeline.vae
    able = [switch for switch in ("enable_tiling", "enable_slicing") if hasattr(vae, switch)]
    if not able:
        raise UsageError(f"the decoder of {name} cannot be tiled", fix="leave tiling away")
    for switch in able:
        getattr(vae, switch)()


def licence_of(folder: Path) -> str:
    """The licence in the head of the repository's README; empty when it tells none."""
    try:
        text = (folder / "README.md").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    head = text.split("---")[1] if text.startswith("---") and text.count("---") > 1 else ""
    for line in head.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in {"license", "license_name", "license_link"} and value.strip() not in {
            "",
            "other",
        }:
            return value.strip()
    return ""

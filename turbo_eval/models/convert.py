"""VideoCrafter2's one-file checkpoint, written once as a folder in diffusers' layout.

The file is mapped and written tensor by tensor, so memory holds one tensor, not the network. The
folder lies beside the checkpoint, or in the user's cache where that folder cannot be written.
"""

import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from turbo_eval.core.errors import (
    ConfigError,
    InputError,
    PrerequisiteError,
    TurboError,
    from_os_error,
)
from turbo_eval.core.hashing import content_key
from turbo_eval.core.store import write_json_atomic
from turbo_eval.models.noise import BETA_END, BETA_START
from turbo_eval.models.published import CONVERTED, INDEX
from turbo_eval.prompts.manifest import home

logger = logging.getLogger(__name__)

CLASS: Final = "VideoCrafter2"
"""What the folder's index calls itself."""
UNET_PREFIX: Final = "model.diffusion_model."
RECORD: Final = "converted-from"
"""What the folder was made from; its name keeps it out of `system_fingerprint`."""
_FORMAT: Final = 1

CONFIG: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "unet": {
            "in_channels": 4,
            "out_channels": 4,
            "model_channels": 320,
            "attention_resolutions": [4, 2, 1],
            "num_res_blocks": 2,
            "channel_mult": [1, 2, 4, 4],
            "num_head_channels": 64,
            "context_dim": 1024,
        },
        "vae": {
            "embed_dim": 4,
            "ddconfig": {
                "z_channels": 4,
                "resolution": 512,
                "ch": 128,
                "ch_mult": [1, 2, 4, 4],
                "num_res_blocks": 2,
            },
            "scale_factor": 0.18215,
        },
        "text": {"head_width": 64},
        "rescale": 0.7,
    }
)
"""The published configuration: lvdm's of the UNet and the autoencoder, the width of the text
encoder's heads, and the last value of the factor on the signal (`latent_rescale`)."""


def config_of(checkpoint: Path) -> dict[str, Any]:
    """The configuration of a checkpoint: the published one, changed by a JSON file beside it.

    A network of another size has one, `model.json` beside `model.ckpt`, with the keys of `CONFIG`.

    Raises:
        ConfigError: The file is no JSON object, or has other keys.
    """
    path = checkpoint.with_suffix(".json")
    if not path.is_file():
        return dict(CONFIG)
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read", why=str(error)) from error
    if not isinstance(given, dict) or not given.keys() <= CONFIG.keys():
        raise ConfigError(
            f"{path} is no configuration of VideoCrafter2",
            why=f"it may have the keys {', '.join(CONFIG)}",
        )
    return {**CONFIG, **given}


def places(checkpoint: Path) -> list[Path]:
    """Where the converted folder of a checkpoint may lie, best first."""
    key = content_key("converted", str(checkpoint.resolve()))
    return [
        checkpoint.with_name(checkpoint.name + CONVERTED),
        home() / "weights" / f"{checkpoint.stem}-{key}{CONVERTED}",
    ]


def read_record(folder: Path) -> dict[str, Any] | None:
    """What a converted folder was made from; None when there is no whole one."""
    try:
        json.loads((folder / INDEX).read_text(encoding="utf-8"))
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(record, dict) or record.get("format") != _FORMAT:
        return None
    return dict(record)


def find_converted(checkpoint: Path) -> Path | None:
    """The converted folder of a checkpoint, or None.

    A folder whose checkpoint is gone still counts; one of another file of the same name does not.
    """
    wanted = _identity(checkpoint) if checkpoint.is_file() else None
    for folder in places(checkpoint):
        record = read_record(folder)
        if record is not None and wanted in (None, record["identity"]):
            return folder
    return None


def convert(checkpoint: Path) -> Path:
    """The folder in diffusers' layout of a checkpoint; made at the first call.

    Args:
        checkpoint: VideoCrafter2's `model.ckpt`, or a safetensors file with the same names.

    Returns:
        A folder with `unet`, `vae`, `text_encoder`, `scheduler` and an index.

    Raises:
        PrerequisiteError: The file cannot be used or read, or no place can be written.
        InputError: It holds another network; the first names that differ are given.
        ConfigError: The configuration beside it is refused.
    """
    found = find_converted(checkpoint)
    if found is not None:
        return found
    config = config_of(checkpoint)
    tensors = _read(checkpoint)
    last: TurboError | None = None
    for folder in places(checkpoint):
        try:
            with _whole_folder(folder) as temporary:
                logger.info("converting %s into %s (once)", checkpoint, folder)
                _write(temporary, tensors, config, checkpoint)
            return folder
        except InputError as error:
            raise InputError(
                f"{checkpoint} is no VideoCrafter2 checkpoint of this size: {error.what}",
                why=error.why,
                fix=error.fix,
            ) from error
        except PrerequisiteError as error:
            last = error
    assert last is not None
    raise last


def _identity(checkpoint: Path) -> list[Any]:
    status = checkpoint.stat()
    beside = checkpoint.with_suffix(".json")
    settings = beside.read_text(encoding="utf-8") if beside.is_file() else ""
    return [checkpoint.name, status.st_size, status.st_mtime_ns, content_key("config", settings)]


def _read(checkpoint: Path) -> dict[str, dict[str, Any]]:
    from turbo_eval.models import lvdm_vae, openclip_text
    from turbo_eval.models.checkpoint import part, read_tensors, refused

    state = read_tensors(checkpoint, wrapper="state_dict")
    prefixes = {
        "unet": UNET_PREFIX,
        "vae": lvdm_vae.PREFIX,
        "text_encoder": openclip_text.PREFIX,
    }
    parts = {name: part(state, prefix) for name, prefix in prefixes.items()}
    empty = [prefixes[name] for name, tensors in parts.items() if not tensors]
    if empty:
        raise refused(
            checkpoint,
            f"no name in it starts with {empty[0]}; the first is {next(iter(state))}",
            "check that it is VideoCrafter2's whole checkpoint, not a student or another family",
        )
    return parts


def _write(
    folder: Path,
    parts: Mapping[str, Mapping[str, Any]],
    config: Mapping[str, Any],
    checkpoint: Path,
) -> None:
    from diffusers import DDIMScheduler

    from turbo_eval.backbones.official.marks import checksum
    from turbo_eval.models.checkpoint import write_streaming
    from turbo_eval.models.lvdm_vae import prepare_vae
    from turbo_eval.models.openclip_text import prepare_text_encoder
    from turbo_eval.models.videocrafter import prepare_unet

    prepared = (
        ("unet", "diffusion_pytorch_model", prepare_unet(parts["unet"], config["unet"])),
        ("vae", "diffusion_pytorch_model", prepare_vae(parts["vae"], config["vae"])),
        (
            "text_encoder",
            "model",
            prepare_text_encoder(parts["text_encoder"], **config["text"]),
        ),
    )
    for name, stem, (network, tensors) in prepared:
        (folder / name).mkdir()
        described: Any = network
        if name == "text_encoder":
            described.config.save_pretrained(folder / name)
        else:
            described.save_config(folder / name)
        write_streaming(folder / name / f"{stem}.safetensors", tensors)
    DDIMScheduler(
        beta_start=BETA_START,
        beta_end=BETA_END,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    ).save_pretrained(folder / "scheduler")
    index = {
        "_class_name": CLASS,
        "unet": ["turbo_eval.models.videocrafter", "VideoCrafterUNet"],
        "vae": ["diffusers", "AutoencoderKL"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "rescale": config["rescale"],
    }
    record = {
        "format": _FORMAT,
        "identity": _identity(checkpoint),
        "sha256": checksum(checkpoint),
    }
    write_json_atomic(folder / RECORD, record)
    # Last: a folder without an index is not whole.
    write_json_atomic(folder / INDEX, index)


@contextmanager
def _whole_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder`; on success it takes its place, else it is removed."""
    temporary = folder.with_name(f".{folder.name}-{os.getpid()}")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        yield temporary
        shutil.rmtree(folder, ignore_errors=True)
        try:
            temporary.replace(folder)
        except OSError:
            # Another process may have finished the same folder in between; then its copy stays.
            if read_record(folder) is None:
                raise
    except OSError as error:
        raise from_os_error(error, folder) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def source_weights(checkpoint: Path) -> dict[str, str]:
    """File name to SHA-256 of a checkpoint; from the converted folder where it is known there.

    Raises:
        PrerequisiteError: Neither can be read.
    """
    from turbo_eval.backbones.official.marks import checksum

    folder = find_converted(checkpoint)
    record = read_record(folder) if folder is not None else None
    if record is not None:
        return {checkpoint.name: str(record["sha256"])}
    return {checkpoint.name: checksum(checkpoint)}

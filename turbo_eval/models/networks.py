"""The networks of a published system, read and put together: UNet, autoencoder, text encoder."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from turbo_eval.core.errors import ConfigError, InputError
from turbo_eval.models.checkpoint import part, read_list, read_tensors, refused
from turbo_eval.models.convert import CLASS, UNET_PREFIX, config_of, convert
from turbo_eval.models.guidance import random_projection
from turbo_eval.models.noise import noise_alphas_cumprod, prediction_type_of
from turbo_eval.models.published import INDEX, Published, weight_files
from turbo_eval.models.quiet import quiet_libraries


@dataclass(slots=True)
class Networks:
    """A system's parts, in evaluation mode.

    Attributes:
        unet: (latents, timesteps, text, ...) -> noise.
        vae: diffusers' `AutoencoderKL`.
        text: The text encoder.
        tokenizer: transformers' tokenizer, or one that is called alike.
        scheduler: diffusers' scheduler of the folder.
        rescale: Last value of VideoCrafter2's factor on the signal; None for ModelScope.
        prediction_type: What the UNet predicts.
        alphas_cumprod: abar, float32 [T].
        zero_padded: Whether texts are padded with token 0 whatever the tokenizer says.
    """

    unet: Any
    vae: Any
    text: Any
    tokenizer: Any
    scheduler: Any
    rescale: float | None
    prediction_type: str
    alphas_cumprod: Tensor
    zero_padded: bool = False

    def encode(self, texts: Sequence[str], device: str | torch.device) -> Tensor:
        """Features [B, L, D] of texts, by the text encoder on `device`."""
        tokens = self.tokenizer(
            list(texts),
            padding="max_length",
            max_length=self.tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        )
        mask = None
        if getattr(self.text.config, "use_attention_mask", False):
            mask = tokens.attention_mask.to(device)
        ids = tokens.input_ids * tokens.attention_mask if self.zero_padded else tokens.input_ids
        with torch.no_grad():
            hidden: Tensor = self.text(ids.to(device), attention_mask=mask)[0]
        return hidden

    @property
    def parts(self) -> tuple[Any, Any, Any]:
        """The three that hold weights."""
        return self.unet, self.vae, self.text

    @property
    def scale(self) -> int:
        """Pixels per latent."""
        return int(2 ** (len(self.vae.config.block_out_channels) - 1))


def open_folder(folder: Path, *, unet: Any = None) -> Networks:
    """Read a teacher from a folder in diffusers' layout, in float32 on the CPU.

    Args:
        folder: A converted VideoCrafter2, or ModelScope's (or the mini world's) pipeline.
        unet: In place of the one of ModelScope's folder, whose weights are not read then.

    Raises:
        PrerequisiteError: A file is missing or damaged.
        ConfigError: It is another class of pipeline.
    """
    index = class_index(folder)
    if index.get("_class_name") == CLASS:
        return _videocrafter(folder, index)
    return _modelscope(folder, unet)


def class_index(folder: Path) -> dict[str, Any]:
    """The index of a folder in diffusers' layout: its class and parts.

    Raises:
        PrerequisiteError: There is none, or it cannot be read.
    """
    path = folder / INDEX
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise refused(folder, f"{INDEX} cannot be read ({_line(error)})") from error
    if not isinstance(index, dict):
        raise refused(folder, f"{INDEX} is no index of a pipeline")
    return dict(index)


def _videocrafter(folder: Path, index: dict[str, Any]) -> Networks:
    from diffusers import AutoencoderKL, DDIMScheduler
    from transformers import CLIPTextModel

    from turbo_eval.models.openclip_text import OpenClipWords
    from turbo_eval.models.videocrafter import VideoCrafterUNet

    with quiet_libraries():
        try:
            unet: Any = VideoCrafterUNet.from_pretrained(folder / "unet", local_files_only=True)
            vae: Any = AutoencoderKL.from_pretrained(folder / "vae", local_files_only=True)
            text: Any = CLIPTextModel.from_pretrained(folder / "text_encoder")
            scheduler = DDIMScheduler.from_pretrained(folder / "scheduler")
        except (OSError, ValueError, RuntimeError) as error:
            raise refused(
                folder, _line(error), "remove the folder, so that it is converted again"
            ) from error
    return Networks(
        unet=unet.eval(),
        vae=vae.eval(),
        text=text.eval(),
        tokenizer=OpenClipWords(int(text.config.max_position_embeddings)),
        scheduler=scheduler,
        rescale=float(index["rescale"]),
        prediction_type="epsilon",
        alphas_cumprod=noise_alphas_cumprod(),
    )


def _modelscope(folder: Path, unet: Any) -> Networks:
    from diffusers import TextToVideoSDPipeline

    weights = weight_files(folder)
    variant = {"variant": "fp16"} if weights and all(".fp16." in p.name for p in weights) else {}
    parts = {} if unet is None else {"unet": unet}
    with quiet_libraries():
        try:
            pipeline: Any = TextToVideoSDPipeline.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, **variant, **parts
            )
        except (OSError, ValueError, RuntimeError, TypeError, AttributeError) as error:
            raise refused(
                folder,
                _line(error),
                "check that every file of the repository is there, the weights as safetensors",
            ) from error
    if not isinstance(pipeline, TextToVideoSDPipeline):
        raise ConfigError(
            f"{folder} holds a {type(pipeline).__name__}", why="a TextToVideoSDPipeline is needed"
        )
    scheduler = pipeline.scheduler
    return Networks(
        unet=pipeline.unet.float().eval(),
        vae=pipeline.vae.float().eval(),
        text=pipeline.text_encoder.float().eval(),
        tokenizer=pipeline.tokenizer,
        scheduler=scheduler,
        rescale=None,
        prediction_type=prediction_type_of(str(scheduler.config.prediction_type)),
        alphas_cumprod=scheduler.alphas_cumprod.float(),
    )


def open_pipeline(folder: Path) -> Any:
    """A teacher's folder as diffusers' `TextToVideoSDPipeline`, VideoCrafter2's too.

    VideoCrafter2's network is told 16 frames per second then, as in its distillation.

    Args:
        folder: See `open_folder`.

    Raises:
        PrerequisiteError: See `open_folder`.
        ConfigError: See `open_folder`.
    """
    from diffusers import TextToVideoSDPipeline

    found = open_folder(folder)
    with quiet_libraries():
        return TextToVideoSDPipeline(
            vae=found.vae,
            text_encoder=found.text,
            tokenizer=found.tokenizer,
            unet=found.unet,
            scheduler=found.scheduler,
        )


def _line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200] or type(error).__name__


def teacher_folder(system: Published, base: Path) -> Path:
    """The folder in diffusers' layout of a system's teacher; VideoCrafter2 is converted once."""
    return convert(base) if system.family == "videocrafter2" else base


def open_networks(
    system: Published, base: Path, student: Path | None, *, projection_seed: int | None = None
) -> Networks:
    """Read a published system, in float32 on the CPU.

    Args:
        system: Which.
        base: The teacher's checkpoint or folder.
        student: The student's file.
        projection_seed: Draw the guidance projection's base weight, which the authors drew at
            random and did not publish, from this seed; zeros when None.

    Raises:
        PrerequisiteError: A file is missing, damaged, holds code or another network.
        InputError: The student was trained on another teacher.
    """
    if system.kind == "tuned" and student is not None:
        with _fitting(system, student):
            return _tuned(base, student)
    found = open_folder(teacher_folder(system, base))
    if student is not None:
        with _fitting(system, student):
            if system.kind == "lora":
                _merge_list(found.unet, student, projection_seed)
            else:
                found.unet = _whole_unet(student, base, motion=system.motion is not None)
    return found


@contextmanager
def _fitting(system: Published, student: Path) -> Iterator[None]:
    """Name the file and its page in what is wrong with its tensors."""
    try:
        yield
    except InputError as error:
        raise InputError(
            f"{student} does not fit {system.name}",
            why=f"{error.what}: {error.why}",
            fix=f"get the file from {system.student.page if system.student else 'its page'}",
        ) from error


def _tuned(folder: Path, path: Path) -> Networks:
    """ModelScope's folder with InstructVideo's UNet, or with its own and LoRA merged into it."""
    from turbo_eval.models import vgen

    state = vgen.read_vgen(path)
    whole = None if vgen.is_lora_only(state) else vgen.whole_unet(state, folder / "unet")
    found = open_folder(folder, unet=whole)
    if whole is None:
        vgen.merge_onto(found.unet, state)
    # As the program that this network was trained with does.
    found.zero_padded = True
    return found


def _merge_list(unet: nn.Module, path: Path, projection_seed: int | None) -> None:
    from turbo_eval.models.lora import load_released

    load_released(unet, read_list(path))
    if projection_seed is None:
        return
    weight = unet.get_submodule("time_embedding.cond_proj").weight
    assert isinstance(weight, nn.Parameter)
    with torch.no_grad():
        weight.add_(random_projection(tuple(weight.shape), projection_seed).to(weight))


def _whole_unet(path: Path, base: Path, *, motion: bool) -> Any:
    """A student's UNet from all its weights under lvdm's names."""
    from turbo_eval.models.videocrafter import unet_from_lvdm

    state = read_tensors(path, wrapper="state_dict")
    for prefix in (UNET_PREFIX, "module."):
        if all(name.startswith(prefix) for name in state):
            state = part(state, prefix)
    config = config_of(base)
    for key, wanted in (("time_cond_proj.weight", True), ("motion_cond_proj.weight", motion)):
        if wanted and key not in state:
            raise InputError(
                f"it has no {key}", why="it is a teacher, or another release of the student"
            )
    return unet_from_lvdm(state, config["unet"])

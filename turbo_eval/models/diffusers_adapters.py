"""What can be put on a diffusers pipeline: a motion adapter, a LoRA, another schedule.

AnimateDiff (arXiv 2307.04725) is an image pipeline with a motion adapter in its UNet;
AnimateDiff-Lightning (arXiv 2403.12706) and AnimateLCM (arXiv 2402.00769) are adapters that need
few steps and a schedule of their own.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from turbo_eval.core.errors import PrerequisiteError, TurboError, UsageError
from turbo_eval.models.diffusers_families import Family
from turbo_eval.models.diffusers_files import WEIGHTS, check_safetensors
from turbo_eval.models.diffusers_native import config_of
from turbo_eval.models.settings import Settings

SCHEDULES: Final = ("ddim", "lightning", "lcm")
_ADAPTER_WEIGHTS: Final = f"diffusion_pytorch_model{WEIGHTS}"


@dataclass(frozen=True, slots=True)
class Additions:
    """What is put on the pipeline; nothing when every field is empty.

    Attributes:
        motion: The motion adapter's folder or safetensors file.
        lora: A LoRA's safetensors file.
        lora_scale: How strongly it acts; 1 is as trained.
        schedule: One of `SCHEDULES`; empty keeps the folder's own.
        steps: Steps that the adapter was distilled for; 0 when it was not.
    """

    motion: Path | None = None
    lora: Path | None = None
    lora_scale: float = 1.0
    schedule: str = ""
    steps: int = 0

    def files(self) -> list[Path]:
        """Files that decide what is drawn."""
        return [path for path in (weights_of(self.motion), self.lora) if path is not None]

    def defaults(self, family: Family) -> Family:
        """The family with the steps and the guidance that the schedule is made for."""
        if self.schedule == "lightning":
            return replace(family, steps=self.steps or 4, guidance=1.0)
        if self.schedule == "lcm":
            return replace(family, steps=self.steps or 6, guidance=2.0)
        return family


def read_additions(settings: Settings) -> Additions:
    """The additions among the settings, each file checked.

    A file of AnimateDiff-Lightning tells its steps in its name (`..._4step_...`) and gets its
    schedule by itself; any other motion adapter gets AnimateDiff's own.

    Raises:
        PrerequisiteError: A file is missing, cut, or pickled.
        UsageError: An unknown schedule.
    """
    motion, lora = settings.path("motion_adapter"), settings.path("lora")
    schedule = settings.choice("scheduler", SCHEDULES)
    steps = 0
    if motion is not None:
        named = re.search(r"lightning.*?(\d+)step", motion.name, re.IGNORECASE)
        steps = int(named[1]) if named else 0
        schedule = schedule or ("lightning" if named else "ddim")
    for path in (weights_of(motion), lora):
        if path is not None:
            _check(path)
    return Additions(motion, lora, settings.number("lora_scale", 1.0), schedule, steps)


def weights_of(motion: Path | None) -> Path | None:
    """The weights file of a motion adapter given as a folder or as a file."""
    if motion is None or motion.suffix:
        return motion
    return motion / _ADAPTER_WEIGHTS


def _check(path: Path) -> None:
    if path.suffix != WEIGHTS:
        raise UsageError(
            f"{path} is not read", why="it is no safetensors file", fix="convert it to safetensors"
        )
    if not path.is_file():
        raise PrerequisiteError(
            f"{path} is missing", fix=f"put the published file into {path.parent}"
        )
    check_safetensors(path)


def motion_adapter(path: Path, base: Path, dtype: Any) -> Any:
    """Load a motion adapter for a Stable Diffusion folder.

    A file without a configuration, as AnimateDiff-Lightning publishes, has the shape that the
    folder's UNet and its own position table ask for.

    Args:
        path: A folder in diffusers' layout, or a safetensors file.
        base: The Stable Diffusion folder.
        dtype: A torch type.

    Raises:
        PrerequisiteError: It does not fit.
    """
    from diffusers import MotionAdapter

    try:
        if path.is_dir():
            return MotionAdapter.from_pretrained(
                path, local_files_only=True, use_safetensors=True, torch_dtype=dtype
            )
        from safetensors.torch import load_file

        tensors = load_file(path)
        adapter = MotionAdapter(**_shape(tensors, base))
        adapter.load_state_dict(tensors)
    except (RuntimeError, ValueError, OSError, KeyError) as error:
        raise _misfit(path, base, error) from None
    return adapter.to(dtype)


def _shape(tensors: dict[str, Any], base: Path) -> dict[str, Any]:
    """The settings of a motion adapter that its tensors and the UNet beside it imply."""
    unet = config_of(base, "unet")
    # The position table is shared out among the heads, so it tells the length only.
    table = next(value for key, value in tensors.items() if key.endswith("pos_embed.pe"))
    return {
        "block_out_channels": tuple(unet.get("block_out_channels", (320, 640, 1280, 1280))),
        "motion_layers_per_block": unet.get("layers_per_block", 2),
        "motion_norm_num_groups": unet.get("norm_num_groups", 32),
        "motion_max_seq_length": int(table.shape[1]),
        "use_motion_mid_block": any(key.startswith("mid_block.") for key in tensors),
    }


def add_lora(pipeline: Any, additions: Additions) -> None:
    """Put the LoRA on the pipeline, if there is one.

    Raises:
        PrerequisiteError: It does not fit, or nothing of it does.
        UsageError: The pipeline takes none.
    """
    path = additions.lora
    if path is None:
        return
    if not hasattr(pipeline, "load_lora_weights"):
        raise UsageError(f"{type(pipeline).__name__} takes no LoRA", fix="leave lora away")
    try:
        pipeline.load_lora_weights(
            str(path.parent), weight_name=path.name, adapter_name="added", use_safetensors=True
        )
        if not pipeline.get_active_adapters():
            raise ValueError("none of its tensors belongs to this pipeline")
        pipeline.set_adapters(["added"], [additions.lora_scale])
    except (RuntimeError, ValueError, OSError, KeyError) as error:
        raise _misfit(path, Path(pipeline.config._name_or_path or "pipeline"), error) from None


def set_schedule(pipeline: Any, schedule: str) -> None:
    """Exchange the scheduler for the one that an adapter was made with."""
    import diffusers

    config = pipeline.scheduler.config
    if schedule == "ddim":
        pipeline.scheduler = diffusers.DDIMScheduler.from_config(
            config,
            beta_schedule="linear",
            clip_sample=False,
            steps_offset=1,
            timestep_spacing="linspace",
        )
    elif schedule == "lightning":
        pipeline.scheduler = diffusers.EulerDiscreteScheduler.from_config(
            config, beta_schedule="linear", timestep_spacing="trailing"
        )
    elif schedule == "lcm":
        pipeline.scheduler = diffusers.LCMScheduler.from_config(config, beta_schedule="linear")


def _misfit(path: Path, base: Path, error: Exception) -> TurboError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return PrerequisiteError(
        f"{path} does not fit {base}",
        why=" ".join(lines[:2])[:300],
        fix="use a file that was made for this model",
    )

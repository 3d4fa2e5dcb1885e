"""Where and how fast a UNet pipeline draws: settings that the name of a system may carry.

`mini-turbo:compile=yes` or `runs/train/mine/student:offload=yes,tiling=yes`.
"""

from collections.abc import Iterator
from typing import Any, Final

from turbo_eval.models.quiet import quiet_libraries
from turbo_eval.models.settings import Settings

RUNNING: Final = ("offload", "tiling", "compile")
_CONTENT: Final = ("tiling",)
"""Settings among them that change a clip: the seams of tiles are blended."""


def content(settings: Settings) -> dict[str, str]:
    """The settings that belong to the key of a clip; empty for plain names."""
    return {key: "yes" for key in _CONTENT if settings.flag(key)}


def place(pipeline: Any, settings: Settings, *, device: str, dtype: Any) -> Any:
    """Put a diffusers pipeline with a UNet on its device, as the settings say.

    Args:
        pipeline: With `unet`, `vae` and a text encoder.
        settings: See `RUNNING`. `offload` keeps only the network at work on the device (a CPU has
            nothing to leave), `tiling` decodes in tiles and clip by clip, `compile` builds the
            UNet and the decoder.
        device: Where the networks run.
        dtype: A torch type.

    Returns:
        The pipeline.

    Raises:
        PrerequisiteError: The GPU is too small; `compile` is asked for and there is no compiler.
    """
    from turbo_eval.models.compiling import compile_networks
    from turbo_eval.models.memory import check_fits

    parts = (pipeline.unet, pipeline.vae, pipeline.text_encoder)
    check_fits(parts, device, dtype, offload=settings.flag("offload"))
    pipeline.set_progress_bar_config(disable=True)
    if settings.flag("tiling"):
        pipeline.vae.enable_tiling()
        pipeline.vae.enable_slicing()
    if settings.flag("compile"):
        compile_networks(pipeline.unet, pipeline.vae.decoder, device=device)
    with quiet_libraries():
        if settings.flag("offload") and device != "cpu":
            pipeline.to("cpu", dtype)
            pipeline.enable_model_cpu_offload(device=device)
            return pipeline
        return pipeline.to(device, dtype)


def denoisers(pipeline: Any) -> Iterator[Any]:
    """The networks of a pipeline that are called once a step or more."""
    for name in ("unet", "transformer", "transformer_2"):
        network = getattr(pipeline, name, None)
        if network is not None:
            yield network

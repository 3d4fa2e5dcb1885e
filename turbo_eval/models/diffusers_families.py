"""What diffusers' text-to-video pipelines draw when they are told nothing: their own defaults.

A pipeline's class decides; `model_index.json` names it. Where the size stands in the networks'
configurations `diffusers_native` reads it from there. The numbers are those of diffusers 0.42, and
a test compares them with the signatures; `fps` is what the authors of the weights give, because
most pipelines return frames without a clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from turbo_eval.core.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """How one pipeline class is called, and what it draws by itself.

    Attributes:
        frames: Frames of a clip.
        width: Pixels.
        height: Pixels.
        fps: Frames a second.
        steps: Sampling steps.
        guidance: Guidance scale.
        every: A clip has `every` k + `plus` frames.
        plus: See `every`.
        fixed: It draws `frames` frames and no others.
        fewest: Fewest steps.
        least: Fewest frames and shortest side; below them it returns black frames.
        trims: The pipeline cuts what it drew to `trims` k + 1 frames.
        multiple: Width and height are multiples of this.
        frames_key: The pipeline's word for the number of frames.
        fps_key: The pipeline's word for frames a second; empty when it has none.
        guidance_in: Where guidance goes: the argument, or the component `guider`.
        stages: Stages of a pyramid, each with this many steps; 0 when there is none.
        batch: Clips worth drawing at once; the large transformers fill a device with one.
        exact_vae: The decoder overflows or blurs in 16 bit, so it stays in float32.
        frames_in: The attribute of the result that holds the frames; where it is not `frames`,
            they are those of one clip.
        tiled: The decoder works tile by tile only.
        always: Arguments that every call has besides.
        negative: It follows a negative prompt; one whose guidance is told to the network has none.
        needs: A library besides diffusers that the class needs; it looks for unsafe prompts and
            clips.
    """

    frames: int
    width: int
    height: int
    fps: float
    steps: int = 50
    guidance: float
    every: int = 1
    plus: int = 0
    fixed: bool = False
    fewest: int = 1
    least: tuple[int, int] = (1, 1)
    trims: int = 1
    multiple: int = 16
    frames_key: str = "num_frames"
    fps_key: str = ""
    guidance_in: Literal["argument", "guider"] = "argument"
    stages: int = 0
    batch: int = 1
    exact_vae: bool = False
    frames_in: str = "frames"
    tiled: bool = False
    always: Mapping[str, Any] = field(default_factory=dict)
    negative: bool = True
    needs: str = ""

    def returned(self, frames: int) -> int:
        """Frames that come back when `frames` are asked for."""
        return (frames - 1) // self.trims * self.trims + 1


_UNET: Final = Family(
    frames=16, width=512, height=512, fps=8, guidance=7.5, multiple=8, batch=8
)  # fmt: skip
_WAN: Final = Family(
    frames=81, width=832, height=480, fps=16, guidance=5.0, every=4, plus=1, exact_vae=True
)
_SKYREELS: Final = replace(_WAN, frames=97, width=960, height=544, fps=24, guidance=6.0)
_LTX: Final = Family(
    frames=161,
    width=704,
    height=512,
    fps=25,
    guidance=3.0,
    every=8,
    plus=1,
    multiple=32,
    fps_key="frame_rate",
)
_LTX2: Final = replace(_LTX, frames=121, width=768, fps=24, steps=30)
_HUNYUAN: Final = Family(
    frames=129, width=1280, height=720, fps=24, guidance=6.0, every=4, plus=1
)  # fmt: skip
_HELIOS: Final = Family(
    frames=132, width=640, height=384, fps=24, guidance=5.0, every=33, trims=4, exact_vae=True
)
_GUARD: Final = "cosmos_guardrail"

FAMILIES: Final[Mapping[str, Family]] = {
    "AllegroPipeline": Family(
        frames=88, width=1280, height=720, fps=15, steps=100, guidance=7.5, every=4, multiple=8,
        least=(24, 320), tiled=True,
    ),
    "AnimateDiffPAGPipeline": _UNET,
    "AnimateDiffPipeline": _UNET,
    "AnimateDiffSDXLPipeline": replace(_UNET, width=1024, height=1024, guidance=5.0, batch=2),
    "AnyFlowFARPipeline": replace(_WAN, guidance=1.0),
    "AnyFlowPipeline": replace(_WAN, guidance=1.0),
    "CogVideoXPipeline": Family(
        frames=49, width=720, height=480, fps=8, guidance=6.0, every=8, plus=1, multiple=8
    ),
    "Cosmos2_5_PredictBasePipeline": replace(
        _WAN, frames=93, width=1280, height=704, fps=16, steps=36, guidance=7.0, needs=_GUARD
    ),
    "Cosmos3OmniPipeline": Family(
        frames=189, width=1280, height=720, fps=24, steps=35, guidance=6.0, every=4, plus=1,
        fps_key="fps", frames_in="video", needs=_GUARD,
    ),
    "CosmosTextToWorldPipeline": Family(
        frames=121, width=1280, height=704, fps=30, steps=36, guidance=7.0, every=8, plus=1,
        fps_key="fps", needs=_GUARD,
    ),
    "EasyAnimatePipeline": Family(
        frames=49, width=512, height=512, fps=8, guidance=5.0, every=4, plus=1,
        # With guidance it cannot do without one.
        always={"negative_prompt": ""},
    ),
    "HeliosPipeline": _HELIOS,
    "HeliosPyramidPipeline": replace(_HELIOS, steps=10, stages=3),
    "HunyuanVideo15Pipeline": replace(
        _HUNYUAN, frames=121, width=848, height=480, guidance_in="guider"
    ),
    "HunyuanVideoPipeline": replace(_HUNYUAN, negative=False),
    "Kandinsky5T2VPipeline": Family(
        frames=121, width=768, height=512, fps=24, guidance=5.0, every=4, plus=1
    ),
    "Kandinsky6TI2VAPipeline": Family(
        frames=121, width=768, height=512, fps=24, guidance=5.0, every=4, plus=1,
        fps_key="frame_rate",
    ),
    "LTX2ConditionPipeline": _LTX2,
    "LTX2Pipeline": _LTX2,
    "LTXConditionPipeline": _LTX,
    "LTXPipeline": _LTX,
    "LattePipeline": Family(
        frames=16, width=512, height=512, fps=8, guidance=7.5, multiple=8,
        frames_key="video_length", fixed=True,
    ),
    "MochiPipeline": Family(
        frames=19, width=848, height=480, fps=30, steps=64, guidance=4.5, every=6, plus=1,
        multiple=8, exact_vae=True,
    ),
    "MotifVideoPipeline": replace(
        _WAN, frames=121, width=1280, height=736, fps=24, guidance_in="guider"
    ),
    # It would draw at the nearest size of its own list, and scale and cut the frames.
    "SanaVideoPipeline": replace(
        _WAN, guidance=6.0, multiple=32, frames_key="frames",
        always={"use_resolution_binning": False},
    ),
    "SkyReelsV2DiffusionForcingPipeline": replace(_SKYREELS, fps_key="fps"),
    "SkyReelsV2Pipeline": _SKYREELS,
    "TextToVideoSDPipeline": replace(_UNET, width=256, height=256, guidance=9.0, batch=16),
    "TextToVideoZeroPipeline": replace(
        _UNET, frames=8, fps=4, frames_key="video_length", batch=1, frames_in="images",
        # It moves the latents at its 45th and 48th step from the end.
        fewest=48,
    ),
    "WanPipeline": _WAN,
    "WanVACEPipeline": _WAN,
}  # fmt: skip
"""Class name to its facts; every class that draws a clip from a prompt alone."""

BASES: Final[Mapping[str, str]] = {
    "StableDiffusionPipeline": "AnimateDiffPipeline",
    "StableDiffusionXLPipeline": "AnimateDiffSDXLPipeline",
}
"""Image pipelines that a motion adapter turns into a text-to-video one."""


def check_request(name: str, family: Family, *, frames: int, size: tuple[int, int]) -> None:
    """Refuse a length or a size that the pipeline would change in silence, or cannot draw.

    Raises:
        UsageError: The nearest ones that it can draw are named.
    """
    if frames < family.least[0] or min(size) < family.least[1]:
        raise UsageError(
            f"{name} with {frames} frames of {size[0]}x{size[1]}",
            why="its decoder works on larger tiles only",
            fix=f"choose at least {family.least[0]} frames of {family.least[1]}x{family.least[1]}",
        )
    if family.fixed and frames != family.frames:
        raise UsageError(
            f"{name} with {frames} frames",
            why="its position table has one length",
            fix=f"leave frames away, or choose frames={family.frames}",
        )
    if (frames - family.plus) % family.every or frames < max(1, family.plus):
        below = max(family.plus or family.every, frames - (frames - family.plus) % family.every)
        near = sorted({below, below + family.every})
        rule = f"{family.every}k + {family.plus}" if family.plus else f"{family.every}k"
        raise UsageError(
            f"{name} with {frames} frames",
            why=f"it draws {rule} frames",
            fix=f"choose frames={' or frames='.join(map(str, near))}",
        )
    for word, pixels in zip(("width", "height"), size, strict=True):
        if pixels % family.multiple:
            near = sorted({max(1, pixels // family.multiple + i) * family.multiple for i in (0, 1)})
            raise UsageError(
                f"{name} with a {word} of {pixels}",
                why=f"it is a multiple of {family.multiple}",
                fix=f"choose {' or '.join(map(str, near))}",
            )

"""The published text-to-video systems by name: facts, files and where to get them."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

Family = Literal["videocrafter2", "modelscope"]
Kind = Literal["teacher", "tuned", "lora", "full"]
_HUB: Final = "https://huggingface.co"
_MODELSCOPE_HUB: Final = "https://modelscope.cn/models"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file, or a folder in diffusers' layout, that somebody published.

    Attributes:
        file: Its published name; empty for a whole repository.
        names: Names that it may have below a folder of weights; the first is the best.
        hub: Repository on the hub that holds it.
        gigabytes: About how large it is (10^9 bytes).
        licence: Its terms.
        site: The hub.
        place: Path of the file in its repository; empty where that is its name.
    """

    file: str
    names: tuple[str, ...]
    hub: str
    gigabytes: float
    licence: str
    site: str = _HUB
    place: str = ""

    @property
    def page(self) -> str:
        """Where people find it and its terms."""
        return f"{self.site}/{self.hub}"

    @property
    def url(self) -> str:
        """Where a program gets the file; empty for a whole repository."""
        branch = "main" if self.cached else "master"
        return f"{self.page}/resolve/{branch}/{self.place or self.file}" if self.file else ""

    @property
    def cached(self) -> bool:
        """Whether its hub is the one whose cache on this machine is searched."""
        return self.site == _HUB


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A system under its name.

    Attributes:
        name: What a user types.
        family: Which networks it has.
        kind: A teacher, its UNet fine-tuned (`tuned`, which samples as a teacher does), a list of
            LoRA weights on one, or all weights of a student's UNet.
        base: The teacher, which also holds the autoencoder and the text encoder.
        student: The student's own file; None for a teacher.
        width: Clip width in pixels.
        height: Clip height in pixels.
        frames: Number of frames.
        fps: Frames per second of the clip.
        told: Frames per second that the network is told; None when it does not ask.
        steps: Sampling steps.
        guidance: Guidance scale.
        table: Length of the table that a student's timesteps are picked from.
        motion: Motion guidance scale of v2, and the share of the trajectory that has it.
        description: One sentence.
    """

    name: str
    family: Family
    kind: Kind
    base: Source
    student: Source | None = None
    width: int
    height: int
    frames: int = 16
    fps: float
    told: int | None = None
    steps: int
    guidance: float
    table: int = 50
    motion: tuple[float, float] | None = None
    description: str

    @property
    def few_step(self) -> bool:
        """Whether it is told its guidance and drawn by consistency sampling, as students are."""
        return self.kind in ("lora", "full")


VIDEOCRAFTER2: Final = Source(
    file="model.ckpt",
    names=(
        "VideoCrafter2/model.ckpt",
        "videocrafter2/model.ckpt",
        "VideoCrafter2/model.safetensors",
        "model.ckpt",
    ),
    hub="VideoCrafter/VideoCrafter2",
    gigabytes=7.4,
    licence="Apache-2.0",
)
MODELSCOPE: Final = Source(
    file="",
    names=(
        "text-to-video-ms-1.7b",
        "ali-vilab/text-to-video-ms-1.7b",
        "damo-vilab/text-to-video-ms-1.7b",
        "modelscope",
    ),
    hub="ali-vilab/text-to-video-ms-1.7b",
    gigabytes=7.3,
    licence="CC-BY-NC-4.0",
)
_TUNED: Final = "ddim20_1102-18-52_non_ema_0620000.pth"
INSTRUCTVIDEO: Final = Source(
    file=_TUNED,
    names=(
        f"instructvideo/{_TUNED}",
        f"instructvideo-finetuned/{_TUNED}",
        f"InstructVideo/instructvideo-finetuned/{_TUNED}",
        f"iic/InstructVideo/instructvideo-finetuned/{_TUNED}",
        _TUNED,
    ),
    hub="iic/InstructVideo",
    # Of 1.41 billion numbers in float32; the page could not be asked.
    gigabytes=5.7,
    licence="research and non-commercial use only",
    site=_MODELSCOPE_HUB,
    place=f"instructvideo-finetuned/{_TUNED}",
)


def _student(folder: str, file: str, hub: str, gigabytes: float, licence: str) -> Source:
    names = (f"{folder}/{file}", f"{hub.rpartition('/')[2]}/{file}", file)
    return Source(file=file, names=names, hub=hub, gigabytes=gigabytes, licence=licence)


_AUTHORS: Final = "jiachenli-ucsb"

SYSTEMS: Final = MappingProxyType(
    {
        system.name: system
        for system in (
            Published(
                name="videocrafter2",
                family="videocrafter2",
                kind="teacher",
                base=VIDEOCRAFTER2,
                width=512,
                height=320,
                fps=10,
                told=28,
                steps=50,
                guidance=12.0,
                description="VideoCrafter2 (arXiv 2401.09047), its own DDIM.",
            ),
            Published(
                name="modelscope",
                family="modelscope",
                kind="teacher",
                base=MODELSCOPE,
                width=256,
                height=256,
                fps=8,
                steps=50,
                guidance=9.0,
                description="ModelScopeT2V 1.7B (arXiv 2308.06571), DDIM.",
            ),
            Published(
                name="instructvideo",
                family="modelscope",
                kind="tuned",
                base=MODELSCOPE,
                student=INSTRUCTVIDEO,
                width=256,
                height=256,
                fps=8,
                steps=20,
                guidance=3.0,
                description="InstructVideo on ModelScopeT2V (arXiv 2312.12490), DDIM.",
            ),
            Published(
                name="t2v-turbo-vc2",
                family="videocrafter2",
                kind="lora",
                base=VIDEOCRAFTER2,
                student=_student(
                    "t2v-turbo-vc2", "unet_lora.pt", f"{_AUTHORS}/T2V-Turbo-VC2", 0.47, "CC-BY-4.0"
                ),
                width=512,
                height=320,
                fps=16,
                told=16,
                steps=4,
                guidance=7.5,
                description="T2V-Turbo on VideoCrafter2 (arXiv 2405.18750).",
            ),
            Published(
                name="t2v-turbo-ms",
                family="modelscope",
                kind="lora",
                base=MODELSCOPE,
                student=_student(
                    "t2v-turbo-ms", "unet_lora.pt", f"{_AUTHORS}/T2V-Turbo-MS", 0.23, "CC-BY-4.0"
                ),
                width=256,
                height=256,
                fps=8,
                steps=4,
                guidance=7.5,
                description="T2V-Turbo on ModelScopeT2V (arXiv 2405.18750).",
            ),
            Published(
                name="t2v-turbo-v2",
                family="videocrafter2",
                kind="full",
                base=VIDEOCRAFTER2,
                student=_student(
                    "t2v-turbo-v2", "unet_mg.pt", f"{_AUTHORS}/T2V-Turbo-v2", 5.66, "Apache-2.0"
                ),
                width=512,
                height=320,
                fps=8,
                told=8,
                steps=16,
                guidance=7.5,
                table=200,
                motion=(0.05, 0.5),
                description="T2V-Turbo-v2 with motion guidance (arXiv 2410.05677).",
            ),
            Published(
                name="t2v-turbo-v2-no-mg",
                family="videocrafter2",
                kind="full",
                base=VIDEOCRAFTER2,
                student=_student(
                    "t2v-turbo-v2",
                    "unet_no_mg.pt",
                    f"{_AUTHORS}/T2V-Turbo-v2-no-MG",
                    5.66,
                    "Apache-2.0",
                ),
                width=512,
                height=320,
                fps=8,
                told=8,
                steps=16,
                guidance=7.5,
                table=200,
                description="T2V-Turbo-v2 without motion guidance (arXiv 2410.05677).",
            ),
        )
    }
)
"""Name -> system."""
TRAINED_HERE: Final = ("vcm-vc2", "vcm-ms")
"""Students whose authors published no weights: folders that `turbo-train export` wrote."""

"""The configuration tree: what a run may be told, with ranges and defaults.

The description of every field is also the text of `docs/environment.md`, so it is written for the
person who sets it.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Dtype = Literal["float32", "float16", "bfloat16"]
JudgeDtype = Literal["float32", "bfloat16"]
Compat = Literal["vbench", "fixed"]


def _from_shorthand(value: Any) -> Any:
    """Read `NAME` and `NAME@STEPS` as a model's table; leave everything else to validation."""
    if not isinstance(value, str):
        return value
    name, at, steps = value.rpartition("@")
    # Only digits count as steps, so a path that contains an @ stays a path.
    if at and steps.isdecimal():
        return {"name": name, "steps": int(steps)}
    return {"name": value}


def _from_short_name(value: Any) -> Any:
    """Read the short name of a number type; leave everything else to validation."""
    return "bfloat16" if value == "bf16" else value


class ModelConfig(BaseModel):
    """One text-to-video system and how it is sampled.

    In files and on the command line a string will do: `mini-teacher` or `mini-teacher@4`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str = Field(
        min_length=1, description="A model's name, folder:PATH, or a manifest's path."
    )
    steps: int | None = Field(
        default=None, ge=1, le=1000, description="Sampling steps; the model's own when not given."
    )
    guidance: float | None = Field(
        default=None, ge=0, le=100, description="Guidance scale; the model's own when not given."
    )

    @property
    def label(self) -> str:
        """The name that tells this entry from another sampling of the same model."""
        steps = "" if self.steps is None else f"@{self.steps}"
        guidance = "" if self.guidance is None else f"-g{self.guidance:g}"
        return f"{self.name}{steps}{guidance}"


ModelEntry = Annotated[ModelConfig, BeforeValidator(_from_shorthand)]


class RunConfig(BaseModel):
    """Everything that a run can be told. Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    suite: str = Field(
        default="mini",
        min_length=1,
        description="Prompt suite: mini, vbench, evalcrafter, custom:FILE, ...",
    )
    models: list[ModelEntry] = Field(
        default_factory=list,
        description="Models to evaluate: NAME, NAME@STEPS, folder:PATH or a manifest's path.",
    )
    seeds: int = Field(
        default=1,
        ge=1,
        le=10_000,
        description="Videos per prompt; for folders of existing videos VBench's protocol, 5, when "
        "not given.",
    )
    allow_fewer: bool = Field(
        default=False,
        description="Whether a prompt may have fewer existing videos than seeds says; true when "
        "neither is given and the prompts are not VBench's own list.",
    )
    seed_base: int = Field(
        default=0, ge=0, lt=2**32, description="First seed; the others count up from it."
    )
    dimensions: list[str] | None = Field(
        default=None,
        min_length=1,
        description="Only these dimensions, or reward.NAME; all when not given.",
    )
    rewards: list[str] = Field(
        default_factory=list,
        description="Reward models that score the videos beside the judges; a run folder keeps "
        "those it has and takes more at any time.",
    )
    prompts: list[str] | None = Field(
        default=None,
        min_length=1,
        description="Only prompts whose id or text matches one of these (globs allowed).",
    )
    limit: int | None = Field(
        default=None,
        ge=1,
        description="At most this many prompts, spread over the dimensions; marks the run partial.",
    )
    rewritten: Path | None = Field(
        default=None,
        strict=False,
        description="File of rewritten prompts that models are given instead of the suite's own; "
        "names of files and scores keep to the originals.",
    )
    judges: str = Field(default="mini", min_length=1, description="Set of judges that scores.")
    judge_dtype: Annotated[JudgeDtype, BeforeValidator(_from_short_name)] = Field(
        default="float32",
        description="float32, or bfloat16 (bf16) for judges that compute in it: faster on a GPU, "
        "scores of their own that never mix with others.",
    )
    compat: Compat = Field(
        default="vbench",
        description="vbench scores as the official program does, quirks included; fixed measures "
        "what a dimension's name says.",
    )
    static_filter: bool = Field(
        default=False,
        description="Score temporal flickering on the first 5 of up to 25 videos of a prompt that "
        "stand still, as VBench's static filter picks them.",
    )
    device: str = Field(
        default="auto",
        pattern=r"^(auto|cpu|cuda(:\d+)?|mps)$",
        examples=["auto", "cpu", "cuda", "cuda:0", "mps"],
        description="auto, cpu, cuda, cuda:N or mps.",
    )
    dtype: Dtype = Field(default="float32", description="Number type of the models' weights.")
    batch_size: Annotated[int, Field(ge=1, le=4096)] | Literal["auto"] = Field(
        default="auto",
        description="Videos generated at once; auto starts wide and halves when memory runs out.",
    )
    run: Path = Field(
        default=Path("runs"),
        strict=False,
        description="Folder that keeps the run; a new one, SUITE-KEY, below runs when not given.",
    )
    weights_dir: Path | None = Field(
        default=None,
        strict=False,
        description="Folder with weights; the ones inside the package when not given.",
    )
    retries: int = Field(
        default=1, ge=0, le=10, description="How often a failed item is tried again."
    )
    fail_threshold: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Share of items that may fail; beyond it the run ends with exit code 7.",
    )

    def identity(self) -> dict[str, Any]:
        """The settings that decide what the results are, as plain JSON values.

        Two runs with equal identities may share a folder; device, batch size, folder and failure
        policy may differ, because they change nothing but rounding and patience.
        """
        found = self.model_dump(mode="json", exclude=set(OPERATIONAL))
        return {
            key: value
            for key, value in found.items()
            if key not in LATER or value != type(self).model_fields[key].default
        }


LATER = ("allow_fewer", "rewritten", "judge_dtype", "compat", "static_filter")
"""Keys that came after the first runs: at their defaults they are left out of the identity, so that
older run folders stay open."""

GROWING = ("seeds",)
"""Keys of a run folder that may become larger: more videos only add to what is there."""

OPERATIONAL = (
    "run", "rewards", "device", "batch_size", "weights_dir", "retries", "fail_threshold",
)  # fmt: skip
"""Keys that may change between two starts of one run folder."""

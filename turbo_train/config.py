"""What one training run is: a checked tree, read from a named or given TOML file."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from turbo_eval.core.errors import ConfigError, nearest, unknown
from turbo_eval.core.hashing import content_key
from turbo_train.data.settings import DataSettings

FOLDER = Path(__file__).parent / "configs"
RecipeName = Literal["vcm", "turbo", "turbo_v2", "instructvideo", "draft"]
OPERATIONAL = frozenset({"steps", "save_every", "keep", "report_every", "track", "accelerator"})
"""Settings that a resumed run may change: they alter no number of the steps already done."""

Positive = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Scale = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class Lora(_Settings):
    """The adapters: rank (narrow layers get less) and dropout of their branches."""

    rank: Positive = 64
    dropout: float = Field(default=0.1, ge=0, lt=1)


class Consistency(_Settings):
    """Consistency distillation; defaults are T2V-Turbo's.

    `solver_steps` is N, `w_min`..`w_max` the range of guidance scales (in the form of LCM),
    `target_ema` the decay of an averaged copy that makes the target (0: the student itself, as in
    the authors' program; the paper has an average).
    """

    solver_steps: Positive = 50
    w_min: float = 5.0
    w_max: float = 15.0
    loss: Literal["huber", "l2"] = "huber"
    huber_c: Rate = 0.001
    target_ema: float = Field(default=0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _range(self) -> "Consistency":
        if self.w_max < self.w_min:
            raise ValueError(f"w_max {self.w_max} is below w_min {self.w_min}")
        return self


class Rewards(_Settings):
    """Rewards on the single-step prediction.

    `image` and `video` map a reward's name to its scale. `image_frames` frames are picked at
    random and decoded for the image rewards, `video_frames` evenly for the video rewards, of
    `clips` clips of the batch.
    """

    image: dict[str, Scale] = {}
    video: dict[str, Scale] = {}
    image_frames: Positive = 5
    video_frames: Positive = 8
    clips: Positive = 1


class Motion(_Settings):
    """Motion guidance of v2: scale of the score, and the noisy share of intervals that have it."""

    scale: Scale = 0.05
    percentage: float = Field(default=0.5, gt=0, le=1)


class Chain(_Settings):
    """Sampling chain of the reward baselines.

    `steps` of DDIM with guidance `guidance` (1: none). InstructVideo starts it from a real clip,
    noised to the share `start` of the schedule, reads one frame of each of `segments` segments and
    weighs it by `attenuation` to the power of its distance from the middle one; DRaFT starts from
    noise.
    """

    steps: Positive = 20
    guidance: float = Field(default=7.5, ge=0)
    start: float = Field(default=0.5, gt=0, le=1)
    segments: Positive = 4
    attenuation: float = Field(default=0.9, gt=0, le=1)


class Optimizer(_Settings):
    """AdamW, in 8 bits where asked for and installed; a constant rate after `warmup` steps."""

    lr: Rate = 1e-5
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.999, ge=0, lt=1)
    eps: Rate = 1e-8
    weight_decay: float = Field(default=0.0, ge=0)
    max_grad_norm: Rate = 1.0
    warmup: int = Field(default=0, ge=0)
    bits: Literal[8, 32] = 32


class Accelerator(_Settings):
    """How the run is spread: number format of a step, and memory against time.

    `sharding = "fsdp"` spreads the student over the processes instead of copying it into each;
    `compile` hands student, teacher and decoder to `torch.compile`.
    """

    mixed_precision: Literal["no", "bf16", "fp16"] = "bf16"
    gradient_checkpointing: bool = True
    sharding: Literal["none", "fsdp"] = "none"
    compile: bool = False


class TrainConfig(_Settings):
    """One training run.

    Attributes:
        recipe: What is trained: `vcm`, `turbo`, `turbo_v2`, or a baseline.
        teacher: A registered teacher or a folder in diffusers' layout.
        batch_size: Clips per device and step, before accumulation.
        compat: `ours`, or `authors` for the published program's behaviour: the teacher keeps its
            dropout, noise tables are rounded, rewards are split by rank (with one process the
            video reward gets a third of its scale, which is the same objective).
    """

    recipe: RecipeName
    teacher: str
    name: str = ""
    description: str = ""
    steps: Positive = 10_000
    batch_size: Positive = 1
    accumulate: Positive = 1
    seed: int = Field(default=453645634, ge=0)
    compat: Literal["ours", "authors"] = "ours"
    data: DataSettings = DataSettings()
    lora: Lora = Lora()
    consistency: Consistency = Consistency()
    rewards: Rewards = Rewards()
    motion: Motion = Motion()
    chain: Chain = Chain()
    optimizer: Optimizer = Optimizer()
    accelerator: Accelerator = Accelerator()
    save_every: Positive = 500
    keep: Positive = 5
    report_every: Positive = 10
    track: Literal["none", "tensorboard", "wandb"] = "tensorboard"

    @model_validator(mode="after")
    def _rewards_fit(self) -> "TrainConfig":
        rewarded = bool(self.rewards.image or self.rewards.video)
        if self.recipe == "vcm" and rewarded:
            raise ValueError("recipe vcm takes no rewards: choose turbo, or leave [rewards] out")
        if self.recipe != "vcm" and not rewarded:
            raise ValueError(f"recipe {self.recipe} needs a reward in [rewards]")
        if self.recipe in ("instructvideo", "draft") and self.rewards.video:
            raise ValueError(f"recipe {self.recipe} takes image rewards only")
        if self.rewards.clips > self.batch_size:
            raise ValueError(
                f"rewards.clips {self.rewards.clips} is above batch_size {self.batch_size}"
            )
        return self

    @model_validator(mode="after")
    def _sharding_fits(self) -> "TrainConfig":
        if self.accelerator.sharding == "none":
            return self
        if self.compat == "authors":
            raise ValueError("compat = 'authors' splits work by process, which shards cannot")
        if self.optimizer.bits == 8:
            raise ValueError("8-bit Adam has no shards: set optimizer.bits=32 or sharding 'none'")
        if self.accelerator.compile:
            raise ValueError("accelerator.compile and sharding 'fsdp' do not go together")
        return self

    @property
    def key(self) -> str:
        """Content key of everything that decides about the numbers."""
        return content_key("train", frozen(self))


def frozen(config: TrainConfig) -> dict[str, Any]:
    """The settings that a resumed run must share, as plain values."""
    return config.model_dump(mode="json", exclude=set(OPERATIONAL))


def names() -> list[str]:
    """Names of the packaged configurations, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def path_of(name: str) -> Path:
    """The file behind a packaged name or a path.

    Raises:
        UsageError: Neither; the nearest names are suggested.
    """
    given = Path(name)
    if given.suffix == ".toml" and given.is_file():
        return given
    path = FOLDER / f"{name}.toml"
    if not path.is_file():
        raise unknown("training configuration", name, names())
    return path


def load(name: str, overrides: Sequence[str] = ()) -> TrainConfig:
    """Read a configuration and apply `key.sub=value` overrides.

    Args:
        name: A packaged name (see `names`) or the path of a TOML file.
        overrides: Such as `optimizer.lr=1e-4` or `rewards.image={"mini-image"=1.0}`; values are
            TOML, and a word that is no TOML is taken as text.

    Raises:
        UsageError: No such configuration.
        ConfigError: Unreadable file, unknown key or refused value, each named.
    """
    path = path_of(name)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no TOML file", why=str(error)) from None
    values.setdefault("name", path.stem)
    for text in overrides:
        _override(values, text)
    return check(values, source=str(path))


def _override(values: dict[str, Any], text: str) -> None:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ConfigError(f"override {text!r}", why="it has no value", fix="write key=value")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value
    inner = values
    *parents, last = key.split(".")
    for parent in parents:
        inner = inner.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"override {text!r}", why=f"{parent} is a single value")
    inner[last] = parsed


def check(values: Mapping[str, Any], *, source: str) -> TrainConfig:
    """Check plain values.

    Raises:
        ConfigError: What is wrong first, with the nearest known key for an unknown one.
    """
    try:
        return TrainConfig.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = _fields(first["loc"][:-1])
            close = ", ".join(nearest(str(first["loc"][-1]), known)) or ", ".join(known)
            raise ConfigError(
                f"unknown setting {place!r} in {source}", fix=f"nearest: {close}"
            ) from None
        message = first["msg"].removeprefix("Value error, ")
        what = f"setting {place!r} in {source}" if place else source
        raise ConfigError(f"{what} is refused", why=message) from None


def _fields(place: Sequence[int | str]) -> list[str]:
    model: Any = TrainConfig
    for part in place:
        model = model.model_fields[part].annotation
    return sorted(model.model_fields)

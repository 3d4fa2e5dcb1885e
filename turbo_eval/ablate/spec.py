"""What an ablation is: a checked TOML file, packaged by name or given by path."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from turbo_eval.core.errors import ConfigError, UsageError, nearest, unknown

FOLDER = Path(__file__).parent / "presets"
Preset = Literal["full", "quick"]
Steps = Annotated[int, Field(ge=1, le=1000)]
Guidance = Annotated[float, Field(ge=0, le=100)]
Text = Annotated[str, Field(min_length=1, max_length=60)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Base(_Part):
    """What every variant starts from: a training configuration and changes to it.

    Attributes:
        config: A packaged configuration of `turbo-train list`, or the path of a TOML file.
        set: Training settings. A bare dotted key changes that setting alone; a quoted one with a
            table replaces the whole table.
    """

    config: Text = "mini-turbo"
    set: dict[str, Any] = {}


class Variant(_Part):
    """One student, or a family of them.

    Attributes:
        name: Its row in the table.
        config: In place of the base's configuration.
        set: Changes on top of the base's.
        grid: Setting -> values; every combination becomes a student of its own.
        steps, guidance: How it is sampled, in place of `[sampling]`.
    """

    name: Text
    config: Text | None = None
    set: dict[str, Any] = {}
    grid: dict[str, list[Any]] = {}
    steps: list[Steps] | None = None
    guidance: Guidance | None = None


class System(_Part):
    """A system that is not trained here, such as the teacher: one row for each number of steps."""

    model: Text
    name: Text | None = None
    steps: Steps | list[Steps] | None = None
    guidance: Guidance | None = None


class Sampling(_Part):
    """How every student is sampled; its own guidance where none is given."""

    steps: list[Steps] = [4]
    guidance: Guidance | None = None


class Claim(_Part):
    """A sentence that is settled by numbers, written down before they are known.

    Attributes:
        text: The sentence.
        row: The row that it is about.
        against: Rows that it is compared with; the claim must hold against each.
        measure: `total`, `quality`, `semantic`, a dimension or `reward.NAME`.
        expect: `higher`, `lower`, `not lower` (the interval stays above minus `margin`), or `fewer`
            network calls (at least `times` fewer).
        margin: What still counts as not lower, in the measure's own unit (totals 0..1).
        times: Factor of `fewer`.
    """

    text: Annotated[str, Field(min_length=1, max_length=300)]
    row: Text
    against: Annotated[list[Text], Field(min_length=1)]
    measure: Text = "total"
    expect: Literal["higher", "lower", "not lower", "fewer"] = "higher"
    margin: Annotated[float, Field(ge=0)] = 0.0
    times: Annotated[float, Field(gt=0)] = 1.0


class Quick(_Part):
    """What `--preset quick` changes; a variant's own settings stay above `set`."""

    set: dict[str, Any] = {}
    prompts: list[str] | None = None
    limit: int | None = Field(default=None, ge=1)
    dimensions: list[str] | None = None
    seeds: int | None = Field(default=None, ge=1)
    sampling: Sampling | None = None


class Ablation(_Part):
    """A grid over training and sampling settings, and what it is measured on.

    Attributes:
        suite, prompts, limit, dimensions, seeds, seed_base, judges: As in `turbo-eval run`.
        rewards: Reward models that score the clips beside the judges.
        baseline: Row that every other one is compared with; the first variant's when absent.
        reference: A second row of that kind, such as the teacher.
        show: Dimensions with a column of their own in the main table.
        training_seed: Seed of every training, so that LoRA, data order and noise are shared; a
            variant or a grid may set `seed` itself.
        grid: Setting -> values; every variant is crossed with every combination.
        claim: Sentences that the numbers settle.
    """

    name: Text = "ablation"
    description: str = ""
    suite: str = Field(default="mini", min_length=1)
    prompts: list[str] | None = None
    limit: int | None = Field(default=None, ge=1)
    dimensions: list[str] | None = None
    seeds: int = Field(default=1, ge=1, le=10_000)
    seed_base: int = Field(default=0, ge=0, lt=2**32)
    judges: str = "mini"
    rewards: list[str] = []
    baseline: str | None = None
    reference: str | None = None
    show: list[str] = []
    training_seed: int = Field(default=7, ge=0)
    base: Base = Base()
    variant: list[Variant] = []
    grid: dict[str, list[Any]] = {}
    system: list[System] = []
    sampling: Sampling = Sampling()
    claim: list[Claim] = []
    quick: Quick | None = None

    def preset(self, name: str) -> "Ablation":
        """This ablation in full, or as `[quick]` shrinks it.

        Raises:
            UsageError: Another word, or `quick` where the file has no `[quick]`.
        """
        if name == "full":
            return self.model_copy(update={"quick": None})
        if name != "quick":
            raise unknown("preset", name, ("full", "quick"))
        if self.quick is None:
            raise UsageError(
                f"ablation {self.name} has no quick form",
                why="its file has no [quick] table",
                fix="leave --preset out, or add [quick] with limit, seeds and set",
            )
        updates: dict[str, Any] = {
            key: value
            for key in ("prompts", "limit", "dimensions", "seeds", "sampling")
            if (value := getattr(self.quick, key)) is not None
        }
        base = self.base.model_copy(update={"set": {**self.base.set, **self.quick.set}})
        return self.model_copy(update={**updates, "base": base, "quick": None})


def names() -> list[str]:
    """Names of the packaged ablations, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def path_of(name: str) -> Path:
    """The file behind a packaged name or a path.

    Raises:
        UsageError: Neither; the nearest names are suggested.
    """
    given = Path(name)
    if given.suffix == ".toml":
        if not given.is_file():
            raise UsageError(f"ablation file {name} was not found", fix="check the path")
        return given
    if name not in names():
        raise unknown("ablation", name, names())
    return FOLDER / f"{name}.toml"


def load(name: str) -> Ablation:
    """Read an ablation.

    Args:
        name: A packaged name (see `names`) or the path of a TOML file.

    Raises:
        UsageError: No such ablation.
        ConfigError: Unreadable file, unknown key or refused value, each named.
    """
    path = path_of(name)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} is no TOML file that can be read", why=str(error)) from None
    values.setdefault("name", path.stem)
    return check(values, source=str(path))


def check(values: Mapping[str, Any], *, source: str) -> Ablation:
    """Check plain values.

    Raises:
        ConfigError: The first thing that is wrong; the nearest known key for an unknown one.
    """
    try:
        return Ablation.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = [part for part in first["loc"] if part not in {"int", "list[constrained-int]"}]
        shown = ".".join(str(part) for part in place)
        if first["type"] == "extra_forbidden":
            known = _fields(place[:-1])
            close = " or ".join(nearest(str(place[-1]), known)) or ", ".join(known)
            raise ConfigError(
                f"unknown key {shown!r} in {source}", fix=f"did you mean {close}?"
            ) from None
        given = repr(first["input"])
        given = given if len(given) <= 60 else f"{given[:57]}..."
        raise ConfigError(f"{shown} = {given} in {source} is refused", why=first["msg"]) from None


_PARTS: Mapping[str, type[_Part]] = {
    "base": Base,
    "variant": Variant,
    "system": System,
    "sampling": Sampling,
    "claim": Claim,
    "quick": Quick,
}


def _fields(place: Sequence[int | str]) -> list[str]:
    """Keys that may stand at a place of the file."""
    tables = [_PARTS[part] for part in place if isinstance(part, str) and part in _PARTS]
    return sorted((tables[-1] if tables else Ablation).model_fields)

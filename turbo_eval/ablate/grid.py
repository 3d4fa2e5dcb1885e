"""From an ablation to the students that it trains and the rows of its table."""

import itertools
import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from turbo_eval.ablate.spec import Ablation
from turbo_eval.ablate.spec import Variant as Entry
from turbo_eval.core.errors import ConfigError, UsageError, unknown
from turbo_eval.core.runs import safe_name


@dataclass(frozen=True, slots=True)
class Variant:
    """One student to train.

    Attributes:
        name: Short name, unique in the ablation.
        config: Training configuration that it starts from.
        settings: Dotted training setting -> value.
        steps: Numbers of sampling steps; each is a row.
        guidance: Guidance scale of the rows; the student's own when None.
    """

    name: str
    config: str
    settings: Mapping[str, Any]
    steps: tuple[int, ...]
    guidance: float | None

    @property
    def folder(self) -> str:
        """Name of its folders; `variants` sees to it that no two are the same."""
        plain = re.sub(r"[^A-Za-z0-9._]+", "-", self.name).strip("-.")
        return plain or safe_name(self.name)

    @property
    def changes(self) -> list[str]:
        """`key=value` for every setting, as `turbo-train --set` takes them."""
        return [f"{key}={toml(value)}" for key, value in self.settings.items()]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table: a system sampled in one way.

    Attributes:
        name: What the table says, unique.
        variant: The student that it samples, None for a system that was not trained here.
        model: Registered name or path of such a system; empty for a student.
        steps: Sampling steps; the system's own when None.
        guidance: Guidance scale; the system's own when None.
    """

    name: str
    variant: Variant | None
    model: str
    steps: int | None
    guidance: float | None


def variants(spec: Ablation, changes: Sequence[str] = ()) -> tuple[Variant, ...]:
    """Every student of an ablation: variants crossed with grids.

    Strongest first: `changes`, a grid's value, the variant's `set`, the base's.

    Args:
        spec: The ablation.
        changes: `key=value` as typed, for all students.

    Raises:
        UsageError: A change cannot be read, or contradicts a grid.
        ConfigError: A grid without values, or two students of one name.
    """
    typed = dict(_typed(text) for text in changes)
    shared = {"seed": spec.training_seed, **flat(spec.base.set)}
    found: list[Variant] = []
    entries: Sequence[Entry | None] = spec.variant or [None]
    for entry in entries:
        found += _crossed(spec, entry, shared, typed)
    _distinct([v.name for v in found], "variant")
    _distinct([v.folder.lower() for v in found], "folder of a variant")
    return tuple(found)


def _crossed(
    spec: Ablation, entry: Entry | None, shared: Mapping[str, Any], typed: Mapping[str, Any]
) -> Iterator[Variant]:
    own = {} if entry is None else entry.grid
    axes = {**spec.grid, **own}
    for key, values in axes.items():
        if not values:
            raise ConfigError(f"the grid over {key!r} is empty", fix="give it values, or drop it")
        if key in typed:
            raise UsageError(
                f"--set {key} contradicts the grid",
                why=f"the grid has {', '.join(toml(v) for v in values)}",
                fix="leave it out, or copy the file and change the grid",
            )
    if entry is None and not axes:
        raise ConfigError(
            f"ablation {spec.name} trains nothing",
            why="it has neither [[variant]] nor [grid]",
            fix="add a [[variant]], or use `turbo-eval run` to compare systems",
        )
    short = _short(axes)
    config = (entry.config if entry else None) or spec.base.config
    steps = spec.sampling.steps if entry is None or entry.steps is None else entry.steps
    guidance = spec.sampling.guidance if entry is None else entry.guidance
    guidance = spec.sampling.guidance if guidance is None else guidance
    for point in itertools.product(*axes.values()):
        chosen = dict(zip(axes, point, strict=True))
        told = ", ".join(f"{short[key]}={_told(value)}" for key, value in chosen.items())
        name = " ".join(part for part in (entry.name if entry else "", told) if part)
        settings = {**shared, **flat(entry.set if entry else {}), **chosen, **typed}
        yield Variant(name, config, settings, tuple(dict.fromkeys(steps)), guidance)


def rows(spec: Ablation, students: Sequence[Variant]) -> tuple[Row, ...]:
    """The rows of the table: untrained systems, then students; one for each number of steps.

    Raises:
        ConfigError: Two rows of one name.
    """
    found: list[Row] = []
    for system in spec.system:
        several = isinstance(system.steps, list)
        for steps in system.steps if isinstance(system.steps, list) else [system.steps]:
            name = system.name or (system.model if steps is None else f"{system.model} @{steps}")
            if several and system.name:
                name = f"{system.name} @{steps}"
            found.append(Row(name, None, system.model, steps, system.guidance))
    for student in students:
        for steps in student.steps:
            name = student.name if len(student.steps) == 1 else f"{student.name} @{steps}"
            found.append(Row(name, student, "", steps, student.guidance))
    _distinct([row.name for row in found], "row")
    return tuple(found)


def references(spec: Ablation, table: Sequence[Row]) -> tuple[str, ...]:
    """Names of the rows that the others are compared with; the first is the baseline.

    Raises:
        UsageError: The file names a row that there is not.
    """
    known = [row.name for row in table]
    first = next(row.name for row in table if row.variant is not None)
    chosen = [spec.baseline or first, *([spec.reference] if spec.reference else [])]
    for name in chosen:
        if name not in known:
            raise unknown("row to compare with", name, known)
    return tuple(dict.fromkeys(chosen))


def flat(settings: Mapping[str, Any], at: str = "") -> dict[str, Any]:
    """Training settings as dotted keys.

    Args:
        settings: As read from TOML. Bare dotted keys arrive as nested tables and are joined; a
            quoted dotted key stays whole, with a table as its value if it has one.
        at: Joined in front.

    Raises:
        ConfigError: A part of a key holds a dot, so that its place cannot be told.
    """
    found: dict[str, Any] = {}
    for key, value in settings.items():
        if at and "." in key:
            raise ConfigError(
                f"training setting {at}{key!r}",
                why="a part of its name holds a dot",
                fix=f"write {at.rstrip('.')!r} in quotes, with a table: {{ {key!r} = ... }}",
            )
        # An empty table has nothing to join; it empties the setting.
        if isinstance(value, Mapping) and value and "." not in key:
            found |= flat(value, f"{at}{key}.")
        else:
            found[f"{at}{key}"] = value
    return found


def toml(value: Any) -> str:
    """A value as one line of TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_text(k)} = {toml(v)}" for k, v in value.items())
        return f"{{{inner}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(toml(each) for each in value)}]"
    return _text(value) if isinstance(value, str) else repr(value)


def _text(value: str) -> str:
    """JSON's strings are TOML's basic strings, but for two rules about what must be escaped."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _typed(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"--set {text!r} has no value", fix="write --set key=value")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()


def _short(axes: Mapping[str, Any]) -> dict[str, str]:
    """The last part of each setting's name, or the whole where two would look the same."""
    last = {key: key.rpartition(".")[2] for key in axes}
    tails = list(last.values())
    return {key: tail if tails.count(tail) == 1 else key for key, tail in last.items()}


def _told(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        return "+".join(f"{key}*{_told(v)}" for key, v in value.items()) or "none"
    if isinstance(value, list | tuple):
        return "/".join(map(_told, value)) or "none"
    return value if isinstance(value, str) else toml(value)


def _distinct(found: Sequence[str], what: str) -> None:
    twice = sorted({name for name in found if list(found).count(name) > 1})
    if twice:
        raise ConfigError(
            f"two entries are called {twice[0]!r}",
            why=f"every {what} needs a name of its own",
            fix="rename one of them",
        )

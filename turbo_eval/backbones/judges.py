"""Named sets of judges: which backbone plays which part, and how their scores are normalised.

Third parties add sets by the entry-point group `turbo_eval.judges` or by `TURBO_EVAL_PLUGINS`
(turbo_eval.core.plugins); what they register is a function with the signature of `JudgesFactory`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from inspect import Parameter, signature
from pathlib import Path
from typing import Any, Final, Protocol

from turbo_eval.backbones.protocol import ROLES, Backbone, BackboneInfo
from turbo_eval.core.errors import UsageError
from turbo_eval.core.hashing import content_key
from turbo_eval.core.plugins import load_plugins
from turbo_eval.core.registry import Registry

FLOAT32: Final = "float32"
"""The number type of every network unless another one is asked for."""


@dataclass(frozen=True, slots=True)
class Judges:
    """A set of judges. Making one reads no weights.

    Attributes:
        name: The name a user types.
        parts: Role -> backbone; weights are read at a backbone's first `extract`.
        normalisation: JSON file with the (min, max, weight) of each dimension that belongs to
            these judges; None for VBench's own table, which only its own networks may use.
        description: One sentence.
        beside: Role -> backbone of parts that are no part of the set, such as rewards: each has a
            key of its own, so that none comes or goes at the others' cost.
        infos: Role -> facts, of the set and of what stands beside it.
    """

    name: str
    parts: Mapping[str, Backbone]
    normalisation: Path | None = None
    description: str = ""
    beside: Mapping[str, Backbone] = field(default_factory=dict)
    infos: Mapping[str, BackboneInfo] = field(init=False)

    def __post_init__(self) -> None:
        # In the order of ROLES, so that every run looks at a clip in the same order.
        infos = {role: self.parts[role].info for role in ROLES if role in self.parts}
        others = {**self.parts, **self.beside}
        infos |= {role: part.info for role, part in others.items() if role not in infos}
        object.__setattr__(self, "infos", infos)

    @property
    def key(self) -> str:
        """Name and content key: scores of other weights or versions never mix with these."""
        facts = sorted(
            [role, i.id, i.version, i.weights]
            for role, i in self.infos.items()
            if role not in self.beside
        )
        return f"{self.name}@{content_key('judges', facts)}"

    def key_of(self, roles: Iterable[str]) -> str:
        """Key of scores that are made of some roles' features.

        Args:
            roles: Of one metric, which reads parts of the set or one that stands beside it.

        Returns:
            The set's key, or that of the part beside it.
        """
        for role in roles:
            if role in self.beside:
                info = self.infos[role]
                return f"{info.id}@{content_key('judge', role, info.version, info.weights)}"
        return self.key

    @property
    def keys(self) -> frozenset[str]:
        """The set's key and those of what stands beside it."""
        return frozenset([self.key, *(self.key_of([role]) for role in self.beside)])


class JudgesFactory(Protocol):
    """Makes a set of judges; cheap, reads no weights.

    A set that reads no files of the user may leave out `weights_dir`; one that looks the same way
    whatever the reading of VBench (a keyword `compat`, `vbench` or `fixed`) leaves that out; one
    that can compute in bfloat16 takes a keyword `dtype` (`float32` or `bfloat16`).
    """

    def __call__(self, *, device: str, weights_dir: Path | None = None) -> Judges:
        """Make the set.

        Args:
            device: Where its networks run: `cpu`, `cuda`, `cuda:N` or `mps`.
            weights_dir: The folder of weights that the user named, if any.
        """
        ...


REGISTRY: Registry[JudgesFactory] = Registry("set of judges", entry_points="turbo_eval.judges")
REGISTRY.add("mini", "turbo_eval.backbones.judges:mini_judges")
REGISTRY.add("official", "turbo_eval.backbones.official:official_judges")

BACKBONES: Registry[Callable[[], Backbone]] = Registry(
    "backbone", entry_points="turbo_eval.backbones"
)
BACKBONES.add("pixels", "turbo_eval.backbones.pixels:load")


def judge_names() -> list[str]:
    """Names of every set of judges, sorted."""
    load_plugins()
    return REGISTRY.names()


def load_judges(
    name: str,
    *,
    device: str = "cpu",
    weights_dir: Path | None = None,
    compat: str = "vbench",
    dtype: str = FLOAT32,
) -> Judges:
    """Return a set of judges; its weights are read when it first looks at a clip.

    Args:
        name: A registered name, such as `mini`.
        device: Where its networks run: `cpu`, `cuda`, `cuda:N` or `mps`. It is no part of the
            judges' key.
        weights_dir: The folder of weights that the user named, if any; a set that brings its own
            ignores it.
        compat: `vbench`, or `fixed` for networks without the official program's quirks.
        dtype: Number type that the networks compute in. Any but float32 is part of the ids of the
            parts, so neither features nor scores mix.

    Raises:
        UsageError: No such set, with the nearest names; or it computes in float32 only.
    """
    load_plugins()
    factory = REGISTRY.get(name)
    more: dict[str, Any] = {}
    if weights_dir is not None and _takes(factory, "weights_dir"):
        more["weights_dir"] = weights_dir
    if compat != "vbench" and _takes(factory, "compat"):
        more["compat"] = compat
    if dtype != FLOAT32:
        if not _takes(factory, "dtype"):
            raise UsageError(
                f"judges {name!r} cannot compute in {dtype}",
                why="they were made for float32",
                fix="leave out --judge-dtype, or choose --judges official",
            )
        more["dtype"] = dtype
    return factory(device=device, **more)


def _takes(factory: Callable[..., Judges], name: str) -> bool:
    try:
        parameters = signature(factory).parameters
    except (TypeError, ValueError):
        return False
    return name in parameters or any(p.kind is Parameter.VAR_KEYWORD for p in parameters.values())


def require(judges: Judges, role: str) -> Backbone:
    """Return the backbone that plays a part.

    Raises:
        UsageError: The set does not fill the part.
    """
    backbone = {**judges.beside, **judges.parts}.get(role)
    if backbone is None:
        raise UsageError(
            f"judges {judges.name!r} have no {role}",
            why=f"they fill {', '.join(judges.infos)}",
            fix="choose other --judges, or --dimensions that do without it",
        )
    return backbone


def mini_judges(*, device: str = "cpu", weights_dir: Path | None = None) -> Judges:  # noqa: ARG001
    """Return the judges of the mini world: small networks trained on it, never VBench's.

    Args:
        device: Where the networks run; plain pixel differences stay on the CPU.
        weights_dir: Ignored; these judges bring their weights.
    """
    from turbo_eval.backbones import mini

    parts: dict[str, Backbone] = {"pixels": BACKBONES.get("pixels")()}
    parts |= {role: mini.load_part(role, device) for role in mini.PARTS}
    return Judges(
        "mini",
        parts,
        normalisation=mini.weights.normalisation_path(),
        description="Small networks trained on the mini world; their scores are not VBench's.",
    )

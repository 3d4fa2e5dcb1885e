"""What `list` and `describe` know: models, suites, metrics and judges by name, as plain facts."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from turbo_eval.core.errors import PrerequisiteError, TurboError, unknown

Facts = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of thing a user can name.

    Attributes:
        name: plural, as typed.
        names: every name of this kind; cheap.
        facts: everything known about one name.
        columns: the facts that a listing shows.
    """

    name: str
    names: Callable[[], list[str]]
    facts: Callable[[str], Facts]
    columns: tuple[str, ...]

    def rows(self) -> list[Facts]:
        """Facts of every name; one that cannot be read says why and hides no other."""
        return [self._row(name) for name in self.names()]

    def _row(self, name: str) -> Facts:
        try:
            return self.facts(name)
        except TurboError as error:
            return {"name": name, "error": str(error)}


def _model_names() -> list[str]:
    from turbo_eval.models import model_names

    return model_names()


def _model(name: str) -> Facts:
    from turbo_eval.models import load
    from turbo_eval.models.real_systems import facts_without_weights

    try:
        model = load(name)
        info = asdict(model.info)
        # `kind` says model, suite, metric or judges wherever a user reads it.
        info["source"] = info.pop("kind")
        info["fingerprint"] = model.fingerprint()
    except PrerequisiteError as error:
        # A published system is known without its files; what it lacks is one of its facts.
        known = facts_without_weights(name)
        if known is None:
            raise
        info = {**known, "source": "weights are missing", "missing": str(error)}
    size = f"{info['width']}x{info['height']}, {info['frames']} frames, {info['fps']:g} fps"
    return {**info, "name": name, "clip": size}


def _suite_names() -> list[str]:
    from turbo_eval.prompts.catalogue import catalogue

    return [status.name for status in catalogue()]


def _suite(name: str) -> Facts:
    from turbo_eval.prompts.catalogue import catalogue

    for status in catalogue():
        if status.name == name:
            return asdict(status)
    # Anything else that can be loaded (custom:my.txt, vbench:category:animal) can be described.
    from turbo_eval.prompts import load

    suite = load(name)
    return {
        "name": suite.name,
        "title": suite.info.get("title", suite.name),
        "prompts": len(suite),
        "dimensions": len(suite.dimensions),
        "ready": True,
        "counts": suite.counts(),
        "source": suite.source,
        "licence": suite.licence,
        "checksum": suite.checksum,
        "notes": list(suite.notes),
    }


def _metric_names() -> list[str]:
    from turbo_eval.metrics.registry import metric_names

    return metric_names()


def _metric(name: str) -> Facts:
    from turbo_eval.metrics.registry import metric

    info = metric(name).info
    direction = "higher is better" if info.higher_is_better else "lower is better"
    facts = asdict(info)
    return {
        "name": facts.pop("id"),
        **facts,
        "range": [info.low, info.high],
        "direction": direction,
    }


def _judge_names() -> list[str]:
    from turbo_eval.backbones.judges import judge_names

    return judge_names()


def _judges(name: str) -> Facts:
    from turbo_eval.backbones.judges import load_judges

    judges = load_judges(name)
    parts = {role: asdict(info) for role, info in judges.infos.items()}
    return {
        "name": judges.name,
        "description": judges.description,
        "megabytes": round(sum(part["megabytes"] for part in parts.values()), 2),
        "key": judges.key,
        "normalisation": "its own table" if judges.normalisation else "VBench's table",
        "parts": parts,
    }


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "models",
            _model_names,
            _model,
            ("name", "source", "clip", "steps", "guidance", "licence"),
        ),
        Kind("suites", _suite_names, _suite, ("name", "prompts", "dimensions", "ready", "title")),
        Kind("metrics", _metric_names, _metric, ("name", "group", "range", "needs", "description")),
        Kind(
            "judges", _judge_names, _judges, ("name", "megabytes", "normalisation", "description")
        ),
    )
}


def kind(name: str) -> Kind:
    """The kind with this plural name; the singular will do too.

    Raises:
        UsageError: no such kind; the nearest is named.
    """
    found = KINDS.get(name) or KINDS.get(f"{name}s")
    if found is None:
        raise unknown("kind", name, KINDS)
    return found


def describe(name: str) -> tuple[str, Facts]:
    """Everything known about one name, whatever its kind.

    Args:
        name: a model, suite, metric (`vbench.color` or `color`) or set of judges; `models:mini`
            and the like choose the kind where two share a name.

    Returns:
        The kind's plural name and the facts.

    Raises:
        UsageError: nothing has this name; the nearest names of all kinds are suggested.
        TurboError: the thing exists but cannot be read on this machine.
    """
    prefix, colon, rest = name.partition(":")
    if colon and prefix in KINDS:
        return prefix, KINDS[prefix].facts(rest)
    for each in KINDS.values():
        if name in each.names():
            return each.name, each.facts(name)
    if f"vbench.{name.removesuffix('.fixed')}" in _metric_names() or ".fixed" in name:
        return "metrics", _metric(name)
    if colon:
        return "suites", _suite(name)
    raise unknown("name", name, [known for each in KINDS.values() for known in each.names()])


def namesakes(name: str, kind: str) -> list[str]:
    """The other kinds that have something of this name (`mini` is a suite and a set of judges)."""
    return [each.name for each in KINDS.values() if each.name != kind and name in each.names()]

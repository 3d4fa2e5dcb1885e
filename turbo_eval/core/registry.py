"""Names to objects, loaded when first asked for; outside packages add names by entry points."""

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import metadata
from typing import Generic, TypeVar, cast

from turbo_eval.core.errors import ConfigError, PrerequisiteError, unknown

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Entry:
    load: Callable[[], object]
    origin: str


class Registry(Generic[T]):
    """A table of names; targets given as "module:attribute" are imported on first use.

    Args:
        kind: What the names stand for, used in messages ("model", "metric").
        entry_points: Entry-point group from which installed packages add names.
    """

    def __init__(self, kind: str, *, entry_points: str | None = None) -> None:
        self.kind = kind
        self._group = entry_points
        self._entries: dict[str, _Entry] = {}
        self._aliases: dict[str, str] = {}
        self._loaded: dict[str, T] = {}

    def add(
        self, name: str, target: str | T, *, aliases: Iterable[str] = (), extra: str = ""
    ) -> None:
        """Register a name.

        Args:
            name: The name users type.
            target: The object, or "module:attribute" to import it from later.
            aliases: Other names for the same object; not listed by `names`.
            extra: The optional extra of this package that the target needs.

        Raises:
            ConfigError: A name or alias is taken, or the target is malformed.
        """
        if isinstance(target, str):
            module, _, attribute = target.partition(":")
            if not module or not attribute:
                raise ConfigError(
                    f"{self.kind} {name!r} has the target {target!r}", why="not module:attribute"
                )
            entry = _Entry(lambda: _import(self.kind, name, module, attribute, extra), target)
        else:
            entry = _Entry(lambda: target, type(target).__name__)
        taken = [n for n in (name, *aliases) if n in self._entries or n in self._aliases]
        if taken:
            other = self._entries[self._aliases.get(taken[0], taken[0])].origin
            raise ConfigError(
                f"{self.kind} {taken[0]!r} is registered twice",
                why=f"{other} and {entry.origin} both claim it",
                fix="rename or uninstall one of them",
            )
        self._entries[name] = entry
        self._aliases.update(dict.fromkeys(aliases, name))

    def names(self) -> list[str]:
        """Every registered name, sorted, without aliases."""
        self._add_entry_points()
        return sorted(self._entries)

    def __contains__(self, name: object) -> bool:
        """Whether `name` is a name or an alias."""
        self._add_entry_points()
        return name in self._entries or name in self._aliases

    def resolve(self, name: str) -> str:
        """The registered name behind a name or alias.

        Raises:
            UsageError: No such name; the message suggests the nearest ones.
        """
        self._add_entry_points()
        found = self._aliases.get(name, name)
        if found not in self._entries:
            raise unknown(self.kind, name, [*self._entries, *self._aliases])
        return found

    def get(self, name: str) -> T:
        """The object behind a name or alias, imported on the first call.

        Raises:
            UsageError: No such name; the message suggests the nearest ones.
            PrerequisiteError: A library that the object needs is not installed.
        """
        found = self.resolve(name)
        if found not in self._loaded:
            self._loaded[found] = cast("T", self._entries[found].load())
        return self._loaded[found]

    def _add_entry_points(self) -> None:
        group, self._group = self._group, None
        for point in metadata.entry_points(group=group) if group else ():
            self.add(point.name, point.value)


def _import(kind: str, name: str, module: str, attribute: str, extra: str) -> object:
    try:
        found: object = importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        # A missing module of our own is a bug and keeps its traceback.
        if missing.partition(".")[0] == module.partition(".")[0]:
            raise
        package = f"'turbo-eval[{extra}]'" if extra else missing
        raise PrerequisiteError(
            f"{kind} {name!r} cannot be loaded",
            why=f"the library {missing!r} is not installed",
            fix=f"pip install {package}",
        ) from error
    for part in attribute.split("."):
        found = getattr(found, part)
    return found

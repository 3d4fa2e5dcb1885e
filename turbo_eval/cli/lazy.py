"""A command group that knows its commands by name and imports one only when it is used.

`turbo-eval --help` must answer at once, so the list shows one line per command from a table, and
the module behind a command (which may pull in torch) is imported when the command runs, or when
its own help or completion is asked for.
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

if TYPE_CHECKING:
    # Annotations only: Typer keeps click's classes in a private module.
    from typer._click import Command, Context


@dataclass(frozen=True, slots=True)
class LazyCommand:
    """One line of the command table.

    Attributes:
        target: `module:attribute` of a Typer app or of a function with Typer annotations.
        help: the line that the root's help shows.
        panel: heading under which it is listed.
        settings: click's context settings, for commands that forward what they do not know.
    """

    target: str
    help: str
    panel: str
    settings: Mapping[str, Any] | None = None

    def placeholder(self, name: str) -> TyperCommand:
        """A stand-in with a name and a help line, enough for a listing."""
        return TyperCommand(name, help=self.help, rich_help_panel=self.panel)

    def load(self, name: str) -> "Command":
        """Import the target and build the real command."""
        module, _, attribute = self.target.partition(":")
        found: typer.Typer | Callable[..., Any] = getattr(
            importlib.import_module(module), attribute
        )
        if not isinstance(found, typer.Typer):
            found = _wrap(found, name, self.settings)
        command = get_command(found)
        command.name = name
        return command


def _wrap(
    function: Callable[..., Any], name: str, settings: Mapping[str, Any] | None
) -> typer.Typer:
    app = typer.Typer(add_completion=False)
    app.command(name, context_settings=dict(settings) if settings else None)(function)
    return app


class LazyGroup(TyperGroup):
    """A Typer group over a table of `LazyCommand`; subclass it and set `table`."""

    table: ClassVar[Mapping[str, LazyCommand]] = {}

    def __init__(self, **attrs: Any) -> None:
        """Fill the group with stand-ins, so that listing and suggesting need no import."""
        super().__init__(**attrs)
        for name, entry in self.table.items():
            self.add_command(entry.placeholder(name), name)

    def resolve_command(
        self, ctx: "Context", args: list[str]
    ) -> tuple[str | None, "Command | None", list[str]]:
        """Find the command that was typed and put the real one in place of its stand-in."""
        name, command, rest = super().resolve_command(ctx, args)
        if name is not None and name in self.table:
            command = self.table[name].load(name)
        return name, command, rest

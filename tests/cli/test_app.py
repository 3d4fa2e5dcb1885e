"""The table of commands: complete, lazy, each with help and an example of its own."""

import importlib
import subprocess
import sys

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from turbo_eval.cli.app import COMMANDS, app
from turbo_eval.cli.lazy import LazyCommand

COMPLETION = {"_TURBO_EVAL_COMPLETE": "complete_bash"}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_target_exists_and_builds(name: str) -> None:
    command = COMMANDS[name].load(name)
    assert command.name == name
    assert command.help
    module, _, attribute = COMMANDS[name].target.partition(":")
    assert hasattr(importlib.import_module(module), attribute)


def test_one_line_help_fits_a_narrow_terminal() -> None:
    for name, entry in COMMANDS.items():
        assert entry.help.endswith("."), name
        assert len(entry.help) <= 66, name


def test_stand_ins_do_not_import_their_target() -> None:
    entry = LazyCommand("no.such.module:thing", "Never imported.", "Panel")
    assert entry.placeholder("x").help == "Never imported."
    with pytest.raises(ModuleNotFoundError):
        entry.load("x")


def test_group_lists_the_table_in_order() -> None:
    command = get_command(app)
    assert isinstance(command, TyperGroup)
    listed = command.list_commands(command.make_context("turbo-eval", [], resilient_parsing=True))
    assert listed == list(COMMANDS)


@pytest.mark.parametrize("name", list(COMMANDS))
def test_completion_is_offered_by_the_program_alone(name: str) -> None:
    assert "--install-completion" in {flag for o in get_command(app).params for flag in o.opts}
    command = COMMANDS[name].load(name)
    assert not {"--install-completion"} & {flag for o in command.params for flag in o.opts}


@pytest.mark.parametrize(
    ("typed", "word", "expected"),
    [("turbo-eval con", 1, "config"), ("turbo-eval config sh", 2, "show")],
)
def test_completion_knows_lazy_commands(typed: str, word: int, expected: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "turbo_eval.cli.main"],
        env={**COMPLETION, "COMP_WORDS": typed, "COMP_CWORD": str(word), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert expected in done.stdout.split()

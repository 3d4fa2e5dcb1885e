"""`turbo-eval train` passes every word on to the trainer and its exit code back."""

import sys
from typing import Any

import pytest

from turbo_eval.cli import train_cmd
from turbo_eval.cli.main import run


def test_arguments_and_exit_code_pass_through(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    def run_command(argv: list[str], **_: Any) -> int:
        seen.append(argv)
        return 4

    monkeypatch.setattr(train_cmd, "run_command", run_command)
    words = ["world", "vae", "--steps", "3", "--help", "a b"]
    assert run(["train", *words]) == 4
    assert seen == [[sys.executable, "-c", train_cmd.ENTRY, *words]]


def test_the_trainer_really_starts(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "--help"]) == 0
    assert "turbo-train" in capfd.readouterr().out

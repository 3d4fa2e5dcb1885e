"""Provenance: true facts, no personal ones."""

import getpass
import socket
import subprocess
from pathlib import Path

import numpy as np
import pytest

from turbo_eval.core.provenance import collect, git_commit


def test_facts_are_there_and_the_caller_wins() -> None:
    facts = collect({"device": "cpu", "machine": "mine"})
    assert facts["libraries"]["numpy"] == np.__version__
    assert facts["cpus"] >= 1
    assert facts["device"] == "cpu"
    assert facts["machine"] == "mine"


def test_no_host_and_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    text = str(collect({}))
    assert str(Path.home()) not in text
    assert len(socket.gethostname()) < 4 or socket.gethostname() not in text
    assert len(getpass.getuser()) < 5 or getpass.getuser() not in text


def _git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=x", "-c", "user.email=x@y"]
    return subprocess.run(
        ["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_commit_is_read_from_a_checkout(tmp_path: Path) -> None:
    assert git_commit(tmp_path) is None
    _git(tmp_path, "init", "-q")
    assert git_commit(tmp_path) is None
    _git(tmp_path, "commit", "-q", "--allow-empty", "-m", "one")
    head = _git(tmp_path, "rev-parse", "HEAD")
    assert git_commit(tmp_path) == head
    _git(tmp_path, "pack-refs", "--all")
    assert git_commit(tmp_path) == head
    _git(tmp_path, "worktree", "add", "-q", str(tmp_path / "linked"))
    assert git_commit(tmp_path / "linked") == head
    _git(tmp_path, "checkout", "-q", "--detach")
    assert git_commit(tmp_path) == head

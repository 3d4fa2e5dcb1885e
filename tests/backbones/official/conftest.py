"""The user's own cache and environment play no part in these tests."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("TURBO_EVAL_HOME", str(home / "turbo-eval"))
    monkeypatch.setenv("VBENCH_CACHE_DIR", str(home / "vbench"))
    monkeypatch.delenv("TURBO_EVAL_WEIGHTS_DIR", raising=False)
    return home

"""The user's own cache and environment play no part in these tests.

`make setup` installs VBench's package; without it, tests beside its networks are not collected.
"""

from importlib.util import find_spec
from pathlib import Path

import pytest

collect_ignore = [] if find_spec("vbench") else ["test_raft_official.py"]


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("TURBO_EVAL_HOME", str(home / "turbo-eval"))
    monkeypatch.setenv("VBENCH_CACHE_DIR", str(home / "vbench"))
    monkeypatch.delenv("TURBO_EVAL_WEIGHTS_DIR", raising=False)
    return home

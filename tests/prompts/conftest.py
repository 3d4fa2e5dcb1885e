"""Small prompt files, and the published ones where this checkout has them beside it."""

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees or touches what this machine's user has synced."""
    monkeypatch.setenv("TURBO_EVAL_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("TURBO_EVAL_VBENCH_INFO", raising=False)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, Any], Path]:
    """Write a file: text as it is, bytes as they are, anything else as JSON."""

    def _write(name: str, content: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not isinstance(content, str | bytes):
            content = json.dumps(content)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return _write


MINI = [
    {
        "prompt_en": "a red ball",
        "dimension": ["color"],
        "auxiliary_info": {"color": {"color": "red"}},
    },
    {"prompt_en": "a ball spins", "dimension": ["subject_consistency", "dynamic_degree"]},
    {"prompt_en": "a ball spins", "dimension": ["temporal_style"]},
]


@pytest.fixture
def mini_root(write: Callable[[str, Any], Path]) -> Path:
    """A folder of suites that holds a small `mini`."""
    path = write("suites/mini/mini_full_info.json", MINI)
    digest = sha256(path.read_bytes()).hexdigest()
    write(
        "suites/mini/manifest.toml",
        'name = "mini"\ntitle = "Small"\nsource = "here"\nlicence = "Apache-2.0"\n'
        f'count = 3\nsha256 = "{digest}"\n',
    )
    return path.parents[1]

"""Small prompt files, and stand-ins for the published ones."""

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
# Outside data is not part of this project; the other tests make their own small files.
collect_ignore = [] if (SHARED / "vbench").is_dir() else ["test_prompts_published.py"]


@pytest.fixture(autouse=True)
def _own_home(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    no_installed_vbench: None,  # noqa: ARG001 - wanted for what it does
) -> None:
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


VBENCH = [
    {
        "prompt_en": "The harbour",
        "dimension": ["color"],
        "auxiliary_info": {"color": {"color": "red"}},
    },
    {"prompt_en": "A fantasy landscape", "dimension": ["temporal_style"]},
    {"prompt_en": "a fantasy landscape", "dimension": ["temporal_style"]},
    {"prompt_en": "The harbour", "dimension": ["overall_consistency", "imaging_quality"]},
]
CATEGORIES = (
    "animal",
    "architecture",
    "food",
    "human",
    "lifestyle",
    "plant",
    "scenery",
    "vehicles",
)


@pytest.fixture
def clone(write: Callable[[str, Any], Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Small stand-ins for clones of VBench and EvalCrafter, with manifests that describe them."""
    files = {"vbench/VBench_full_info.json": json.dumps(VBENCH)}
    for category in CATEGORIES:
        lines = [f"{category} {i}" for i in range(99)] + ["a road through fields"]
        files[f"vbench/prompts_per_category/{category}.txt"] = "\n".join(lines)
    texts = ["a cow ", "2 dogs", "a cow"]
    attributes: list[dict[str, str]] = [{}, {"count": "2 dog"}, {}]
    records = {
        f"{i:04d}": {"prompt": text.strip(), "attributes": attributes[i]}
        for i, text in enumerate(texts)
    }
    files["evalcrafter/prompts700.txt"] = "\n".join(texts)
    files["evalcrafter/metadata.json"] = json.dumps(records)
    for suite, first, count in (
        ("vbench", "VBench_full_info.json", 4),
        ("evalcrafter", "prompts700.txt", 3),
    ):
        digests = {
            name.removeprefix(f"{suite}/"): sha256(text.encode()).hexdigest()
            for name, text in files.items()
            if name.startswith(suite)
        }
        manifest = (
            f'name = "{suite}"\ntitle = "Small {suite}"\nsource = "here"\nlicence = "none"\n'
            f'count = {count}\nsha256 = "{digests[first]}"\n'
        )
        for name, digest in digests.items():
            manifest += f'[[file]]\nname = "{name}"\nsha256 = "{digest}"\n'
            manifest += f'found_as = ["{name}"]\noptional = {str("/" in name).lower()}\n'
        root = write(f"roots/{suite}/manifest.toml", manifest).parents[1]
    monkeypatch.setattr("turbo_eval.prompts.manifest.data_root", lambda: root)
    for name, text in files.items():
        path = write(f"clone/{name}", text)
    return next(parent for parent in path.parents if parent.name == "clone")

"""`turbo-eval models` and systems of third parties."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from tests import fakes
from turbo_eval.cli.main import run
from turbo_eval.models import Frames, load
from turbo_eval.models.load import REGISTRY

DOCS = Path(__file__).resolve().parents[2] / "docs" / "models.md"


def template(name: str) -> str:
    """A file of the package that the documentation shows."""
    found = re.search(rf"`{re.escape(name)}`:\n\n```\w+\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert found is not None, f"docs/models.md shows no {name}"
    return found[1]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The documented package, installed the way an installer leaves it."""
    (tmp_path / "noise_model.py").write_text(template("noise_model.py"))
    points = re.search(r'"turbo_eval\.models"\]\n(.*)', template("pyproject.toml"), re.DOTALL)
    assert points is not None
    info = tmp_path / "noise_model-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: noise-model\nVersion: 1.0\n")
    lines = "\n".join(line.replace('"', "") for line in points[1].splitlines() if "=" in line)
    (info / "entry_points.txt").write_text(f"[turbo_eval.models]\n{lines}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(REGISTRY, "_group", "turbo_eval.models")
    monkeypatch.setattr(REGISTRY, "_entries", dict(REGISTRY._entries))
    monkeypatch.setattr(REGISTRY, "_loaded", dict(REGISTRY._loaded))
    return "noise"


def test_the_documented_package_passes_the_check(
    installed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["models", "check", installed, "--json"]) == 0
    out = capsys.readouterr()
    found = json.loads(out.out)
    assert found["model"] == "noise"
    assert {trial["state"] for trial in found["trials"]} == {"ok"}
    assert len(found["trials"]) == 11
    assert "batch" in out.err
    assert load("noise:frames=3").info.frames == 3


def test_the_documented_program_passes_the_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "draw.py"
    program.write_text(template("draw.py"))
    name = f"command:{sys.executable} {program}:format=npy,frames=4,size=16x8"
    assert run(["models", "check", name]) == 0
    assert "uint8 (2, 4, 8, 16, 3)" in capsys.readouterr().out


class Black(fakes.FakeModel):
    def generate(self, *_: object) -> Frames:
        return np.zeros((2, 5, 32, 32, 3), np.uint8)


def test_exit_codes(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(REGISTRY, "_entries", dict(REGISTRY._entries))
    monkeypatch.setattr(REGISTRY, "_loaded", dict(REGISTRY._loaded))
    REGISTRY.add("black", lambda name, **_: Black(name))
    assert run(["models", "check", "black"]) == 5
    out = capsys.readouterr()
    assert "failed" in out.err
    assert "shape" in out.out
    assert run(["models", "check", "blac"]) == 2
    assert "did you mean black" in capsys.readouterr().err
    assert run(["models", "check", "diffusers:nobody/nothing"]) == 4
    assert run(["models", "check", "command:no-such-program"]) == 4
    assert run(["models", "check", "black:frames=3"]) == 2
    assert "takes no settings" in capsys.readouterr().err


def test_a_hub_that_cannot_be_reached_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import huggingface_hub

    class Offline:
        def model_info(self, *_: object, **__: object) -> None:
            raise ConnectionError("no route\nto host")

    monkeypatch.setattr(huggingface_hub, "HfApi", Offline)
    assert run(["models", "pull", "them/clips", "--weights-dir", str(tmp_path)]) == 4
    (line,) = [text for text in capsys.readouterr().err.splitlines() if text]
    assert "model_index.json of them/clips" in line
    assert str(tmp_path / "clips") in line
    assert "no route to host" in line
    assert "sizes are known to the hub only" in line
    published = ["models", "pull", "ali-vilab/text-to-video-ms-1.7b"]
    assert run([*published, "--weights-dir", str(tmp_path)]) == 4
    assert "about 7.3 GB in all" in capsys.readouterr().err
    assert run(["models", "pull", "clips"]) == 2


def test_pull_takes_safetensors_and_settings_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import huggingface_hub

    sizes = {
        "README.md": 10,
        "model_index.json": 20,
        "run_me.py": 5,
        "other.safetensors": 9_000_000_000,
        "unet/config.json": 7,
        "unet/diffusion_pytorch_model.bin": 500,
        "unet/diffusion_pytorch_model.safetensors": 4_000_000_000,
        "unet/diffusion_pytorch_model.fp16.safetensors": 2_000_000_000,
        "unet/model.safetensors.index.json": 3,
        "unet/model.safetensors.index.fp16.json": 3,
        "unet/old/model.safetensors": 1,
        "safety_checker/model.safetensors": 1,
    }
    index = tmp_path / "index.json"
    index.write_text(
        json.dumps({"_class_name": "WanPipeline", "unet": ["diffusers", "A"], "x": [None, None]})
    )

    class File:
        def __init__(self, name: str) -> None:
            self.rfilename, self.size = name, sizes[name]

    class Hub:
        def model_info(self, *_: object, **__: object) -> object:
            return type("Info", (), {"sha": "0abc", "siblings": [File(name) for name in sizes]})

    fetched: list[dict[str, object]] = []
    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *_, **__: str(index))
    monkeypatch.setattr(
        huggingface_hub, "snapshot_download", lambda _, **given: fetched.append(given)
    )
    command = ["models", "pull", "them/clips", "--weights-dir", str(tmp_path), "--json"]
    assert run([*command, "--dry-run"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert sorted(found["files"]) == [
        "README.md",
        "model_index.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "unet/model.safetensors.index.json",
    ]
    assert found["class"] == "WanPipeline"
    assert not fetched
    assert run(command) == 0
    assert fetched[0]["revision"] == "0abc"
    assert fetched[0]["allow_patterns"] == list(found["files"])
    capsys.readouterr()

    def broken(*_: object, **__: object) -> None:
        raise OSError("reset by peer")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", broken)
    assert run(command) == 4
    assert "5 files (4.0 GB, the largest unet/diffusion_pytorch_model" in capsys.readouterr().err
    index.write_text(json.dumps({"_class_name": "FluxPipeline"}))
    assert run(command) == 2


def test_classes_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "classes", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["WanPipeline"]["frames"] == 81
    assert run(["models", "classes"]) == 0
    assert "WanPipeline\t81\t4k + 1\t832x480\t16\t50\t5" in capsys.readouterr().out

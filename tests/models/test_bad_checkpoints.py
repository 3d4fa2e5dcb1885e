"""Weights that cannot be, typed the way a user types them: one line, and the documented code."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests import fakes
from tests.models.tiny_vc2 import lvdm_unet, random_list, unet, write_teacher
from turbo_eval.cli.main import run
from turbo_eval.core.errors import InputError
from turbo_eval.models import Sampler, load
from turbo_eval.models.mini import PACKAGED
from turbo_eval.models.student import LORA, MANIFEST, WEIGHTS

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def nowhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A suite of one prompt, and no folder of weights that this machine may have."""
    fakes.register()
    fakes.write_suite(tmp_path, 1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TURBO_EVAL_WEIGHTS_DIR", raising=False)
    monkeypatch.setenv("VBENCH_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole VideoCrafter2 in its published format, small and random."""
    folder = tmp_path_factory.mktemp("whole")
    write_teacher(folder)
    return folder


def generated(capsys: Capture, model: str, *more: str) -> tuple[int, str]:
    """The exit code of `generate`, and the one line that says why."""
    code = run(
        ["generate", "custom:suite.json", "--model", model, "--judges", "fake", "--seeds", "1",
         "--run", "r", *more]
    )  # fmt: skip
    lines = capsys.readouterr().err.splitlines()
    (line,) = [text for text in lines if text.startswith("turbo-eval: ")]
    assert "Traceback" not in "".join(lines)
    assert not list(Path().rglob("error-*.txt"))
    return code, line


class Harmful:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("it-ran"),))


def _as_code(state: dict[str, Any]) -> bytes:
    return pickle.dumps({"state_dict": state, "callback": Harmful()})


CHECKPOINTS: dict[str, tuple[Callable[[Path], object], int, str]] = {
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:5000]), 4, "cut off"),
    "a web page": (lambda path: path.write_bytes(b"<html>not found</html>"), 4, "no checkpoint"),
    "empty": (lambda path: path.write_bytes(b""), 4, "no checkpoint"),
    "with code": (lambda path: path.write_bytes(_as_code({})), 4, "never run"),
    "a student's": (
        lambda path: torch.save(lvdm_unet(unet(time_cond_proj_dim=16)), path), 4, "not a student"
    ),
    "a list of LoRA": (lambda path: torch.save(random_list(unet()), path), 4, "without names"),
    "of other sizes": (lambda path: path.with_suffix(".json").unlink(), 4, "lacks"),
}  # fmt: skip


@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_a_teachers_checkpoint(kind: str, teacher: Path, tmp_path: Path, capsys: Capture) -> None:
    damage, code, words = CHECKPOINTS[kind]
    folder = tmp_path / "w" / "VideoCrafter2"
    shutil.copytree(teacher, folder)
    damage(folder / "model.ckpt")
    found, line = generated(capsys, "videocrafter2:frames=2,size=64x64@1", "--weights-dir", "w")
    assert found == code, line
    assert words in line
    assert "model.ckpt" in line
    assert not Path("it-ran").exists()
    assert not list(folder.glob("*-diffusers"))


def test_a_renamed_checkpoint_is_named_with_the_name_it_should_have(
    teacher: Path, tmp_path: Path, capsys: Capture
) -> None:
    folder = tmp_path / "w" / "VideoCrafter2"
    shutil.copytree(teacher, folder)
    (folder / "model.ckpt").rename(folder / "videocrafter2 (1).ckpt")
    found, line = generated(capsys, "videocrafter2@1", "--weights-dir", "w")
    assert found == 4
    assert "model.ckpt (7.4 GB)" in line
    assert str(Path("w/VideoCrafter2/model.ckpt")) in line
    assert "turbo-eval weights pull videocrafter2" in line


def test_a_list_of_another_teacher(teacher: Path, tmp_path: Path, capsys: Capture) -> None:
    folder = tmp_path / "w"
    shutil.copytree(teacher, folder / "VideoCrafter2")
    tensors = random_list(unet(time_cond_proj_dim=16))
    wrong_lists = (tensors[2:], [tensor[:1] for tensor in tensors], [*tensors[2:], *tensors[:2]])
    for number, wrong in enumerate(wrong_lists):
        path = folder / "t2v-turbo-vc2" / "unet_lora.pt"
        path.parent.mkdir(exist_ok=True)
        torch.save(wrong, path)
        found, line = generated(
            capsys,
            "t2v-turbo-vc2:frames=2,size=64x64@1",
            "--weights-dir",
            "w",
            "--run",
            f"r{number}",
        )
        assert found == 4, line
        assert "unet_lora.pt does not fit t2v-turbo-vc2" in line
        assert "huggingface.co/jiachenli-ucsb/T2V-Turbo-VC2" in line


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("diffusers:nowhere", "diffusers:nowhere is not on this machine"),
        ("diffusers:them/clips", "turbo-eval models pull them/clips"),
        ("nowhere/student", "no model in nowhere/student: it is no folder with student.json"),
        ("nowhere/student/student.json:fps=8", "no model in nowhere/student/student.json"),
    ],
)
def test_names_of_nothing(name: str, words: str, capsys: Capture) -> None:
    code, line = generated(capsys, name)
    assert code in {2, 4}
    assert words in line


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "student.json cannot be read"),
        ("[1]", "has format None"),
        ('{"format": "turbo-eval student, version 9"}', "version 9"),
        ('{"format": "turbo-eval student, version 1", "name": "x"}', "lacks teacher, rank"),
    ],
)
def test_a_manifest_that_is_none(text: str, words: str, capsys: Capture) -> None:
    Path("s").mkdir()
    Path("s", MANIFEST).write_text(text)
    code, line = generated(capsys, "s")
    assert code == 4
    assert words in line


def test_a_students_weights(capsys: Capture) -> None:
    shutil.copytree(WEIGHTS / "mini-turbo", "s")
    path = Path("s", LORA)
    path.write_bytes(path.read_bytes()[:-9])
    assert generated(capsys, "s@1")[0] == 4
    path.unlink()
    code, line = generated(capsys, "s@1", "--run", "r2")
    assert code == 4
    assert "lora.safetensors is missing" in line


def test_a_student_of_another_teacher_stops_the_run(capsys: Capture) -> None:
    shutil.copytree(WEIGHTS / "mini-turbo", "s")
    manifest = json.loads(Path("s", MANIFEST).read_text())
    manifest["teacher"]["fingerprint"] = "0" * 16
    Path("s", MANIFEST).write_text(json.dumps(manifest))
    code, line = generated(capsys, "s@1")
    assert code == 3
    assert "does not fit the teacher" in line
    assert "failed" not in line


def test_numbers_that_are_none_are_not_drawn_black(tmp_path: Path) -> None:
    """Of every kind of system that pipelines draw; the published ones: test_published."""
    one = Sampler(steps=1, guidance=5.0)
    shutil.copytree(PACKAGED, tmp_path / "p")
    path = tmp_path / "p" / "vae" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(path)
    tensors["decoder.conv_out.bias"].fill_(float("nan"))
    save_file(tensors, path)
    with pytest.raises(InputError, match="no numbers"):
        load(f"diffusers:{tmp_path / 'p'}:frames=2,size=32x32").generate(["a star"], [1], one)
    for name in ("mini-teacher", "mini-turbo"):
        system: Any = load(f"{name}:frames=2,size=32x32")
        pipeline = system._load() if name == "mini-teacher" else system.pipeline()
        with torch.no_grad():
            pipeline.vae.decoder.conv_out.bias.fill_(float("nan"))
        with pytest.raises(InputError, match=f"{name} returned frames that are no numbers"):
            system.generate(["a star"], [1], one)

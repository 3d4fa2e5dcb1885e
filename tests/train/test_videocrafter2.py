"""VideoCrafter2 as a teacher: read from its published file, distilled from, exported."""

from pathlib import Path

import pytest
import torch

from tests.models.tiny_vc2 import CONTEXT, write_teacher
from turbo_eval.core.errors import ConfigError, PrerequisiteError
from turbo_eval.models.student import StudentTextToVideo
from turbo_eval.models.systems import find_system, system_fingerprint
from turbo_train import config, export, loop, teachers
from turbo_train.data.batch import Batch
from turbo_train.setup import make_accelerator, make_parts


class Latents:
    """Random latents of the small shape; batch `number` is always the same."""

    skipped: dict[str, int] = {}

    def batch(self, number: int, size: int) -> Batch:
        generator = torch.Generator().manual_seed(number)
        latents = torch.randn(size, 4, 2, 8, 8, generator=generator)
        captions = tuple(f"a red circle {number}" for _ in range(size))
        return Batch(captions=captions, keys=captions, latents=latents)

    def describe(self) -> dict[str, object]:
        return {"kind": "latents"}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    write_teacher(folder / "VideoCrafter2")
    return folder


def test_its_parts(weights: Path) -> None:
    teacher = teachers.load("videocrafter2", weights_dir=weights)
    assert (teacher.frames, teacher.height, teacher.width, teacher.fps) == (16, 320, 512, 16)
    assert teacher.scaling == pytest.approx(0.18215)
    assert teacher.prediction_type == "epsilon"
    text = teacher.encode_text(["a red star", ""])
    assert text.shape == (2, 77, CONTEXT)
    clip = torch.randint(0, 256, (1, 2, 16, 24, 3), generator=torch.Generator().manual_seed(0))
    latents = teacher.encode(clip)
    assert latents.shape == (1, 4, 2, 2, 3)
    assert teacher.decode(latents[0].transpose(0, 1)).shape == (2, 3, 16, 24)
    with torch.no_grad():
        told = [teacher.unet(latents, 500, text[:1], **o).sample for o in ({}, {"fps": 16})]
    # Both of a teacher's calls leave the rate out, so it is the 16 of the students.
    assert torch.equal(*told)


def test_a_step_of_distillation_and_its_export(weights: Path, tmp_path: Path) -> None:
    settings = config.check(
        {
            "recipe": "vcm",
            "teacher": "videocrafter2",
            "name": "vcm-vc2",
            "steps": 1,
            "batch_size": 1,
            "lora": {"rank": 2},
            "accelerator": {"mixed_precision": "no", "gradient_checkpointing": True},
            "save_every": 1,
            "report_every": 1,
            "track": "none",
        },
        source="the test",
    )
    teacher = teachers.load("videocrafter2", weights_dir=weights)
    parts = make_parts(settings, teacher, weights_dir=weights, device="cpu")
    run = tmp_path / "run"
    loop.train(
        settings,
        parts,
        Latents(),
        run,
        accelerator=make_accelerator(settings, "cpu"),
        say=lambda _: None,
        live=False,
    )
    folder = tmp_path / "student"
    manifest = export.export_student(run, folder, weights_dir=weights)
    assert manifest["teacher"] == {
        "name": "videocrafter2",
        "fingerprint": system_fingerprint(find_system("videocrafter2", weights)),
    }
    facts = manifest["info"]
    assert (facts["width"], facts["height"], facts["fps"]) == (512, 320, 16)
    network = StudentTextToVideo(folder, weights_dir=weights).pipeline().unet
    assert network.time_embedding.cond_proj.weight.shape == (32, 256)
    with pytest.raises(ConfigError, match="told a frame rate"):
        export.export_pipeline(folder, tmp_path / "plain", weights_dir=weights)


def test_a_checkpoint_converted_again_is_the_same_teacher(weights: Path, tmp_path: Path) -> None:
    """A student's manifest names its teacher by content, not by when the file was copied."""
    copy = tmp_path / "VideoCrafter2"
    copy.mkdir()
    for name in ("model.ckpt", "model.json"):
        (copy / name).write_bytes((weights / "VideoCrafter2" / name).read_bytes())
    first, second = (find_system("videocrafter2", f) for f in (weights, tmp_path))
    assert first != second
    assert system_fingerprint(first) == system_fingerprint(second)


def test_without_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VBENCH_CACHE_DIR", str(tmp_path / "cache"))
    with pytest.raises(PrerequisiteError, match=r"model\.ckpt \(7\.4 GB\)"):
        teachers.load("videocrafter2")

"""From a run to a student's folder and on to a plain diffusers pipeline: the same numbers."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline

from tests.train.conftest import Stream
from turbo_eval.core.errors import ConfigError, PrerequisiteError, UsageError
from turbo_eval.models.load import load
from turbo_eval.models.lora import lora_parameters
from turbo_eval.models.protocol import Sampler
from turbo_eval.models.student import MANIFEST, StudentTextToVideo
from turbo_train import export, loop
from turbo_train.config import TrainConfig
from turbo_train.recipes.common import Parts
from turbo_train.setup import make_accelerator

Make = Callable[..., tuple[TrainConfig, Parts]]


@pytest.fixture
def run(make: Make, tmp_path: Path) -> Path:
    """A run of one step whose LoRA is large enough to be seen."""
    settings, parts = make()
    with torch.no_grad():
        for weight in lora_parameters(parts.plain):
            weight.normal_(std=0.2)
    folder = tmp_path / "run"
    loop.train(
        settings.model_copy(update={"steps": 1}),
        parts,
        Stream(),
        folder,
        accelerator=make_accelerator(settings, "cpu"),
        say=lambda _: None,
        live=False,
    )
    return folder


def test_a_student_draws_and_names_itself(run: Path, tmp_path: Path) -> None:
    manifest = export.export_student(run, tmp_path / "student", name="mine")
    assert manifest["training"]["steps"] == 1
    assert manifest["info"]["guidance"] == export.GUIDANCE
    system = load(str(tmp_path / "student"))
    assert system.info.name == "mine"
    assert (system.info.steps, system.info.weights) == (4, manifest["files"])
    one = system.generate(["a red star"], [7], Sampler(steps=2, guidance=7.5))
    assert one.shape == (1, 16, 64, 64, 3)
    # Neither the batch nor the other seeds of it change a clip; guidance does.
    both = system.generate(["a blue ring", "a red star"], [3, 7], Sampler(steps=2, guidance=7.5))
    assert np.abs(both[1].astype(int) - one[0]).max() <= 1
    other = system.generate(["a red star"], [7], Sampler(steps=2, guidance=14.0))
    assert (other != one).any()
    with pytest.raises(UsageError, match="distilled over 50"):
        system.generate(["a red star"], [7], Sampler(steps=51, guidance=7.5))


def test_a_plain_pipeline_draws_the_same(run: Path, tmp_path: Path) -> None:
    """Somebody without this project gets the student's clips from diffusers alone."""
    export.export_student(run, tmp_path / "student")
    export.export_pipeline(tmp_path / "student", tmp_path / "plain", guidance=6.0)
    student = StudentTextToVideo(tmp_path / "student")
    ours = student.generate(["a red star"], [7], Sampler(steps=1, guidance=6.0))

    plain: Any = DiffusionPipeline.from_pretrained(tmp_path / "plain", local_files_only=True)
    plain.set_progress_bar_config(disable=True)
    assert plain.unet.config.time_cond_proj_dim is None
    noise = torch.randn(1, 8, 16, 8, 8, generator=torch.Generator().manual_seed(7))
    frames = plain(
        "a red star", height=64, width=64, num_frames=16, num_inference_steps=1,
        guidance_scale=1.0, latents=noise, output_type="np",
    ).frames  # fmt: skip
    theirs = np.rint(np.clip(frames, 0, 1) * 255).astype(int)
    assert np.abs(theirs - ours).max() <= 1
    assert ours.std() > 1


def test_baselines_sample_like_their_teacher(make: Make, tmp_path: Path) -> None:
    settings, _ = make("draft", image={"bright": None}, chain={"guidance": 3.0})
    assert export.sampling_of(settings) == {"kind": "ddim"}
    with_motion, _ = make("turbo_v2", image={"bright": None})
    assert export.sampling_of(with_motion)["motion"] == {"scale": 0.05, "percentage": 0.5}


def test_what_does_not_fit_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no checkpoint 9"):
        export.export_student(run, tmp_path / "student", step=9)
    with pytest.raises(UsageError, match="no training run"):
        export.export_student(tmp_path, tmp_path / "student")
    export.export_student(run, tmp_path / "student")
    path = tmp_path / "student" / MANIFEST
    manifest = json.loads(path.read_text())
    for change, error, message in (
        ({"teacher": {**manifest["teacher"], "fingerprint": "0" * 16}}, ConfigError, "other weig"),
        ({"files": {"lora.safetensors": "0" * 64}}, PrerequisiteError, "wrong checksum"),
        ({"format": "something"}, PrerequisiteError, "export it again"),
    ):
        path.write_text(json.dumps({**manifest, **change}))
        with pytest.raises(error, match=message):
            StudentTextToVideo(tmp_path / "student").pipeline()
    shutil.rmtree(tmp_path / "student")
    with pytest.raises(PrerequisiteError, match="turbo-train export"):
        StudentTextToVideo(tmp_path / "student")

"""The packaged system: exported and read back, same noise whatever the batch, checked weights."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from turbo_eval.core.errors import PrerequisiteError
from turbo_eval.models import load
from turbo_eval.models.mini import PACKAGED, MiniTextToVideo, read_card
from turbo_eval.models.protocol import Sampler
from turbo_train.world import teacher, text, vae
from turbo_train.world.export import export_teacher

SAMPLER = Sampler(steps=2, guidance=3.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained system, written by the same function as the shipped one."""
    torch.manual_seed(0)
    target = tmp_path_factory.mktemp("system")
    tokenizer = text.build_tokenizer(1, captions=200)
    autoencoder = vae.build()
    autoencoder.register_to_config(scaling_factor=0.4)
    export_teacher(
        target,
        vae=autoencoder,
        tokenizer=tokenizer,
        encoder=text.build_encoder(tokenizer),
        unet=teacher.build(),
        training={},
        measured={},
    )
    return target


@pytest.fixture(scope="module")
def system(folder: Path) -> MiniTextToVideo:
    """The untrained system on the CPU."""
    return MiniTextToVideo("mini-teacher", folder, device="cpu", dtype="float32")


def test_clips_have_the_size_that_the_card_states(system: MiniTextToVideo) -> None:
    clips = system.generate(["a red star", "a beach"], [1, 2], SAMPLER)
    info = system.info
    assert clips.shape == (2, info.frames, info.height, info.width, 3) == (2, 8, 64, 64, 3)
    assert clips.dtype == np.uint8


def test_the_batch_changes_nothing_but_rounding(system: MiniTextToVideo) -> None:
    prompts, seeds = ["a red star", "a moon", "two words"], [5, 6, 7]
    together = system.generate(prompts, seeds, SAMPLER).astype(int)
    for k, (prompt, seed) in enumerate(zip(prompts, seeds, strict=True)):
        alone = system.generate([prompt], [seed], SAMPLER).astype(int)
        assert np.abs(together[k] - alone[0]).max() <= 1


def test_seed_prompt_and_steps_matter(system: MiniTextToVideo) -> None:
    base = system.generate(["a red star"], [1], SAMPLER)
    assert (base == system.generate(["a red star"], [1], SAMPLER)).all()
    assert (base != system.generate(["a red star"], [2], SAMPLER)).any()
    other = Sampler(steps=3, guidance=3.0)
    assert (base != system.generate(["a red star"], [1], other)).any()


@pytest.mark.parametrize("prompt", ["", "zebra 🦓 ../x\n\"'", "word " * 500])
def test_any_text_is_a_prompt(system: MiniTextToVideo, prompt: str) -> None:
    assert system.generate([prompt], [1], SAMPLER).shape == (1, 8, 64, 64, 3)


def test_the_exported_folder_is_a_plain_diffusers_pipeline(folder: Path) -> None:
    from diffusers import DiffusionPipeline

    pipeline = DiffusionPipeline.from_pretrained(folder, local_files_only=True)
    assert type(pipeline).__name__ == "TextToVideoSDPipeline"


def test_a_changed_weights_file_is_refused_before_it_is_read(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(folder), str(copy)], check=True)
    path = copy / "unet" / "diffusion_pytorch_model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(PrerequisiteError, match="wrong checksum"):
        MiniTextToVideo("mini-teacher", copy, device="cpu", dtype="float32").generate(
            ["a"], [1], SAMPLER
        )
    path.unlink()
    with pytest.raises(PrerequisiteError, match="missing"):
        MiniTextToVideo("mini-teacher", copy, device="cpu", dtype="float32").generate(
            ["a"], [1], SAMPLER
        )


@pytest.mark.parametrize("shipped", [True, False])
def test_no_configuration_names_the_machine_that_trained_it(folder: Path, shipped: bool) -> None:
    for path in (PACKAGED if shipped else folder).rglob("*config.json"):
        assert not any("/" in str(v) for v in json.loads(path.read_text()).values()), path


def test_a_folder_without_a_card_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(PrerequisiteError, match="no mini weights"):
        read_card(tmp_path)


def test_facts_and_fingerprint_need_no_tensor_library() -> None:
    code = (
        "import sys\nfrom turbo_eval.models import load\nm = load('mini-teacher')\n"
        "m.info, m.fingerprint()\nassert 'torch' not in sys.modules, 'torch was imported'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_shipped_card_says_how_it_was_made() -> None:
    card = read_card(PACKAGED)
    for part in ("vae", "text", "teacher"):
        record = card["training"][part]
        assert record["steps"] > 0
        assert record["seconds"] > 0
        assert record["command"].startswith("turbo-train world")
        assert len(record["loss"]) > 5
    size = sum(path.stat().st_size for path in PACKAGED.parent.rglob("*") if path.is_file())
    assert size < 40e6


def test_the_card_holds_what_the_teacher_was_meant_to_reach() -> None:
    measured = read_card(PACKAGED)["measured"]
    assert measured["prompts"] == 200
    assert measured["steps"] == 50
    for fact, wanted in (("shape", 0.8), ("color", 0.85), ("action", 0.7)):
        assert measured[fact]["value"] >= wanted, fact


@pytest.mark.parametrize(
    ("name", "steps"), [("mini-teacher", 12), ("mini-vcm", 4), ("mini-turbo", 4)]
)
def test_the_shipped_systems_draw_what_is_asked(name: str, steps: int) -> None:
    """A small version of `turbo-train world measure`, far above chance (one in ten)."""
    from turbo_train.world.measure import held_out_prompts
    from turbo_train.world.reading import measure_teacher

    entries, model = held_out_prompts(820, 12), load(name)
    clips = model.generate(
        [entry.caption for entry in entries],
        list(range(12)),
        Sampler(steps=steps, guidance=model.info.guidance),
    )
    read = measure_teacher(clips, [e.scene for e in entries], [e.said for e in entries])
    # An untrained network finds none; cards hold what 200 prompts reach.
    assert read["color"]["value"] > 0.75, json.dumps(read)
    assert read["shape"]["value"] > 0.6, json.dumps(read)
    assert read["action"]["value"] > 0.6, json.dumps(read)

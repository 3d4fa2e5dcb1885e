"""The published systems, from small random files in the published formats to frames."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, TextToVideoSDPipeline, UNet3DConditionModel
from safetensors.torch import save_file
from torch import Tensor

from tests.models.tiny_vc2 import CONTEXT, lvdm_unet, random_list, unet, write_teacher
from tests.models.tiny_vgen import vgen_state
from turbo_eval.core.errors import InputError, PrerequisiteError, TurboError, UsageError
from turbo_eval.models import Sampler, load, model_names
from turbo_eval.models.guidance import random_projection
from turbo_eval.models.lora import add_lora, load_released, lora_parameters, named_lora
from turbo_eval.models.memory import check_fits
from turbo_eval.models.mini import PACKAGED
from turbo_eval.models.networks import open_folder
from turbo_eval.models.noise import guidance_embedding, latent_rescale, noise_alphas_cumprod
from turbo_eval.models.published_systems import INSTRUCTVIDEO, SYSTEMS
from turbo_eval.models.quiet import quiet_libraries
from turbo_eval.models.real_systems import facts_without_weights, real_names
from turbo_eval.models.sampling import (
    Noise,
    ddim_sample,
    guided,
    lvdm_timesteps,
    solver_timesteps,
)
from turbo_eval.models.scheduler import ConsistencyScheduler
from turbo_eval.models.systems import find_system

SMALL = "frames=2,size=64x64"
FOUR = Sampler(steps=4, guidance=7.5)
PROMPTS = ["a red star", "two dogs on the moon"]


def a_pipeline(folder: Path) -> Any:
    """A small random system in ModelScope's layout; the mini world's words."""
    torch.manual_seed(5)
    with quiet_libraries():
        source: Any = TextToVideoSDPipeline.from_pretrained(PACKAGED, local_files_only=True)
        width = int(source.text_encoder.config.hidden_size)
        pipeline: Any = TextToVideoSDPipeline(
            vae=AutoencoderKL(
                down_block_types=("DownEncoderBlock2D",) * 4,
                up_block_types=("UpDecoderBlock2D",) * 4,
                block_out_channels=(32, 32, 32, 32),
            ),
            text_encoder=source.text_encoder,
            tokenizer=source.tokenizer,
            unet=UNet3DConditionModel(
                sample_size=8,
                down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
                up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
                block_out_channels=(32, 64),
                layers_per_block=1,
                cross_attention_dim=width,
                attention_head_dim=8,
            ).eval(),
            scheduler=DDIMScheduler(
                beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
                clip_sample=False, set_alpha_to_one=False, steps_offset=1,
            ),
        )  # fmt: skip
        pipeline.set_progress_bar_config(disable=True)
        pipeline.save_pretrained(folder)
    return pipeline


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every published file, small and random."""
    folder = tmp_path_factory.mktemp("weights")
    write_teacher(folder / "VideoCrafter2")
    pipeline = a_pipeline(folder / "text-to-video-ms-1.7b")
    width = int(pipeline.unet.config.cross_attention_dim)
    with torch.device("meta"):
        crafter = unet(time_cond_proj_dim=16)
        scope = UNet3DConditionModel(
            **{**pipeline.unet.config, "cross_attention_dim": width, "time_cond_proj_dim": 16}
        )
    torch.manual_seed(11)
    plain = lvdm_unet(unet(time_cond_proj_dim=16))
    moved = lvdm_unet(unet(time_cond_proj_dim=16, motion_cond_proj_dim=16))
    for name, content in (
        (f"instructvideo/{INSTRUCTVIDEO.file}", vgen_state(pipeline.unet)),
        ("t2v-turbo-vc2/unet_lora.pt", random_list(crafter)),
        ("t2v-turbo-ms/unet_lora.pt", random_list(scope)),
        ("t2v-turbo-v2/unet_mg.pt", moved),
        ("t2v-turbo-v2/unet_no_mg.pt", plain),
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        torch.save(content, folder / name)
    return folder


@pytest.fixture(autouse=True)
def nowhere_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No folder of weights that this machine may have."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TURBO_EVAL_WEIGHTS_DIR", raising=False)
    monkeypatch.setenv("VBENCH_CACHE_DIR", str(tmp_path / "cache"))


@pytest.mark.parametrize("name", sorted(SYSTEMS))
def test_every_system_draws_and_neither_batch_nor_neighbours_change_a_clip(
    name: str, weights: Path
) -> None:
    assert name in model_names()
    system = load(f"{name}:{SMALL}", weights_dir=weights)
    facts = SYSTEMS[name]
    assert (system.info.width, system.info.height, system.info.frames) == (64, 64, 2)
    assert (system.info.steps, system.info.guidance) == (facts.steps, facts.guidance)
    assert len(system.info.weights) >= (1 if facts.student is None else 2)
    assert load(name, weights_dir=weights).info.width == facts.width
    sampler = Sampler(steps=2, guidance=facts.guidance)
    both = system.generate(PROMPTS, [3, 4], sampler)
    assert both.shape == (2, 2, 64, 64, 3)
    assert both.dtype == np.uint8
    assert both.std() > 1
    alone = system.generate(PROMPTS[1:], [4], sampler)
    assert np.abs(both[1].astype(int) - alone[0]).max() <= 1
    assert (system.generate(PROMPTS[1:], [5], sampler) != alone).any()
    assert (system.generate(PROMPTS[:1], [4], sampler) != alone).any()
    assert (system.generate(PROMPTS[1:], [4], Sampler(steps=2, guidance=2.5)) != alone).any()


def by_hand(network: Any, text: Tensor, seed: int, told: dict[str, Any]) -> Tensor:
    """Four steps of consistency sampling, written out."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(1, 4, 2, 8, 8, generator=generator)
    scheduler = ConsistencyScheduler(original_inference_steps=50)
    scheduler.set_timesteps(4)
    assert scheduler.timesteps.tolist() == [999, 759, 519, 279]
    w = guidance_embedding(torch.tensor([7.5]), 16)
    for t in scheduler.timesteps:
        with torch.no_grad():
            out = network(z, t[None], text, timestep_cond=w, **told).sample
        result: Any = scheduler.step(out, t, z, torch.randn(1, 4, 2, 8, 8, generator=generator))
        z = result.prev_sample
    final: Tensor = result.denoised
    return final


def test_a_released_list_draws_what_it_draws_by_hand(weights: Path) -> None:
    for name, told in (("t2v-turbo-vc2", {"fps": 16}), ("t2v-turbo-ms", {})):
        system: Any = load(f"{name}:{SMALL}", weights_dir=weights)
        base = "videocrafter2" if told else "modelscope"
        found = open_folder(find_system(base, weights))
        load_released(found.unet, torch.load(weights / name / "unet_lora.pt", weights_only=True))
        text = found.encode(PROMPTS[:1], "cpu")
        wanted = by_hand(found.unet, text, 9, told)
        with torch.inference_mode():
            latents = system.latents(PROMPTS[:1], [9], FOUR)
            assert torch.allclose(latents, wanted, atol=1e-4 * float(wanted.abs().max()))
            # Published clips are rounded down.
            frame = found.vae.decode(latents[:, :, 1] / 0.18215).sample
        pixels = ((frame.clamp(-1, 1) + 1) / 2 * 255).floor().permute(0, 2, 3, 1)
        drawn = system.generate(PROMPTS[:1], [9], FOUR)[0, 1]
        assert np.abs(drawn.astype(int) - pixels[0].numpy()).max() <= 1


def test_the_missing_projection_is_told_and_can_be_the_authors(weights: Path) -> None:
    def draw(settings: str) -> tuple[Any, Any]:
        system = load(f"t2v-turbo-vc2:{SMALL}{settings}", weights_dir=weights)
        return system, system.generate(PROMPTS[:1], [1], FOUR)

    zeros, clip = draw("")
    assert zeros.info.notes["guidance projection"].endswith("zeros")
    assert zeros.info.notes["timesteps"].endswith("50")
    theirs, other = draw(",compat=authors")
    assert theirs.info.notes["guidance projection"].endswith("uniform, seed 1")
    assert theirs.info.notes["timesteps"].endswith("200")
    again, same = draw(",compat=authors,projection_seed=1")
    different, third = draw(",projection_seed=2")
    assert (other == same).all()
    assert (clip != other).any()
    assert (other != third).any()
    marks = {s.fingerprint() for s in (zeros, theirs, different)}
    assert len(marks) == 3
    assert load(f"t2v-turbo-vc2:{SMALL},offload=yes", weights_dir=weights).fingerprint() in marks
    base = random_projection((320, 256), 0)
    assert base.abs().max() <= 1 / 16
    assert float(base.std()) == pytest.approx(1 / 16 / 3**0.5, rel=0.02)


def test_frame_rate_and_offload(weights: Path) -> None:
    slow = load(f"t2v-turbo-vc2:{SMALL},fps=8", weights_dir=weights)
    usual = load(f"t2v-turbo-vc2:{SMALL}", weights_dir=weights)
    away = load(f"t2v-turbo-vc2:{SMALL},offload=yes,tiling=yes", weights_dir=weights)
    assert (slow.info.fps, usual.info.fps) == (8, 16)
    assert SYSTEMS["videocrafter2"].told == 28
    clip = usual.generate(PROMPTS[:1], [1], FOUR)
    assert (slow.generate(PROMPTS[:1], [1], FOUR) != clip).any()
    assert (away.generate(PROMPTS[:1], [1], FOUR) == clip).all()


def test_compiled_networks_draw_the_same(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Captured as the default compiler would, but not built, which takes minutes.
    plain = torch.nn.Module.compile
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self: plain(self, backend="eager"))
    one = load(f"t2v-turbo-vc2:{SMALL}", weights_dir=weights)
    two = load(f"t2v-turbo-vc2:{SMALL},compile=yes", weights_dir=weights)
    assert two.fingerprint() == one.fingerprint()
    clips = [system.generate(PROMPTS[:1], [1], FOUR).astype(int) for system in (one, two)]
    assert two.networks.unet._compiled_call_impl is not None  # type: ignore[attr-defined]
    assert np.abs(clips[0] - clips[1]).max() <= 1


def test_half_precision_runs(weights: Path) -> None:
    clips = [
        load(f"t2v-turbo-ms:{SMALL}", weights_dir=weights, dtype=dtype).generate(
            PROMPTS[:1], [1], Sampler(steps=1, guidance=7.5)
        )
        for dtype in ("float32", "bfloat16")
    ]
    assert np.abs(clips[0].astype(int) - clips[1]).mean() < 8


def test_modelscope_equals_diffusers_pipeline(weights: Path) -> None:
    system: Any = load(f"modelscope:{SMALL},negative=blurry", weights_dir=weights)
    noise = Noise([2], (4, 2, 8, 8))()
    with quiet_libraries():
        pipeline: Any = TextToVideoSDPipeline.from_pretrained(
            weights / "text-to-video-ms-1.7b", local_files_only=True
        )
    pipeline.set_progress_bar_config(disable=True)
    wanted = pipeline(
        PROMPTS[0], negative_prompt="blurry", height=64, width=64, num_frames=2,
        num_inference_steps=5, guidance_scale=9.0, latents=noise, output_type="latent",
    ).frames  # fmt: skip
    with torch.inference_mode():
        ours = system.latents(PROMPTS[:1], [2], Sampler(steps=5, guidance=9.0))
    assert torch.allclose(ours, wanted, atol=1e-4 * float(wanted.abs().max()))
    plain: Any = load(f"modelscope:{SMALL}", weights_dir=weights)
    with torch.inference_mode():
        assert not torch.allclose(
            plain.latents(PROMPTS[:1], [2], Sampler(steps=5, guidance=9.0)), ours
        )


def test_a_teacher_on_the_solvers_table(weights: Path) -> None:
    native = load(f"videocrafter2:{SMALL}", weights_dir=weights)
    solver = load(f"videocrafter2:{SMALL},sampler=solver", weights_dir=weights)
    few = Sampler(steps=3, guidance=1.0)
    assert (native.generate(PROMPTS[:1], [1], few) != solver.generate(PROMPTS[:1], [1], few)).any()
    assert "solver" in solver.info.notes["timesteps"]


def test_tables_of_timesteps() -> None:
    assert lvdm_timesteps(50) == list(range(1, 1000, 20))
    assert solver_timesteps(50) == list(range(19, 1000, 20))
    assert lvdm_timesteps(1) == [1]
    assert len(lvdm_timesteps(30)) == 31
    assert lvdm_timesteps(3) == [1, 334, 667]
    assert max(lvdm_timesteps(500)) == 999
    for table, steps in ((lvdm_timesteps, 501), (lvdm_timesteps, 0), (solver_timesteps, 1001)):
        with pytest.raises(UsageError):
            table(steps)


@pytest.mark.parametrize("rescaled", [False, True])
def test_ddim_follows_an_exact_denoiser(rescaled: bool) -> None:
    """A denoiser that knows x0 keeps DDIM on the line from noise to x0, whatever the table."""
    abar = noise_alphas_cumprod(dtype=torch.float64)
    factor = latent_rescale() if rescaled else torch.ones(1400, dtype=torch.float64)
    original = torch.linspace(-2, 2, 24).reshape(1, 4, 1, 2, 3)

    def denoise(z: Tensor, t: int) -> Tensor:
        return ((z - abar[t] ** 0.5 * factor[t] * original) / (1 - abar[t]) ** 0.5).float()

    noise = Noise([0], (4, 1, 2, 3))
    times = lvdm_timesteps(50)
    z = ddim_sample(
        denoise, noise, "cpu", times, rescale=latent_rescale() if rescaled else None, eta=0.0
    )
    start = Noise([0], (4, 1, 2, 3))()
    wanted = abar[0] ** 0.5 * original + (1 - abar[0]) ** 0.5 * denoise(start, times[-1])
    assert torch.allclose(z, wanted.float(), atol=2e-4)


def test_fresh_noise_keeps_the_variance() -> None:
    """With eta 1 and data that is always 0, the samples have the variance of timestep 0."""
    abar = noise_alphas_cumprod(dtype=torch.float64)

    def denoise(z: Tensor, t: int) -> Tensor:
        return (z / (1 - abar[t]) ** 0.5).float()

    z = ddim_sample(denoise, Noise([0], (4, 4, 32, 32)), "cpu", lvdm_timesteps(10), eta=1.0)
    assert float(z.var()) == pytest.approx(float(1 - abar[0]), rel=0.05)


def test_guidance_is_imagens_form_in_one_call() -> None:
    calls = []

    def network(z: Tensor, times: Tensor, text: Tensor) -> Tensor:
        calls.append(len(z))
        return z * text.mean((1, 2))[:, None, None, None, None] + times[:, None, None, None, None]

    z, text, empty = torch.ones(2, 1, 1, 1, 1), torch.full((2, 1, 1), 3.0), torch.zeros(2, 1, 1)
    assert guided(network, text, empty, 4.0)(z, 5).flatten().tolist() == [17.0, 17.0]
    assert guided(network, text, empty, 1.0)(z, 5).flatten().tolist() == [8.0, 8.0]
    assert guided(network, text, None, 4.0)(z, 5).flatten().tolist() == [8.0, 8.0]
    assert calls == [4, 2, 2]


def test_what_is_missing_is_said_in_one_line(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(PrerequisiteError) as caught:
        load("t2v-turbo-vc2", weights_dir=tmp_path / "w")
    line = str(caught.value)
    for part in ("model.ckpt (7.4 GB)", "unet_lora.pt (0.47 GB)", "VideoCrafter/VideoCrafter2"):
        assert part in line
    assert str(tmp_path / "w" / "t2v-turbo-vc2" / "unet_lora.pt") in line
    assert "\n" not in line
    for name, part in (("modelscope", "text-to-video-ms-1.7b"), ("vcm-vc2", "student.json")):
        with pytest.raises(PrerequisiteError, match=part):
            load(name, weights_dir=tmp_path / "w")
    (tmp_path / "weights").symlink_to(weights)
    assert load("t2v-turbo-v2").info.weights.keys() == {"model.ckpt", "unet_mg.pt"}


def test_what_is_known_without_weights(weights: Path) -> None:
    for name in real_names():
        facts = facts_without_weights(name)
        assert facts is not None
        assert facts["files"][0]["gigabytes"] > 7
        if name in SYSTEMS:
            info = load(name, weights_dir=weights).info
            assert all(facts[key] == getattr(info, key) for key in ("width", "fps", "licence"))
    assert facts_without_weights("mini-teacher") is None


def other_file(weights: Path, folder: Path, name: str, content: Any) -> Path:
    """A folder of weights in which one file is another one."""
    folder.mkdir()
    for entry in weights.iterdir():
        (folder / entry.name).symlink_to(entry)
    (folder / name).parent.unlink()
    (folder / name).parent.mkdir()
    if isinstance(content, bytes):
        (folder / name).write_bytes(content)
    else:
        torch.save(content, folder / name)
    return folder


def test_files_of_another_student_are_refused(weights: Path, tmp_path: Path) -> None:
    crafted = torch.load(weights / "t2v-turbo-vc2" / "unet_lora.pt", weights_only=True)
    scoped = torch.load(weights / "t2v-turbo-ms" / "unet_lora.pt", weights_only=True)
    no_mg = torch.load(weights / "t2v-turbo-v2" / "unet_no_mg.pt", weights_only=True)
    swapped = [*crafted[2:4], *crafted[:2], *crafted[4:]]
    lora, whole = "t2v-turbo-vc2/unet_lora.pt", "t2v-turbo-v2/unet_mg.pt"
    cases: list[tuple[str, Any, str]] = [
        (lora, scoped, "does not fit t2v-turbo-vc2"),
        (lora, swapped, "does not fit t2v-turbo-vc2"),
        (lora, crafted[:-1], "does not fit t2v-turbo-vc2"),
        (lora, no_mg, "no list of tensors"),
        (lora, b"<html>", "no checkpoint"),
        (whole, no_mg, "motion_cond_proj"),
        (whole, crafted, "a list without names"),
        (whole, {k: v for k, v in no_mg.items() if k != "time_cond_proj.weight"}, "time_cond_proj"),
    ]
    for number, (file, content, words) in enumerate(cases):
        folder = other_file(weights, tmp_path / str(number), file, content)
        system = load(f"{file.partition('/')[0]}:{SMALL}", weights_dir=folder)
        with pytest.raises(TurboError, match=words) as caught:
            system.generate(PROMPTS[:1], [1], FOUR)
        assert "\n" not in str(caught.value)


def test_bad_settings_and_samplers(weights: Path) -> None:
    for name, words in (
        ("t2v-turbo-vc2:size=60x64", "8 x 8 pixels"),
        ("t2v-turbo-vc2:compat=vbench", "compat"),
        ("t2v-turbo-vc2:negative=rain", "negative"),
        ("videocrafter2:projection_seed=3", "projection_seed"),
        ("videocrafter2:sampler=euler", "sampler"),
        ("t2v-turbo-v2:compat=authors", "compat"),
    ):
        with pytest.raises(UsageError, match=words):
            load(name, weights_dir=weights)
    system = load(f"t2v-turbo-vc2:{SMALL}", weights_dir=weights)
    with pytest.raises(UsageError, match="table of 50"):
        system.generate(PROMPTS[:1], [1], Sampler(steps=51, guidance=7.5))


def test_a_gpu_that_is_too_small_says_what_would_fit(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = open_folder(find_system("videocrafter2", weights))
    count = sum(p.numel() for n in (found.unet, found.vae, found.text) for p in n.parameters())
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (4 * count - 1, 8 * count))
    with pytest.raises(PrerequisiteError, match=r"bfloat16 needs .* GiB; .* offload=yes"):
        check_fits(found.parts, "cuda:0", torch.float32, offload=False)
    check_fits(found.parts, "cuda:0", torch.bfloat16, offload=False)
    check_fits(found.parts, "cuda:0", torch.float32, offload=True)
    check_fits(found.parts, "cpu", torch.float32, offload=False)


def test_numbers_that_are_not_finite_are_refused(weights: Path) -> None:
    system: Any = load(f"t2v-turbo-v2-no-mg:{SMALL}", weights_dir=weights)
    with torch.no_grad():
        system.networks.unet.conv_out.bias.fill_(float("nan"))
    with pytest.raises(InputError, match="no numbers"):
        system.generate(PROMPTS[:1], [1], FOUR)


def test_a_student_distilled_here_from_videocrafter2(weights: Path, tmp_path: Path) -> None:
    """Its folder is found by the name vcm-vc2, and its LoRA changes what the teacher draws."""
    import json

    from turbo_eval.core.hashing import file_sha256
    from turbo_eval.models.guidance import add_guidance_projection
    from turbo_eval.models.student import FORMAT
    from turbo_eval.models.systems import system_fingerprint

    base = find_system("videocrafter2", weights)
    network = add_lora(add_guidance_projection(open_folder(base).unet), 2)
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in lora_parameters(network):
            weight.normal_(std=0.1)
    folder = tmp_path / "w" / "vcm-vc2"
    folder.mkdir(parents=True)
    (tmp_path / "w" / "VideoCrafter2").symlink_to(weights / "VideoCrafter2")
    save_file(
        {k: v.contiguous() for k, v in named_lora(network).items()}, folder / "lora.safetensors"
    )
    manifest = {
        "format": FORMAT, "name": "vcm-vc2", "rank": 2, "guidance_width": 256,
        "teacher": {"name": "videocrafter2", "fingerprint": system_fingerprint(base)},
        "sampling": {"kind": "consistency", "original_steps": 50},
        "info": {
            "width": 64, "height": 64, "frames": 2, "fps": 16, "steps": 4, "guidance": 7.5,
            "licence": "the teacher's",
        },
        "files": {"lora.safetensors": file_sha256(folder / "lora.safetensors")},
    }  # fmt: skip
    (folder / "student.json").write_text(json.dumps(manifest))
    student = load("vcm-vc2", weights_dir=tmp_path / "w")
    clips = student.generate(PROMPTS, [3, 4], FOUR)
    assert clips.shape == (2, 2, 64, 64, 3)
    assert np.abs(student.generate(PROMPTS[1:], [4], FOUR)[0].astype(int) - clips[1]).max() <= 1
    assert (student.generate(PROMPTS[1:], [4], Sampler(steps=4, guidance=14.0)) != clips[1]).any()
    assert open_folder(base).unet.config.cross_attention_dim == CONTEXT
    # Its network asks for the frame rate, and 16 is what it was trained with.
    rates = [
        load(f"vcm-vc2:fps={fps}", weights_dir=tmp_path / "w").generate(PROMPTS[:1], [3], FOUR)
        for fps in (16, 8)
    ]
    assert np.abs(rates[0][0].astype(int) - clips[0]).max() <= 1
    assert (rates[1] != rates[0]).any()

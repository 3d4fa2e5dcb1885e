"""Random pipelines of five families, saved as repositories are, end to end."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.models import tiny_pipelines
from turbo_eval.core.errors import InputError, PrerequisiteError, UsageError
from turbo_eval.models import Sampler, TextToVideo, load
from turbo_eval.models.diffusers_families import FAMILIES
from turbo_eval.models.diffusers_reading import frames_of

TWO = Sampler(steps=2, guidance=3.0)


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Folder of a pipeline by its name, written when first asked for."""
    root = tmp_path_factory.mktemp("pipelines")

    def folder(name: str) -> Path:
        place = root / name
        return place if place.exists() else tiny_pipelines.save(name, place)

    return folder


def opened(folder: Path, name: str, more: str = "", dtype: str = "float32") -> TextToVideo:
    frames, (width, height) = tiny_pipelines.REQUESTS[name]
    return load(f"diffusers:{folder}:frames={frames},size={width}x{height}{more}", dtype=dtype)


@pytest.mark.parametrize("name", tiny_pipelines.BUILDERS)
def test_a_family_draws_from_a_folder(name: str, folders: Any) -> None:
    folder = folders(name)
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 1_000_000
    system = opened(folder, name)
    frames, (width, height) = tiny_pipelines.REQUESTS[name]
    info = system.info
    assert (info.frames, info.width, info.height) == (frames, width, height)
    assert (info.steps, info.guidance) == (FAMILIES[name].steps, FAMILIES[name].guidance)
    assert set(info.weights) == {
        path.relative_to(folder).as_posix() for path in folder.rglob("*.safetensors")
    }
    pair = system.generate(["a cat", "a dog runs"], [1, 2], TWO)
    assert pair.shape == (2, frames, height, width, 3)
    assert pair.dtype == np.uint8
    assert pair.std() > 5
    # The clip belongs to its prompt and its seed, whatever stands beside it.
    alone = system.generate(["a dog runs"], [2], TWO)
    assert np.abs(pair[1].astype(int) - alone[0]).max() <= 1
    other = system.generate(["a dog runs"], [3], TWO)
    assert (other != alone).mean() > 0.5


def test_first_latents_are_those_of_the_seed(folders: Any) -> None:
    """Handing the pipeline float32 latents drawn on the CPU gives the same clip to the bit."""
    from diffusers import TextToVideoSDPipeline

    folder = folders("TextToVideoSDPipeline")
    ours = opened(folder, "TextToVideoSDPipeline").generate(["a cat"], [5], TWO)
    pipeline = TextToVideoSDPipeline.from_pretrained(folder)
    latents = torch.randn((1, 4, 3, 8, 8), generator=torch.Generator().manual_seed(5))
    theirs = pipeline(
        "a cat", height=32, width=32, num_frames=3, num_inference_steps=2, guidance_scale=3.0,
        latents=latents, output_type="np",
    ).frames  # fmt: skip
    assert np.array_equal(ours, np.rint(theirs * 255).astype(np.uint8))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", [(1, 4, 3, 8, 8), (1, 16, 2, 3, 5), (1, 12, 4, 15, 6)])
def test_draws_of_sixteen_bit_are_rounded_ones(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    """A clip in 16 bit starts where the same clip in float32 starts.

    So it is in torch for a multiple of 16 numbers, which all of these latents have.
    """
    exact = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=dtype)
    assert torch.equal(drawn, exact.to(dtype))


def test_half_precision_and_tiling_draw(folders: Any) -> None:
    name = "WanPipeline"
    whole = opened(folders(name), name)
    half = opened(folders(name), name, ",tiling=yes", dtype="bfloat16")
    assert half.fingerprint() != whole.fingerprint()
    apart = np.abs(
        half.generate(["a cat"], [1], TWO).astype(int) - whole.generate(["a cat"], [1], TWO)
    )
    # bfloat16 has 8 bits of mantissa; with other noise the clips would be 40 levels apart.
    assert apart.mean() < 12


def test_a_compiled_network_draws_the_same(folders: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = torch.nn.Module.compile
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self: plain(self, backend="eager"))
    name = "WanPipeline"
    eager, fast = opened(folders(name), name), opened(folders(name), name, ",compile=yes")
    assert fast.fingerprint() == eager.fingerprint()
    clips = [system.generate(["a cat"], [1], TWO).astype(int) for system in (eager, fast)]
    assert fast._pipeline.transformer._compiled_call_impl is not None  # type: ignore[attr-defined]
    assert np.abs(clips[0] - clips[1]).max() <= 1


def test_the_key_follows_content_and_settings(folders: Any, tmp_path: Path) -> None:
    import shutil

    name = "LTXPipeline"
    folder = folders(name)
    copy = tmp_path / "elsewhere"
    shutil.copytree(folder, copy)
    key = opened(folder, name).fingerprint()
    assert opened(copy, name).fingerprint() == key
    assert opened(folder, name, ",offload=yes").fingerprint() == key
    assert opened(folder, name, ",negative=blurry, grey").fingerprint() != key
    weights = copy / "transformer" / "diffusion_pytorch_model.safetensors"
    tensors = {key: value + 1 for key, value in load_file(weights).items()}
    save_file(tensors, weights)
    assert opened(copy, name).fingerprint() != key


def test_negative_prompt_changes_the_clip(folders: Any) -> None:
    name = "WanPipeline"
    plain = opened(folders(name), name).generate(["a cat"], [1], TWO)
    steered = opened(folders(name), name, ",negative=grey, blurred").generate(["a cat"], [1], TWO)
    assert not np.array_equal(plain, steered)
    weak = opened(folders(name), name, ",negative=grey, blurred")
    with pytest.raises(UsageError, match="negative prompt and no guidance"):
        weak.generate(["a cat"], [1], Sampler(steps=2, guidance=1.0))


def test_motion_adapter_lightning_and_lora(folders: Any, tmp_path: Path) -> None:
    """AnimateDiff from an image folder, an adapter's folder, one file, and a motion LoRA."""
    from diffusers import AnimateDiffPipeline
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    base = folders("stable_diffusion")
    torch.manual_seed(3)
    tiny_pipelines.motion().save_pretrained(tmp_path / "motion")
    size = "frames=3,size=32x32"
    slow = load(f"diffusers:{base}:{size},motion_adapter={tmp_path / 'motion'}")
    assert (slow.info.steps, slow.info.guidance) == (50, 7.5)
    single = tmp_path / "animatediff_lightning_4step_diffusers.safetensors"
    single.write_bytes((tmp_path / "motion" / "diffusion_pytorch_model.safetensors").read_bytes())
    fast = load(f"diffusers:{base}:{size},motion_adapter={single}")
    assert (fast.info.steps, fast.info.guidance) == (4, 1.0)
    clip = slow.generate(["a cat"], [1], TWO)
    assert clip.shape == (1, 3, 32, 32, 3)
    # The same adapter with two schedules.
    assert not np.array_equal(clip, fast.generate(["a cat"], [1], TWO))
    pipeline: Any = AnimateDiffPipeline.from_pretrained(
        base, motion_adapter=tiny_pipelines.motion()
    )
    pipeline.unet.add_adapter(
        LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False)
    )
    AnimateDiffPipeline.save_lora_weights(
        tmp_path / "lora", unet_lora_layers=get_peft_model_state_dict(pipeline.unet)
    )
    lora = tmp_path / "lora" / "pytorch_lora_weights.safetensors"
    with_lora = load(f"diffusers:{base}:{size},motion_adapter={tmp_path / 'motion'},lora={lora}")
    assert with_lora.fingerprint() != slow.fingerprint()
    assert not np.array_equal(with_lora.generate(["a cat"], [1], TWO), clip)
    # An adapter of another width is refused by name.
    other = tmp_path / "other_lightning_4step.safetensors"
    save_file({f"x.{k}": v for k, v in load_file(single).items()}, other)
    with pytest.raises(PrerequisiteError, match="does not fit"):
        load(f"diffusers:{base}:{size},motion_adapter={other}").generate(["a cat"], [1], TWO)


def _system(name: str, folders: Any, result: Any) -> TextToVideo:
    system: Any = opened(folders(name), name)
    system._pipeline = lambda **_: result
    return system  # type: ignore[no-any-return]


def test_what_is_no_clip_is_refused(folders: Any) -> None:
    name = "WanPipeline"
    good = np.full((1, 5, 16, 32, 3), 0.5, np.float32)
    cases = {
        "returned images": SimpleNamespace(images=[1]),
        "returned images of shape": SimpleNamespace(frames=good[0]),
        r"\(1, 4, 16, 32, 3\)": SimpleNamespace(frames=good[:, :4]),
        "no numbers.*float32": SimpleNamespace(frames=np.where(good > 0, np.nan, good)),
        "returned list": [1, 2],
    }
    for text, result in cases.items():
        with pytest.raises(InputError, match=text):
            _system(name, folders, result).generate(["a cat"], [1], TWO)
    kept = _system(name, folders, SimpleNamespace(frames=good)).generate(["a cat"], [1], TWO)
    assert np.all(kept == 128)


def test_images_of_one_call_are_the_frames_of_one_clip() -> None:
    family = FAMILIES["TextToVideoZeroPipeline"]
    frames = frames_of(SimpleNamespace(images=np.zeros((8, 4, 4, 3))), family, "zero")
    assert frames.shape == (1, 8, 4, 4, 3)


def test_a_pipelines_own_refusal_is_one_line(folders: Any) -> None:
    class Stubborn:
        guider = None

        def __call__(self, **_: Any) -> None:
            raise ValueError("`height` has to be\ndivisible by 640")

    system: Any = opened(folders("WanPipeline"), "WanPipeline")
    system._pipeline = Stubborn()
    with pytest.raises(UsageError, match="5 frames of 32x16.*divisible by 640") as caught:
        system.generate(["a cat"], [1], TWO)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("frames=6", "4k . 1 frames.*frames=5 or frames=9"),
        ("frames=0", "whole number"),
        ("size=32x20", "multiple of 16"),
        ("size=32", "WIDTHxHEIGHT"),
        ("fps=fast", "number above 0"),
        ("tiling=maybe", "yes or no"),
        ("frame=5", "did you mean frames"),
        ("scheduler=dimm", "ddim"),
        ("frames=5,frames=9", "twice"),
    ],
)
def test_settings_that_cannot_be(settings: str, said: str, folders: Any) -> None:
    with pytest.raises(UsageError, match=said):
        load(f"diffusers:{folders('WanPipeline')}:{settings}")

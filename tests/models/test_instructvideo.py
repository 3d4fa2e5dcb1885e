"""InstructVideo, from small random files in its published format to frames, and files that are not.

What its network and sampler compute is held to the authors' program in tests/golden.
"""

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet3DConditionModel
from safetensors.torch import save_file
from torch import Tensor

from tests.models.test_published import PROMPTS, SMALL, a_pipeline
from tests.models.tiny_vc2 import lvdm_unet, random_list
from tests.models.tiny_vc2 import unet as crafted
from tests.models.tiny_vgen import State, cut, lora_of, shaped, vgen_state, without
from turbo_eval.cli.main import run
from turbo_eval.core.errors import InputError, PrerequisiteError, UsageError
from turbo_eval.models import Sampler, load
from turbo_eval.models.networks import open_folder, open_networks
from turbo_eval.models.published import locate
from turbo_eval.models.published_systems import INSTRUCTVIDEO, SYSTEMS
from turbo_eval.models.vgen import merge_onto

SYSTEM = SYSTEMS["instructvideo"]
OWN = Sampler(steps=2, guidance=3.0)
HALF = "input_blocks.0.1.transformer_blocks.0.attn1.to_q_lora.up_linear.weight"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ModelScope's folder, small and random."""
    folder = tmp_path_factory.mktemp("base") / "text-to-video-ms-1.7b"
    a_pipeline(folder)
    return folder


@pytest.fixture(scope="module")
def tuned(base: Path) -> Any:
    """The network that was fine-tuned: not the one of the folder."""
    torch.manual_seed(8)
    config: Any = UNet3DConditionModel.load_config(base / "unet")
    found: Any = UNet3DConditionModel.from_config(config)
    return found.eval()


@pytest.fixture(scope="module")
def state(tuned: Any) -> State:
    return vgen_state(tuned)


@pytest.fixture(autouse=True)
def nowhere_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No folder of weights that this machine may have."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TURBO_EVAL_WEIGHTS_DIR", raising=False)
    monkeypatch.setenv("VBENCH_CACHE_DIR", str(tmp_path / "cache"))


def laid(folder: Path, base: Path, content: Any) -> Path:
    """A folder of weights with ModelScope's files and this one as InstructVideo's."""
    path = folder / INSTRUCTVIDEO.names[0]
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    (folder / base.name).symlink_to(base)
    return path


def test_every_form_of_the_file_gives_the_same_network(
    base: Path, tuned: Any, state: State, tmp_path: Path
) -> None:
    forms = {
        "plain.pth": state,
        # As the training saves it, on one device and on several.
        "training.pth": {"state_dict": state, "optimizer": {"state": {}}, "step": 620000},
        "devices.pth": {"state_dict": {f"module.{k}": v for k, v in state.items()}},
    }
    wanted: State = {}
    for name, content in forms.items():
        torch.save(content, tmp_path / name)
        found = open_networks(SYSTEM, base, tmp_path / name).unet.state_dict()
        wanted = wanted or found
        assert all(torch.equal(found[key], wanted[key]) for key in wanted)
    save_file(state, tmp_path / "plain.safetensors")
    again = open_networks(SYSTEM, base, tmp_path / "plain.safetensors").unet
    assert all(torch.equal(again.state_dict()[key], wanted[key]) for key in wanted)
    query = "transformer_in.transformer_blocks.0.attn1.to_q"
    merged = tuned.get_submodule(query).weight + state[HALF] @ state[HALF.replace("up_", "down_")]
    assert torch.allclose(wanted[f"{query}.weight"], merged, atol=1e-6)
    torch.save({k: v.half() for k, v in state.items()}, tmp_path / "half.pth")
    halved = open_networks(SYSTEM, base, tmp_path / "half.pth").unet
    assert halved.dtype == torch.float32
    assert torch.allclose(halved.state_dict()[f"{query}.weight"], merged, atol=1e-2)


def test_lora_alone_is_merged_onto_modelscope(base: Path, state: State, tmp_path: Path) -> None:
    torch.save(lora_of(state), tmp_path / "lora.pth")
    found = open_networks(SYSTEM, base, tmp_path / "lora.pth").unet.state_dict()
    plain = open_folder(base).unet.state_dict()
    changed = {name for name in plain if not torch.equal(found[name], plain[name])}
    assert changed == {
        name for name in plain if name.endswith((".to_q.weight", ".to_k.weight", ".to_v.weight",
                                                 ".to_out.0.weight"))
    }  # fmt: skip


def test_the_folders_own_unet_is_not_needed(base: Path, state: State, tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    shutil.copytree(base, tmp_path / "w" / "text-to-video-ms-1.7b")
    for path in (tmp_path / "w" / "text-to-video-ms-1.7b" / "unet").glob("*.safetensors"):
        path.unlink()
    whole, alone = tmp_path / "whole.pth", tmp_path / "alone.pth"
    torch.save(state, whole)
    torch.save(lora_of(state), alone)
    folder = tmp_path / "w" / "text-to-video-ms-1.7b"
    assert open_networks(SYSTEM, folder, whole).unet is not None
    with pytest.raises(PrerequisiteError, match="every file of the repository"):
        open_networks(SYSTEM, folder, alone)
    (folder / "unet" / "config.json").write_text("{")
    with pytest.raises(PrerequisiteError, match="configuration cannot be used"):
        open_networks(SYSTEM, folder, whole)


def test_it_samples_as_its_teacher_does(
    base: Path, state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    laid(tmp_path / "w", base, state)
    system: Any = load(f"instructvideo:{SMALL}", weights_dir=tmp_path / "w")
    facts = system.info
    assert (facts.steps, facts.guidance, facts.fps, facts.frames) == (20, 3.0, 8, 2)
    assert load("instructvideo", weights_dir=tmp_path / "w").info.frames == 16
    assert set(facts.weights) > {INSTRUCTVIDEO.file}
    assert "timesteps" not in facts.notes
    seen: list[int] = []
    plain = system.networks.unet.forward

    def counted(latents: Tensor, times: Tensor, text: Tensor) -> Any:
        seen.append(int(times[0]))
        return plain(latents, times, text)

    monkeypatch.setattr(system.networks.unet, "forward", counted)
    clip = system.generate(PROMPTS[:1], [1], Sampler(steps=20, guidance=3.0))
    assert seen == list(range(951, 0, -50))
    teacher = load(f"modelscope:{SMALL}", weights_dir=tmp_path / "w")
    assert (teacher.generate(PROMPTS[:1], [1], OWN) != clip).any()
    assert teacher.fingerprint() != system.fingerprint()


def test_settings_of_a_teacher(base: Path, state: State, tmp_path: Path) -> None:
    laid(tmp_path / "w", base, state)

    def drawn(settings: str, sampler: Sampler = OWN) -> Any:
        system = load(f"instructvideo:{SMALL}{settings}", weights_dir=tmp_path / "w")
        return system.generate(PROMPTS[:1], [1], sampler)

    clip = drawn("")
    assert (drawn(",offload=yes") == clip).all()
    for other in (",negative=rain", ",sampler=solver"):
        assert (drawn(other) != clip).any()
    assert load(f"instructvideo:{SMALL},fps=12", weights_dir=tmp_path / "w").info.fps == 12
    for wrong in ("compat=authors", "projection_seed=1"):
        with pytest.raises(UsageError, match=wrong.partition("=")[0]):
            load(f"instructvideo:{wrong}", weights_dir=tmp_path / "w")
    with pytest.raises(UsageError, match="negative prompt"):
        drawn(",negative=rain", Sampler(steps=1, guidance=1.0))


def test_texts_are_padded_with_zeros(base: Path, state: State, tmp_path: Path) -> None:
    """As VGen's tokenizer does; the folder's own may pad with the end of the text."""
    torch.save(state, tmp_path / "f.pth")
    found = open_networks(SYSTEM, base, tmp_path / "f.pth")
    seen: list[Tensor] = []
    plain = found.text.forward

    def kept(ids: Tensor, **more: Any) -> Any:
        seen.append(ids)
        return plain(ids, **more)

    found.text.forward = kept
    found.encode(["a red star"], "cpu")
    mask = found.tokenizer(["a red star"], padding="max_length", return_tensors="pt").attention_mask
    assert (seen[0][mask == 0] == 0).all()
    assert (seen[0][mask == 1] > 0).all()
    assert not open_folder(base).zero_padded


class Harmful:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("it-ran"),))


BAD: dict[str, tuple[Callable[[State], Any], str]] = {
    "cut": (cut, "cut off"),
    "a web page": (lambda state: b"<html>sign in</html>", "no checkpoint"),
    "code": (lambda state: pickle.dumps({"state_dict": {}, "more": Harmful()}, 2), "never run"),
    "a LoRA list": (lambda state: random_list(crafted()), "without names"),
    "VideoCrafter2's": (lambda state: lvdm_unet(crafted()), "UNet's checkpoint lacks"),
    "ModelScope's own": (
        lambda state: {k: v for k, v in state.items() if "_lora." not in k}, "it has no LoRA",
    ),
    "diffusers' names": (
        lambda state: {f"down_blocks.{n}.weight": v for n, v in enumerate(state.values())},
        "lacks .* such as time_embed.0.weight, time_embed.2.weight, input_blocks.0.0.weight",
    ),
    "one half": (lambda state: without(state, HALF), f"lacks 1 tensors: such as {HALF}"),
    "one half, LoRA alone": (
        lambda state: without(lora_of(state), HALF), f"lacks 1 tensors: such as {HALF}",
    ),
    "LoRA of more": (
        lambda state: {**state, "out.2_lora.up_linear.weight": torch.ones(1, 1)},
        "has unknown 1 tensors: such as out.2_lora.up_linear.weight",
    ),
    "a weight too few": (lambda state: without(state, "out.2.bias"), "conv_out.bias .* missing"),
    "a weight too many": (
        lambda state: {**state, "fps_embedding.0.weight": torch.ones(2, 2)},
        "has unknown 1 tensors: such as fps_embedding.0.weight",
    ),
    "another width": (
        lambda state: shaped(state, "out.2.weight", (4, 7, 3, 3)), r"conv_out.weight .*\(4, 7",
    ),
    "another rank in one half": (
        lambda state: shaped(state, HALF, (64, 3)), r"attn1.to_q \(up\) has shape \(64, 3\)",
    ),
    "a half that is no matrix": (
        lambda state: shaped(state, HALF.replace("up_", "down_"), ()), r"to_q \(up\) has shape",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_files_that_are_something_else(kind: str, base: Path, state: State, tmp_path: Path) -> None:
    content, words = BAD[kind]
    path = laid(tmp_path / "w", base, content(state))
    system = load(f"instructvideo:{SMALL}", weights_dir=tmp_path / "w")
    with pytest.raises(PrerequisiteError, match=words) as caught:
        system.generate(PROMPTS[:1], [1], OWN)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert not Path("it-ran").exists()


def test_a_bad_lora_changes_nothing(base: Path, state: State) -> None:
    network = open_folder(base).unet
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(InputError):
        merge_onto(network, shaped(lora_of(state), list(lora_of(state))[-1], (1, 1)))
    assert all(torch.equal(before[k], v) for k, v in network.state_dict().items())


def test_what_is_missing_says_what_to_type(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(PrerequisiteError) as caught:
        load("instructvideo", weights_dir=tmp_path / "w")
    line = str(caught.value)
    for words in (
        "the folder text-to-video-ms-1.7b and ddim20_1102-18-52_non_ema_0620000.pth",
        "turbo-eval models pull ali-vilab/text-to-video-ms-1.7b",
        "turbo-eval weights pull instructvideo",
        "from https://modelscope.cn/models/iic/InstructVideo and put it at",
        str(tmp_path / "w" / INSTRUCTVIDEO.names[0]),
    ):
        assert words in line
    assert INSTRUCTVIDEO.url == (
        "https://modelscope.cn/models/iic/InstructVideo/resolve/master/instructvideo-finetuned/"
        f"{INSTRUCTVIDEO.file}"
    )
    assert run(["weights", "where", "instructvideo", "--weights-dir", "w"]) == 4
    assert "turbo-eval weights pull instructvideo --weights-dir w" in capsys.readouterr().err
    assert run(["describe", "instructvideo"]) == 0
    assert "weights are missing" in capsys.readouterr().out


@pytest.mark.parametrize("name", INSTRUCTVIDEO.names)
def test_it_is_found_where_programs_put_it(name: str, tmp_path: Path) -> None:
    (tmp_path / "w" / name).parent.mkdir(parents=True)
    (tmp_path / "w" / name).touch()
    assert locate(INSTRUCTVIDEO, tmp_path / "w") == tmp_path / "w" / name


def test_it_keeps_the_protocol(base: Path, state: State, tmp_path: Path) -> None:
    laid(tmp_path / "w", base, state)
    assert run(["models", "check", f"instructvideo:{SMALL}", "--weights-dir", "w"]) == 0
